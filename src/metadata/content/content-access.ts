/** Access to a file's content: checks the caller, and adds read grants to chunk locations. */
import type { Caller } from '../../protocol/types.js';
import { checkAccess } from '../namespace/permissions.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/**
 * EACCES unless the caller has every kind of access in `wanted` (Access bits), or the session has the file open: open(2)
 * was asked then, and what is open stays so when its mode changes. The word of a session that does not speak for root counts only as
 * far as its rights go.
 */
export async function checkContentAccess(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller | undefined,
  wanted: number,
  { state, session, rights }: OperationContext,
): Promise<void> {
  if (rights && !rights.isRoot) return await rights.checkContent(tx, inode, caller, wanted);
  if (caller === undefined || (session !== undefined && state.opens.has(session, inode.inode))) return;
  await checkAccess(tx, inode, caller, wanted);
}
