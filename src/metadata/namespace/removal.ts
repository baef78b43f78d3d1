/** Handles an inode that has lost its last name or its last opener. */
import { isDirectory, isRegularFile, isSymlink } from '../../protocol/file-mode.js';
import { unlinked } from '../../rules/entries.js';
import { ChunkReferences } from '../content/chunk-references.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** A file with at most this many extents is deleted at once, a larger one's extents are left to the collector. */
const INLINE_EXTENTS = 64;

/** Whether somebody has the inode open or is about to open it, as far as can be known yet. */
export function mayBeOpen(inode: number, { state }: OperationContext): boolean {
  const { opens } = state;
  return (
    opens.isOpen(inode) || state.unlinked.has(inode) || !state.sessions.isSettled(state.clock.monotonicMs())
  );
}

/**
 * One name fewer. POSIX unlink(): with the last name the file's contents are gone, unless somebody has it open; then
 * that is put off until the last one closes it. Returns the links that are left.
 */
export async function dropLink(
  tx: StoreTransaction,
  inode: InodeRecord,
  context: OperationContext,
): Promise<number> {
  const remaining = unlinked(inode, context.now);
  const { nlink } = remaining;
  if (nlink > 0) {
    await tx.inodes.update(remaining);
  } else if (!isDirectory(inode.mode)) {
    const { unlinked: young, clock } = context.state;
    await tx.inodes.update(remaining);
    await tx.orphans.insert(inode.inode);
    young.add(inode.inode, clock.monotonicMs());
    context.control.onRollback(() => young.delete(inode.inode));
  } else if (mayBeOpen(inode.inode, context)) {
    await tx.inodes.update(remaining);
    await tx.orphans.insert(inode.inode);
  } else {
    await destroyInode(tx, inode, context);
  }
  return nlink;
}

/** A session does not have the inode open any more. An inode without a name ends with its last opener. */
export async function closeInode(
  tx: StoreTransaction,
  session: number,
  number: number,
  context: OperationContext,
): Promise<void> {
  const { opens } = context.state;
  if (!opens.delete(session, number)) return;
  context.control.onRollback(() => opens.add(session, number));
  if (mayBeOpen(number, context)) return;
  await destroyOrphan(tx, number, context);
}

/** Destroys an inode that has no name and that nobody has open; leaves others alone. */
export async function destroyOrphan(
  tx: StoreTransaction,
  number: number,
  context: OperationContext,
): Promise<void> {
  const inode = await tx.inodes.get(number);
  if (!inode || inode.nlink > 0) return;
  await tx.orphans.delete(number);
  await destroyInode(tx, inode, context);
}

/** Deletes everything that belongs to an inode; of a large file the extents later. */
async function destroyInode(
  tx: StoreTransaction,
  inode: InodeRecord,
  context: OperationContext,
): Promise<void> {
  await tx.inodes.delete(inode.inode);
  await tx.xattrs.deleteAll(inode.inode);
  if (isSymlink(inode.mode)) await tx.symlinks.delete(inode.inode);
  if (!isRegularFile(inode.mode) || inode.allocated === 0) return;
  if (!(await destroyExtents(tx, inode.inode, INLINE_EXTENTS, context))) await tx.garbage.insert(inode.inode);
}

/** Deletes up to `limit` extents of an inode that is gone, from the end. Returns whether none is left. */
export async function destroyExtents(
  tx: StoreTransaction,
  inode: number,
  limit: number,
  context: OperationContext,
): Promise<boolean> {
  const extents = await tx.extents.last(inode, 0, limit);
  const references = new ChunkReferences();
  for (const extent of extents) references.drop(extent.chunk);
  const lowest = extents.at(-1);
  if (lowest) await tx.extents.deleteRange(inode, lowest.offset, Number.MAX_SAFE_INTEGER);
  await references.apply(tx, context.nowMs + context.state.graceMs);
  return extents.length < limit;
}
