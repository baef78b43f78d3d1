/** Creating an inode together with its first name. */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, S_ISGID } from '../../protocol/file-mode.js';
import { MAX_LINKS } from '../../protocol/limits.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { requireLinkedDirectory } from './inodes.js';
import { checkNewName, quoted } from './names.js';

export interface NewInode {
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  /** Replicas; the directory's goal when left out. */
  readonly goal?: number;
}

/** The directory in which `name` is free. ENOENT, ENOTDIR, EEXIST, ENAMETOOLONG, EINVAL. */
export async function requireFreeName(
  tx: StoreTransaction,
  parent: number,
  name: Uint8Array,
): Promise<InodeRecord> {
  checkNewName(name);
  const directory = await requireLinkedDirectory(tx, parent);
  if (await tx.dentries.get(parent, name)) throw new DfsError('EEXIST', `${quoted(name)} exists already`);
  return directory;
}

/** Each subdirectory's `..` is a link to its parent: EMLINK when there cannot be one more (POSIX mkdir()). */
export function checkSubdirectoryRoom(directory: InodeRecord): void {
  if (directory.nlink < MAX_LINKS) return;
  throw new DfsError('EMLINK', `directory ${directory.inode} cannot have more subdirectories`);
}

/**
 * Creates an inode and its name; marks the directory's mtime and ctime (POSIX mkdir(), mknod(), open(), symlink()). In
 * a directory with the setgid bit the group is the directory's, and a new directory has the bit too (inode(7)).
 * @param directory where requireFreeName() found the name free
 */
export async function createInode(
  tx: StoreTransaction,
  directory: InodeRecord,
  name: Uint8Array,
  created: NewInode,
  context: OperationContext,
): Promise<InodeRecord> {
  const inode = newInode(directory, created, context);
  await tx.inodes.insert(inode);
  await tx.dentries.insert(directory.inode, name, inode.inode);
  await touchDirectory(tx, directory, isDirectory(created.mode) ? 1 : 0, context);
  return inode;
}

/** The record of an inode that is created in a directory; nothing is written yet. */
export function newInode(
  directory: InodeRecord,
  created: NewInode,
  { now, state }: OperationContext,
): InodeRecord {
  const isSubdirectory = isDirectory(created.mode);
  const isGroupInherited = (directory.mode & S_ISGID) !== 0;
  return {
    inode: state.inodeNumbers.take(),
    // Numbers are never used again, so one generation is enough.
    generation: 1,
    mode: isGroupInherited && isSubdirectory ? created.mode | S_ISGID : created.mode,
    nlink: isSubdirectory ? 2 : 1,
    uid: created.uid,
    gid: isGroupInherited ? directory.gid : created.gid,
    rdev: created.rdev,
    size: created.size,
    allocated: 0,
    atime: now,
    mtime: now,
    ctime: now,
    version: 1,
    goal: created.goal ?? directory.goal,
    parent: isSubdirectory ? directory.inode : 0,
  };
}

/** An entry of a directory came, went or changed. */
export async function touchDirectory(
  tx: StoreTransaction,
  directory: InodeRecord,
  subdirectories: number,
  { now }: OperationContext,
): Promise<void> {
  await tx.inodes.update({
    ...directory,
    nlink: directory.nlink + subdirectories,
    mtime: now,
    ctime: now,
    version: directory.version + 1,
  });
}
