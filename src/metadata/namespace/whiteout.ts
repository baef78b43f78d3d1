/**
 * Whiteouts: devices with number 0/0, by which an overlay file system says in its upper layer that a name of a lower one is
 * gone (WHITEOUT_MODE and WHITEOUT_DEV in <linux/fs.h>). They open nothing, so that anybody may make them (vfs_mknod() since
 * Linux 5.8).
 */
import { S_IFCHR, S_IFMT } from '../../protocol/file-mode.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { insertInode } from './creation.js';

const WHITEOUT_MODE = S_IFCHR | 0;
const WHITEOUT_DEVICE = 0;

export function isWhiteout(mode: number, rdev: number): boolean {
  return (mode & S_IFMT) === S_IFCHR && rdev === WHITEOUT_DEVICE;
}

/** Puts a whiteout in the place of what has the name. */
export async function replaceByWhiteout(
  tx: StoreTransaction,
  directory: InodeRecord,
  name: Uint8Array,
  owner: { readonly uid: number; readonly gid: number },
  context: OperationContext,
): Promise<InodeRecord> {
  const created = { ...owner, mode: WHITEOUT_MODE, rdev: WHITEOUT_DEVICE, size: 0 };
  const whiteout = await insertInode(tx, directory, created, context);
  await tx.dentries.update(directory.inode, name, whiteout.inode);
  return whiteout;
}
