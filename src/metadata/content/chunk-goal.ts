/** The number of replicas that a file's chunks should have. */
import type { OperationContext } from '../operation.js';
import { requireInode } from '../namespace/inodes.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** Extents whose chunks are changed in one transaction. */
const EXTENTS_AT_ONCE = 1024;

/** A further file refers to the chunk: the highest goal counts. */
export async function raiseGoal(tx: StoreTransaction, chunk: number, goal: number): Promise<void> {
  const record = await tx.chunks.get(chunk);
  if (record && record.goal < goal) await tx.chunks.setGoal(chunk, goal);
}

/**
 * Gives a file another goal. Its chunks follow, some of them in each transaction; one that other files refer to as
 * well is never lowered, since their goal may be higher. Returns the inode as it is at the end.
 */
export async function setFileGoal(
  begun: StoreTransaction,
  file: InodeRecord,
  goal: number,
  context: OperationContext,
): Promise<InodeRecord> {
  let tx = begun;
  let inode: InodeRecord = { ...file, goal, ctime: context.now };
  await tx.inodes.update(inode);
  for (let offset = 0; ;) {
    const extents = await tx.extents.range(inode.inode, offset, inode.size, EXTENTS_AT_ONCE);
    /** chunk → extents of this page that refer to it */
    const counts = new Map<number, number>();
    for (const { chunk } of extents) counts.set(chunk, (counts.get(chunk) ?? 0) + 1);
    for (const [chunk, count] of counts) {
      const record = await tx.chunks.get(chunk);
      if (!record || record.goal === goal) continue;
      if (record.goal < goal || record.references <= count) await tx.chunks.setGoal(chunk, goal);
    }
    const last = extents.at(-1);
    if (!last || extents.length < EXTENTS_AT_ONCE) break;
    offset = last.offset + 1;
    tx = await context.control.pause();
    inode = await requireInode(tx, file.inode);
  }
  context.state.repair.look();
  return inode;
}
