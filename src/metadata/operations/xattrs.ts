/** getxattr(2), listxattr(2), setxattr(2) and removexattr(2). */
import { ACCESS_ACL, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { DfsError } from '../../protocol/errors.js';
import type { RequestOf } from '../../protocol/command.js';
import {
  GOAL_OF_CREATOR,
  MAX_XATTR_LIST_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
} from '../../protocol/limits.js';
import {
  getxattr as getCommand,
  listxattr as listCommand,
  removexattr as removeCommand,
  setxattr as setCommand,
  XattrFlag,
} from '../../protocol/namespace-commands.js';
import { isDirectory, isSymlink, S_ISGID, S_ISVTX } from '../../protocol/file-mode.js';
import type { Caller } from '../../protocol/types.js';
import { requireInode } from '../namespace/inodes.js';
import { quoted } from '../namespace/names.js';
import { Access, checkAccess, checkOwner, checkRoot, isPrivileged } from '../namespace/permissions.js';
import { decodeAcl, encodeAcl, isMinimal, modeWithAcl, type Acl } from '../namespace/posix-acl.js';
import { operation } from '../operation.js';
import { goalValue, isGoalAttribute, removeGoal, setGoal } from './goal-attribute.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

type SetRequest = RequestOf<typeof setCommand>;

/** Each name in a list ends with a NUL. */
const NAME_END_BYTES = 1;

const USER = 'user.';
const TRUSTED = 'trusted.';
const SECURITY = 'security.';
const NAMESPACES = [USER, TRUSTED, SECURITY];

/**
 * setxattr(2): ERANGE for a name that is empty or too long. A NUL cannot be in a C string. As local file systems have
 * it, EOPNOTSUPP for a name outside the namespaces of xattr(7), EINVAL for one that is only a namespace.
 */
function checkXattrName(name: Uint8Array): void {
  if (name.length === 0 || name.length > MAX_XATTR_NAME_BYTES) {
    throw new DfsError('ERANGE', `an attribute's name has 1 to ${MAX_XATTR_NAME_BYTES} bytes`);
  }
  if (name.includes(0)) throw new DfsError('EINVAL', "an attribute's name must not hold a NUL");
  const text = Buffer.from(name).toString('latin1');
  if (ACCESS_ACL.equals(name) || DEFAULT_ACL.equals(name)) return;
  const namespace = NAMESPACES.find(prefix => text.startsWith(prefix));
  if (namespace === undefined) {
    throw new DfsError('EOPNOTSUPP', 'attributes are user.*, trusted.*, security.* or POSIX ACLs');
  }
  if (text === namespace) throw new DfsError('EINVAL', `the attribute's name ends after "${namespace}"`);
}

function alreadyThere(name: Uint8Array): DfsError {
  return new DfsError('EEXIST', `the attribute ${quoted(name)} exists already`);
}

function noSuchAttribute(name: Uint8Array): DfsError {
  return new DfsError('ENODATA', `there is no attribute ${quoted(name)}`);
}

export const getxattr = operation(getCommand, async (tx, { inode, name, caller }) => {
  checkXattrName(name);
  const record = await requireInode(tx, inode);
  await checkReading(tx, record, name, caller);
  if (isGoalAttribute(name)) return { value: goalValue(record) };
  const value = await tx.xattrs.get(inode, name);
  // getxattr(2): ENODATA, "the named attribute does not exist".
  if (!value) throw noSuchAttribute(name);
  return { value };
});

export const listxattr = operation(listCommand, async (tx, { inode, caller }) => {
  await requireInode(tx, inode);
  const names = await tx.xattrs.names(inode);
  // xattr(7): the trusted ones are for processes with CAP_SYS_ADMIN.
  return { names: isPrivileged(caller) ? names : names.filter(name => !isIn(TRUSTED, name)) };
});

export const setxattr = operation(setCommand, async (tx, request, context) => {
  const { now } = context;
  const { name, value, flags } = request;
  // setxattr(2) knows no others (setxattr_copy() in Linux: EINVAL).
  if ((flags & ~(XattrFlag.create | XattrFlag.replace)) !== 0) {
    throw new DfsError('EINVAL', `setting an extended attribute with flags ${flags} is not known here`);
  }
  checkXattrName(name);
  // setxattr(2): E2BIG for a value beyond XATTR_SIZE_MAX.
  if (value.length > MAX_XATTR_VALUE_BYTES) {
    throw new DfsError('E2BIG', `an attribute's value has at most ${MAX_XATTR_VALUE_BYTES} bytes`);
  }
  const inode = await requireInode(tx, request.inode);
  if (isGoalAttribute(name)) {
    if ((flags & XattrFlag.create) !== 0 && inode.goal !== GOAL_OF_CREATOR) throw alreadyThere(name);
    if ((flags & XattrFlag.replace) !== 0) goalValue(inode);
    await setGoal(tx, inode, value, request.caller, context);
    return {};
  }
  await checkWriting(tx, inode, name, request.caller);
  const change = aclChange(inode, request);
  const existing = await tx.xattrs.get(inode.inode, name);
  // setxattr(2): EEXIST with XATTR_CREATE, ENODATA with XATTR_REPLACE.
  if (existing && (flags & XattrFlag.create) !== 0) throw alreadyThere(name);
  if (!existing && (flags & XattrFlag.replace) !== 0) throw noSuchAttribute(name);
  if (!existing && change.value) await checkListRoom(tx, inode.inode, name);
  if (change.value) await tx.xattrs.put(inode.inode, name, change.value);
  else await tx.xattrs.delete(inode.inode, name);
  await tx.inodes.update({ ...inode, mode: change.mode, ctime: now });
  return {};
});

export const removexattr = operation(removeCommand, async (tx, request, context) => {
  const { now } = context;
  const { name } = request;
  checkXattrName(name);
  const inode = await requireInode(tx, request.inode);
  if (isGoalAttribute(name)) {
    await removeGoal(tx, inode, request.caller, context);
    return {};
  }
  await checkWriting(tx, inode, name, request.caller);
  // removexattr(2): ENODATA, "the named attribute does not exist".
  if (!(await tx.xattrs.get(inode.inode, name))) {
    // Every file has an ACL, if only that of its mode: there is nothing left to remove, as local file systems see it.
    if (ACCESS_ACL.equals(name) || DEFAULT_ACL.equals(name)) return {};
    throw noSuchAttribute(name);
  }
  await tx.xattrs.delete(inode.inode, name);
  await tx.inodes.update({ ...inode, ctime: now });
  return {};
});

function isIn(namespace: string, name: Uint8Array): boolean {
  return Buffer.from(name.subarray(0, namespace.length)).toString('latin1') === namespace;
}

/** xattr(7), "Extended attribute namespaces": EACCES, and ENODATA for what the caller is not to know of. */
async function checkReading(
  tx: StoreTransaction,
  inode: InodeRecord,
  name: Uint8Array,
  caller: Caller | undefined,
): Promise<void> {
  if (isPrivileged(caller)) return;
  if (isIn(TRUSTED, name)) throw noSuchAttribute(name);
  if (isIn(USER, name)) await checkAccess(tx, inode, caller, Access.read);
}

/**
 * The same of changing one: user attributes for who may write, in a sticky directory for its owner; ACLs for the
 * owner; the rest for root. EACCES, EPERM.
 */
async function checkWriting(
  tx: StoreTransaction,
  inode: InodeRecord,
  name: Uint8Array,
  caller: Caller | undefined,
): Promise<void> {
  if (isPrivileged(caller)) return;
  if (isIn(TRUSTED, name) || isIn(SECURITY, name)) checkRoot(caller, 'change this attribute');
  else if (!isIn(USER, name) || (inode.mode & S_ISVTX) !== 0) checkOwner(inode, caller);
  if (isIn(USER, name)) await checkAccess(tx, inode, caller, Access.write);
}

/** What setting an attribute makes of it, and of the mode. */
interface XattrChange {
  /** Undefined: the attribute is not kept. */
  readonly value: Uint8Array | undefined;
  readonly mode: number;
}

/**
 * An access ACL changes the mode, and is kept only where the mode cannot say it all (acl(5)). EINVAL for a malformed
 * ACL, EOPNOTSUPP for one on a symbolic link, EACCES for a default ACL on what is no directory (acl_set_file(3)).
 */
function aclChange(inode: InodeRecord, { name, value, stripSetgid }: SetRequest): XattrChange {
  const isAccess = ACCESS_ACL.equals(name);
  if (!isAccess && !DEFAULT_ACL.equals(name)) return { value, mode: inode.mode };
  if (isSymlink(inode.mode)) throw new DfsError('EOPNOTSUPP', 'symbolic links have no ACLs');
  const acl = decodeAcl(value);
  if (!isAccess) {
    if (acl && !isDirectory(inode.mode)) throw new DfsError('EACCES', 'only directories have default ACLs');
    return { value: acl && encodeAcl(acl), mode: inode.mode };
  }
  return accessChange(inode.mode, acl, stripSetgid === true);
}

function accessChange(before: number, acl: Acl | undefined, stripsSetgid: boolean): XattrChange {
  if (!acl) return { value: undefined, mode: before };
  const mode = modeWithAcl(before, acl);
  return {
    value: isMinimal(acl) ? undefined : encodeAcl(acl),
    mode: stripsSetgid ? mode & ~S_ISGID : mode,
  };
}

/** setxattr(2): ENOSPC, "there is insufficient space remaining"; a longer list could not be returned. */
async function checkListRoom(tx: StoreTransaction, inode: number, name: Uint8Array): Promise<void> {
  const names = await tx.xattrs.names(inode);
  const bytes = names.reduce((sum, each) => sum + each.length + NAME_END_BYTES, 0);
  if (bytes + name.length + NAME_END_BYTES > MAX_XATTR_LIST_BYTES) {
    throw new DfsError('ENOSPC', `the attributes' names together have at most ${MAX_XATTR_LIST_BYTES} bytes`);
  }
}
