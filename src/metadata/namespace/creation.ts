/** Creating an inode together with its first name. */
import { DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, isSymlink } from '../../protocol/file-mode.js';
import type { Caller } from '../../protocol/types.js';
import { subdirectoriesIn, touched } from '../../rules/entries.js';
import { newNameRefusal, quoted } from '../../rules/names.js';
import { inheritedAcls, newInode, type Created } from '../../rules/new-inode.js';
import { decodeAcl } from '../../rules/posix-acl.js';
import { refuse } from '../../rules/refusal.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { requireLinkedDirectory } from './inodes.js';
import { checkCreate, checkSearch } from './permissions.js';

export interface NewInode extends Created {
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
  refuse(newNameRefusal(name));
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

/**
 * Creates an inode and its name; marks the directory's mtime and ctime (POSIX mkdir(), mknod(), open(), symlink()).
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
  await tx.inodes.update(touched(directory, subdirectoriesIn(inode), context.now));
  return inode;
}

/** Creates an inode with what it inherits from a directory, in which it has no name yet. */
export async function insertInode(
  tx: StoreTransaction,
  directory: InodeRecord,
  created: NewInode,
  { now, state }: OperationContext,
): Promise<InodeRecord> {
  const value = isSymlink(created.mode) ? undefined : await tx.xattrs.get(directory.inode, DEFAULT_ACL);
  const defaultAcl = value && decodeAcl(value);
  const attributes = newInode(
    directory,
    created.number ?? state.inodeNumbers.take(),
    created,
    now,
    defaultAcl,
  );
  // A file has one as long as it never had a name (O_TMPFILE), which is how `link` knows it.
  const hasParent = isDirectory(attributes.mode) || attributes.nlink === 0;
  const inode: InodeRecord = { ...attributes, parent: hasParent ? directory.inode : 0 };
  await tx.inodes.insert(inode);
  for (const acl of inheritedAcls(created, defaultAcl)) await tx.xattrs.put(inode.inode, acl.name, acl.value);
  return inode;
}
