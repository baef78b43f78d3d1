/** What fsync(2) has to ask data nodes for of a file that other clients have written. */
import { unsynced as command } from '../../protocol/content-commands.js';
import { MAX_CHUNKS_TO_SYNC } from '../../protocol/limits.js';
import { extentsFrom } from '../content/extent-map.js';
import { attributesOf, requireRegularFile } from '../namespace/inodes.js';
import { operation, type OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';
import type { UnsyncedReplica } from '../unsynced-replicas.js';

export const unsynced = operation(command, async (tx, { inode }, context) => {
  const { state } = context;
  const attributes = attributesOf(await requireRegularFile(tx, inode));
  const replicas = [...state.unsynced.ofInode(inode), ...(await doubtful(tx, inode, context))];
  return { attributes, replicas: replicas.slice(0, MAX_CHUNKS_TO_SYNC) };
});

/** A node that was just started may have lost its power, and any chunk with it, until it has told what it holds. */
async function doubtful(
  tx: StoreTransaction,
  inode: number,
  { state }: OperationContext,
): Promise<UnsyncedReplica[]> {
  const nodes = state.nodes.unreported(state.clock.monotonicMs());
  if (nodes.length === 0) return [];
  const chunks = new Set<number>();
  for (const extent of await extentsFrom(tx, inode, 0, MAX_CHUNKS_TO_SYNC)) chunks.add(extent.chunk);
  const replicas: UnsyncedReplica[] = [];
  for (const chunk of chunks) {
    const record = await tx.chunks.get(chunk);
    for (const node of nodes) if (record?.nodes.includes(node) === true) replicas.push({ node, chunk });
  }
  return replicas;
}
