/** getxattr(2), listxattr(2), setxattr(2) and removexattr(2). */
import { DfsError } from '../../protocol/errors.js';
import { MAX_XATTR_LIST_BYTES, MAX_XATTR_NAME_BYTES, MAX_XATTR_VALUE_BYTES } from '../../protocol/limits.js';
import {
  getxattr as getCommand,
  listxattr as listCommand,
  removexattr as removeCommand,
  setxattr as setCommand,
  XattrFlag,
} from '../../protocol/metadata-commands.js';
import { requireInode } from '../namespace/inodes.js';
import { quoted } from '../namespace/names.js';
import { operation } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

/** Each name in a list ends with a NUL. */
const NAME_END_BYTES = 1;

/** xattr(7): the name spaces that there are. */
const NAME_SPACES = ['user.', 'trusted.', 'security.', 'system.'].map(each => Buffer.from(each));

/**
 * setxattr(2): ERANGE for a name that is empty or too long, EOPNOTSUPP for one outside of the name spaces; EINVAL for a
 * name space alone, as ext4 has it. A NUL cannot be in a C string.
 */
function checkXattrName(name: Uint8Array): void {
  if (name.length === 0 || name.length > MAX_XATTR_NAME_BYTES) {
    throw new DfsError('ERANGE', `an attribute's name has 1 to ${MAX_XATTR_NAME_BYTES} bytes`);
  }
  if (name.includes(0)) throw new DfsError('EINVAL', "an attribute's name must not hold a NUL");
  const space = NAME_SPACES.find(each => each.equals(name.subarray(0, each.length)));
  if (!space) {
    throw new DfsError('EOPNOTSUPP', `${quoted(name)} begins with none of ${NAME_SPACES.join(', ')}`);
  }
  if (name.length === space.length) throw new DfsError('EINVAL', `${quoted(name)} is a name space only`);
}

function noSuchAttribute(name: Uint8Array): DfsError {
  return new DfsError('ENODATA', `there is no attribute ${quoted(name)}`);
}

export const getxattr = operation(getCommand, async (tx, { inode, name }) => {
  checkXattrName(name);
  await requireInode(tx, inode);
  const value = await tx.xattrs.get(inode, name);
  // getxattr(2): ENODATA, "the named attribute does not exist".
  if (!value) throw noSuchAttribute(name);
  return { value };
});

export const listxattr = operation(listCommand, async (tx, { inode }) => {
  await requireInode(tx, inode);
  return { names: await tx.xattrs.names(inode) };
});

export const setxattr = operation(setCommand, async (tx, request, { now }) => {
  const { name, value, flags } = request;
  checkXattrName(name);
  // setxattr(2): E2BIG for a value beyond XATTR_SIZE_MAX.
  if (value.length > MAX_XATTR_VALUE_BYTES) {
    throw new DfsError('E2BIG', `an attribute's value has at most ${MAX_XATTR_VALUE_BYTES} bytes`);
  }
  const inode = await requireInode(tx, request.inode);
  const existing = await tx.xattrs.get(inode.inode, name);
  // setxattr(2): EEXIST with XATTR_CREATE, ENODATA with XATTR_REPLACE.
  if (existing && (flags & XattrFlag.create) !== 0) {
    throw new DfsError('EEXIST', `the attribute ${quoted(name)} exists already`);
  }
  if (!existing && (flags & XattrFlag.replace) !== 0) throw noSuchAttribute(name);
  if (!existing) await checkListRoom(tx, inode.inode, name);
  await tx.xattrs.put(inode.inode, name, value);
  await tx.inodes.update({ ...inode, ctime: now });
  return {};
});

export const removexattr = operation(removeCommand, async (tx, request, { now }) => {
  const { name } = request;
  checkXattrName(name);
  const inode = await requireInode(tx, request.inode);
  // removexattr(2): ENODATA, "the named attribute does not exist".
  if (!(await tx.xattrs.get(inode.inode, name))) throw noSuchAttribute(name);
  await tx.xattrs.delete(inode.inode, name);
  await tx.inodes.update({ ...inode, ctime: now });
  return {};
});

/** setxattr(2): ENOSPC, "there is insufficient space remaining"; a longer list could not be returned. */
async function checkListRoom(tx: StoreTransaction, inode: number, name: Uint8Array): Promise<void> {
  const names = await tx.xattrs.names(inode);
  const bytes = names.reduce((sum, each) => sum + each.length + NAME_END_BYTES, 0);
  if (bytes + name.length + NAME_END_BYTES > MAX_XATTR_LIST_BYTES) {
    throw new DfsError('ENOSPC', `the attributes' names together have at most ${MAX_XATTR_LIST_BYTES} bytes`);
  }
}
