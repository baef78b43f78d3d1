/** Access to a file's content: checks the caller, and adds read grants to chunk locations. */
import type { Caller } from '../../protocol/types.js';
import { checkAccess } from '../namespace/permissions.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/**
 * EACCES unless the caller has every kind of access in `wanted` (Access bits), or the session has the file open: open(2)
 * was asked then, and what is open stays so when its mode changes.
 */
export async function checkContentAccess(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller | undefined,
  wanted: number,
  { state, session }: OperationContext,
): Promise<void> {
  if (caller === undefined || (session !== undefined && state.opens.has(session, inode.inode))) return;
  await checkAccess(tx, inode, caller, wanted);
}
