/** statvfs(3). */
import { ROOT_INODE } from '../../protocol/file-mode.js';
import { DEFAULT_GOAL } from '../../protocol/limits.js';
import { statfs as command } from '../../protocol/namespace-commands.js';
import { requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';

/**
 * The space as a user of df(1) expects it: how many bytes of files fit. What the live nodes have is divided by the
 * replicas that a new file gets (the root's goal or the usual one, or as many as there are nodes). Nodes that share a disk cannot be
 * told apart, so on one machine its space counts once for each of them.
 */
export const statfs = operation(command, async (tx, _request, { state }) => {
  const live = state.nodes.live(state.clock.monotonicMs());
  const { goal } = await requireInode(tx, ROOT_INODE);
  const replicas = Math.max(1, Math.min(goal || DEFAULT_GOAL, live.length));
  const total = live.reduce((sum, node) => sum + node.space.totalBytes, 0);
  const free = live.reduce((sum, node) => sum + node.space.freeBytes, 0);
  return {
    totalBytes: Math.floor(total / replicas),
    freeBytes: Math.floor(free / replicas),
    inodes: await tx.inodes.count(),
    liveNodes: live.length,
  };
});
