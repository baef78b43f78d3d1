/** Finds inodes, and converts their records to the wire's attributes. */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, isRegularFile } from '../../protocol/file-mode.js';
import type { Attributes } from '../../protocol/types.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { quoted } from '../../rules/names.js';

/** What stat(2) tells of an inode. */
export function attributesOf(inode: InodeRecord): Attributes {
  return {
    inode: inode.inode,
    generation: inode.generation,
    mode: inode.mode,
    nlink: inode.nlink,
    uid: inode.uid,
    gid: inode.gid,
    rdev: inode.rdev,
    size: inode.size,
    allocated: inode.allocated,
    atime: inode.atime,
    mtime: inode.mtime,
    ctime: inode.ctime,
    version: inode.version,
    goal: inode.goal,
  };
}

/** An inode that is there, with or without a name. ENOENT. */
export async function requireInode(tx: StoreTransaction, number: number): Promise<InodeRecord> {
  const inode = await tx.inodes.get(number);
  if (!inode) throw new DfsError('ENOENT', `inode ${number} does not exist any more`);
  return inode;
}

/** POSIX 4.16: a component that is not the last must be a directory. ENOENT, ENOTDIR. */
export async function requireDirectory(tx: StoreTransaction, number: number): Promise<InodeRecord> {
  const inode = await requireInode(tx, number);
  if (!isDirectory(inode.mode)) throw new DfsError('ENOTDIR', `inode ${number} is not a directory`);
  return inode;
}

/** A directory in which something may be created: ENOENT for one that was removed while it was open. */
export async function requireLinkedDirectory(tx: StoreTransaction, number: number): Promise<InodeRecord> {
  const inode = await requireDirectory(tx, number);
  if (inode.nlink === 0) throw new DfsError('ENOENT', `directory ${number} was removed`);
  return inode;
}

/** The inode that a name leads to. ENOENT. */
export async function requireEntry(
  tx: StoreTransaction,
  parent: number,
  name: Uint8Array,
): Promise<InodeRecord> {
  const inode = await tx.dentries.get(parent, name);
  if (!inode) throw new DfsError('ENOENT', `${quoted(name)} does not exist`);
  return inode;
}

/** An inode that has content: EISDIR for a directory, EINVAL for what else has none (POSIX truncate()). */
export async function requireRegularFile(tx: StoreTransaction, number: number): Promise<InodeRecord> {
  const inode = await requireInode(tx, number);
  if (isDirectory(inode.mode)) throw new DfsError('EISDIR', `inode ${number} is a directory`);
  if (!isRegularFile(inode.mode)) throw new DfsError('EINVAL', `inode ${number} is not a regular file`);
  return inode;
}
