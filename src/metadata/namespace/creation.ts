/** Creating an inode together with its first name. */
import { ACCESS_ACL, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, isSymlink, PERMISSION_BITS, S_ISGID } from '../../protocol/file-mode.js';
import { DEFAULT_GOAL, MAX_LINKS } from '../../protocol/limits.js';
import type { Caller } from '../../protocol/types.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { requireLinkedDirectory } from './inodes.js';
import { checkNewName, quoted } from './names.js';
import { checkCreate, checkSearch } from './permissions.js';
import { decodeAcl, encodeAcl, inheritAcl } from './posix-acl.js';

export interface NewInode {
  /** Type and permission bits. */
  readonly mode: number;
  /** Permissions that are not given unless the directory has a default ACL; none when left out. */
  readonly umask?: number | undefined;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  /** Replicas, where the directory has no goal. */
  readonly goal?: number | undefined;
  /** Its number, if that was given to the client before. */
  readonly number?: number | undefined;
}

/** The directory in which `name` is free, and may be made. EACCES, ENOENT, ENOTDIR, EEXIST, ENAMETOOLONG, EINVAL. */
export async function requireFreeName(
  tx: StoreTransaction,
  parent: number,
  name: Uint8Array,
  caller: Caller | undefined,
): Promise<InodeRecord> {
  checkNewName(name);
  const directory = await requireLinkedDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  if (await tx.dentries.get(parent, name)) throw new DfsError('EEXIST', `${quoted(name)} exists already`);
  await checkCreate(tx, directory, caller);
  return directory;
}

/**
 * The number that a client chose for a new inode is one that it can have been given, and stands for nothing yet. EINVAL.
 */
export async function checkReserved(
  tx: StoreTransaction,
  number: number | undefined,
  { state }: OperationContext,
): Promise<void> {
  if (number === undefined) return;
  if (!state.inodeNumbers.hasGiven(number) || (await tx.inodes.get(number))) {
    throw new DfsError('EINVAL', `${number} is not the number of a new inode`);
  }
}

/** Each subdirectory's `..` is a link to its parent: EMLINK when there cannot be one more (POSIX mkdir()). */
export function checkSubdirectoryRoom(directory: InodeRecord): void {
  if (directory.nlink < MAX_LINKS) return;
  throw new DfsError('EMLINK', `directory ${directory.inode} cannot have more subdirectories`);
}

/**
 * Creates an inode and its name; marks the directory's mtime and ctime (POSIX mkdir(), mknod(), open(), symlink()). In
 * a directory with the setgid bit the group is the directory's, and a new directory has the bit too (inode(7)). The
 * permissions are those of inheritance().
 * @param directory where requireFreeName() found the name free
 */
export async function createInode(
  tx: StoreTransaction,
  directory: InodeRecord,
  name: Uint8Array,
  created: NewInode,
  context: OperationContext,
): Promise<InodeRecord> {
  const inode = await insertInode(tx, directory, created, context);
  await tx.dentries.insert(directory.inode, name, inode.inode);
  await touchDirectory(tx, directory, isDirectory(created.mode) ? 1 : 0, context);
  return inode;
}

/**
 * Creates an inode with what it inherits from a directory, in which it has no name yet.
 * @param links to begin with, other than what its type has
 */
export async function insertInode(
  tx: StoreTransaction,
  directory: InodeRecord,
  created: NewInode,
  { now, state }: OperationContext,
  links?: number,
): Promise<InodeRecord> {
  const isSubdirectory = isDirectory(created.mode);
  const isGroupInherited = (directory.mode & S_ISGID) !== 0;
  const { mode, acls } = await inheritance(tx, directory, created);
  const inode: InodeRecord = {
    inode: created.number ?? state.inodeNumbers.take(),
    // Numbers are never used again, so one generation is enough.
    generation: 1,
    mode: isGroupInherited && isSubdirectory ? mode | S_ISGID : mode,
    nlink: links ?? (isSubdirectory ? 2 : 1),
    uid: created.uid,
    gid: isGroupInherited ? directory.gid : created.gid,
    rdev: created.rdev,
    size: created.size,
    allocated: 0,
    atime: now,
    mtime: now,
    ctime: now,
    version: 1,
    goal: isSubdirectory ? directory.goal : directory.goal || (created.goal ?? DEFAULT_GOAL),
    // A file has one as long as it never had a name (O_TMPFILE), which is how `link` knows it.
    parent: isSubdirectory || links === 0 ? directory.inode : 0,
  };
  await tx.inodes.insert(inode);
  for (const { name: aclName, value } of acls) await tx.xattrs.put(inode.inode, aclName, value);
  return inode;
}

interface Inheritance {
  readonly mode: number;
  readonly acls: readonly { readonly name: Uint8Array; readonly value: Uint8Array }[];
}

/**
 * acl(5), "object creation and default ACLs": the directory's default ACL takes the umask's place, and goes on to new
 * directories. A symbolic link has no permissions of its own.
 */
async function inheritance(
  tx: StoreTransaction,
  directory: InodeRecord,
  { mode, umask = 0 }: NewInode,
): Promise<Inheritance> {
  if (isSymlink(mode)) return { mode, acls: [] };
  const value = await tx.xattrs.get(directory.inode, DEFAULT_ACL);
  const acl = value && decodeAcl(value);
  if (!acl) return { mode: mode & ~(umask & PERMISSION_BITS), acls: [] };
  const inherited = inheritAcl(acl, mode);
  return {
    mode: inherited.mode,
    acls: [
      ...(inherited.access ? [{ name: ACCESS_ACL, value: encodeAcl(inherited.access) }] : []),
      ...(isDirectory(mode) ? [{ name: DEFAULT_ACL, value }] : []),
    ],
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
