/** Collects inodes without a name that no session has open, and the remains of large ones. */
import { destroyExtents, destroyOrphan, mayBeOpen } from '../namespace/removal.js';
import type { OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

const ORPHANS_AT_ONCE = 64;
const EXTENTS_AT_ONCE = 1024;

/** Looks at some orphans after the inode number `after`. Returns the last one seen, or undefined at the end. */
export async function collectOrphans(
  tx: StoreTransaction,
  after: number,
  context: OperationContext,
): Promise<number | undefined> {
  const orphans = await tx.orphans.after(after, ORPHANS_AT_ONCE);
  for (const inode of orphans) {
    if (!mayBeOpen(inode, context)) await destroyOrphan(tx, inode, context);
  }
  return orphans.length < ORPHANS_AT_ONCE ? undefined : orphans.at(-1);
}

/** Destroys inodes without a name that nobody opened in time. Returns whether there may be more. */
export async function collectUnlinked(tx: StoreTransaction, context: OperationContext): Promise<boolean> {
  const { unlinked, leases, clock } = context.state;
  const due = unlinked.takeDue(clock.monotonicMs(), ORPHANS_AT_ONCE);
  for (const inode of due) {
    // Who has it open under a lease says so before it answers the revocation.
    if (leases.isAwaited(inode)) {
      unlinked.add(inode, clock.monotonicMs());
      continue;
    }
    // One that is open goes with its last opener; what fails here is found with the orphans.
    if (!mayBeOpen(inode, context)) await destroyOrphan(tx, inode, context);
  }
  return due.length === ORPHANS_AT_ONCE;
}

/** Deletes some extents of one large file that is gone. Returns whether there may be more to do. */
export async function collectGarbage(tx: StoreTransaction, context: OperationContext): Promise<boolean> {
  const [inode] = await tx.garbage.after(0, 1);
  if (inode === undefined) return false;
  if (await destroyExtents(tx, inode, EXTENTS_AT_ONCE, context)) await tx.garbage.delete(inode);
  return true;
}
