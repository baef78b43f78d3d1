/** Whiteouts in the store; rules/new-inode.ts defines them, and who may make them. */
import { createdWhiteout } from '../../rules/new-inode.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { insertInode } from './creation.js';

/** Puts a whiteout in the place of what has the name. */
export async function replaceByWhiteout(
  tx: StoreTransaction,
  directory: InodeRecord,
  name: Uint8Array,
  owner: { readonly uid: number; readonly gid: number },
  context: OperationContext,
): Promise<InodeRecord> {
  const whiteout = await insertInode(tx, directory, createdWhiteout(owner), context);
  await tx.dentries.update(directory.inode, name, whiteout.inode);
  return whiteout;
}
