/** statvfs(3). */
import { ROOT_INODE } from '../../protocol/file-mode.js';
import { DEFAULT_GOAL } from '../../protocol/limits.js';
import { statfs as command } from '../../protocol/namespace-commands.js';
import { requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';
import { roomOf, storableBytes } from '../placement.js';

/**
 * The space as a user of df(1) expects it: how many bytes of files fit, with as many replicas as a new file gets (the
 * root's goal or the usual one, or as many as there are nodes that take chunks). 0 is free where nothing would be taken.
 * Nodes that share a disk cannot be told apart, so on one machine its space counts once for each of them.
 */
export const statfs = operation(command, async (tx, _request, { state }) => {
  const monotonicMs = state.clock.monotonicMs();
  const takers = state.nodes.takers(monotonicMs);
  const { goal } = await requireInode(tx, ROOT_INODE);
  const replicas = Math.max(1, Math.min(goal || DEFAULT_GOAL, takers.length));
  const totals = takers.map(({ space }) => space.totalBytes);
  return {
    totalBytes: storableBytes(totals, replicas),
    freeBytes: storableBytes(takers.map(roomOf), replicas),
    inodes: await tx.inodes.count(),
    liveNodes: state.nodes.live(monotonicMs).length,
  };
});
