/** setxattr(2), getxattr(2) and removexattr(2): names, who may use them, and what an ACL does to the mode. */
import type { Timespec } from '../platform/clock.js';
import { ACCESS_ACL, DEFAULT_ACL } from '../protocol/attribute-names.js';
import type { RequestOf } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import { isDirectory, isSymlink, S_ISGID, S_ISVTX } from '../protocol/file-mode.js';
import { MAX_XATTR_LIST_BYTES, MAX_XATTR_NAME_BYTES, MAX_XATTR_VALUE_BYTES } from '../protocol/limits.js';
import { XattrFlag, type setxattr } from '../protocol/namespace-commands.js';
import type { Attributes, Caller } from '../protocol/types.js';
import { quoted } from './names.js';
import { Access, accessRefusal, isPrivileged, ownerRefusal, rootRefusal } from './permissions.js';
import { decodeAcl, encodeAcl, isMinimal, modeWithAcl, type Acl } from './posix-acl.js';
import type { Refusal } from './refusal.js';

type SetxattrRequest = Omit<RequestOf<typeof setxattr>, 'once'>;

/** What setting an attribute makes of it, and of the mode. */
export interface XattrChange {
  /** Undefined: the attribute is not kept. */
  readonly value: Uint8Array | undefined;
  readonly mode: number;
}

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
export function xattrNameRefusal(name: Uint8Array): Refusal {
  if (name.length === 0 || name.length > MAX_XATTR_NAME_BYTES) {
    return new DfsError('ERANGE', `an attribute's name has 1 to ${MAX_XATTR_NAME_BYTES} bytes`);
  }
  if (name.includes(0)) return new DfsError('EINVAL', "an attribute's name must not hold a NUL");
  if (isAcl(name)) return undefined;
  const text = Buffer.from(name).toString('latin1');
  const namespace = NAMESPACES.find(prefix => text.startsWith(prefix));
  if (namespace === undefined) {
    return new DfsError('EOPNOTSUPP', 'attributes are user.*, trusted.*, security.* or POSIX ACLs');
  }
  if (text !== namespace) return undefined;
  return new DfsError('EINVAL', `the attribute's name ends after "${namespace}"`);
}

/**
 * setxattr(2) knows no flags but two (setxattr_copy() in Linux: EINVAL), and no value beyond XATTR_SIZE_MAX (E2BIG).
 */
export function setxattrRefusal({ name, value, flags }: SetxattrRequest): Refusal {
  if ((flags & ~(XattrFlag.create | XattrFlag.replace)) !== 0) {
    return new DfsError('EINVAL', `setting an extended attribute with flags ${flags} is not known here`);
  }
  if (value.length > MAX_XATTR_VALUE_BYTES) {
    return (
      xattrNameRefusal(name) ??
      new DfsError('E2BIG', `an attribute's value has at most ${MAX_XATTR_VALUE_BYTES} bytes`)
    );
  }
  return xattrNameRefusal(name);
}

/** setxattr(2): EEXIST with XATTR_CREATE, ENODATA with XATTR_REPLACE. */
export function xattrFlagRefusal({ name, flags }: SetxattrRequest, exists: boolean): Refusal {
  if (exists && (flags & XattrFlag.create) !== 0) return xattrExists(name);
  if (!exists && (flags & XattrFlag.replace) !== 0) return noXattr(name);
  return undefined;
}

/** setxattr(2): ENOSPC, "there is insufficient space remaining"; a longer list could not be returned. */
export function xattrRoomRefusal(names: readonly Uint8Array[], name: Uint8Array): Refusal {
  const bytes = names.reduce((sum, each) => sum + each.length + NAME_END_BYTES, 0);
  if (bytes + name.length + NAME_END_BYTES <= MAX_XATTR_LIST_BYTES) return undefined;
  return new DfsError('ENOSPC', `the attributes' names together have at most ${MAX_XATTR_LIST_BYTES} bytes`);
}

/** xattr(7): trusted attributes are for processes with CAP_SYS_ADMIN. */
export function isTrusted(name: Uint8Array): boolean {
  return isIn(TRUSTED, name);
}

/**
 * xattr(7), "Extended attribute namespaces": EACCES, and ENODATA for attributes that the caller is not to know of.
 * @param acl the inode's access ACL, if isAclConsulted()
 */
export function xattrReadRefusal(
  inode: Attributes,
  name: Uint8Array,
  caller: Caller | undefined,
  acl: Acl | undefined,
): Refusal {
  if (isPrivileged(caller)) return undefined;
  if (isTrusted(name)) return noXattr(name);
  return isIn(USER, name) ? accessRefusal(inode, caller, Access.read, acl) : undefined;
}

/**
 * The same of changing one: user attributes for those who may write, in a sticky directory for its owner; ACLs for the
 * owner; the rest for root. EACCES, EPERM.
 */
export function xattrWriteRefusal(
  inode: Attributes,
  name: Uint8Array,
  caller: Caller | undefined,
  acl: Acl | undefined,
): Refusal {
  if (isPrivileged(caller)) return undefined;
  if (isTrusted(name) || isIn(SECURITY, name)) return rootRefusal(caller, 'change this attribute');
  const isUser = isIn(USER, name);
  const notOwner = !isUser || (inode.mode & S_ISVTX) !== 0 ? ownerRefusal(inode, caller) : undefined;
  return notOwner ?? (isUser ? accessRefusal(inode, caller, Access.write, acl) : undefined);
}

/**
 * EINVAL for a malformed ACL, EOPNOTSUPP for one on a symbolic link, EACCES for a default ACL on what is no directory
 * (acl_set_file(3)).
 */
export function aclRefusal(inode: Attributes, { name, value }: SetxattrRequest): Refusal {
  if (!isAcl(name)) return undefined;
  if (isSymlink(inode.mode)) return new DfsError('EOPNOTSUPP', 'symbolic links have no ACLs');
  try {
    const acl = decodeAcl(value);
    if (!acl || ACCESS_ACL.equals(name) || isDirectory(inode.mode)) return undefined;
    return new DfsError('EACCES', 'only directories have default ACLs');
  } catch (error) {
    if (error instanceof DfsError) return error;
    throw error;
  }
}

/**
 * What a request that is not refused does: an access ACL changes the mode, and is kept only where the mode cannot say it all
 * (acl(5)).
 */
export function xattrChange(
  { mode: before }: Attributes,
  { name, value, stripSetgid }: SetxattrRequest,
): XattrChange {
  if (!isAcl(name)) return { value, mode: before };
  const acl = decodeAcl(value);
  if (!acl) return { value: undefined, mode: before };
  if (!ACCESS_ACL.equals(name)) return { value: encodeAcl(acl), mode: before };
  const mode = modeWithAcl(before, acl);
  return {
    value: isMinimal(acl) ? undefined : encodeAcl(acl),
    mode: stripSetgid === true ? mode & ~S_ISGID : mode,
  };
}

/** An inode whose attributes were changed, which marks its ctime as local file systems do it. */
export function withMode<Inode extends Attributes>(inode: Inode, mode: number, now: Timespec): Inode {
  return { ...inode, mode, ctime: now };
}

/** EEXIST. */
export function xattrExists(name: Uint8Array): DfsError {
  return new DfsError('EEXIST', `the attribute ${quoted(name)} exists already`);
}

/** getxattr(2): ENODATA, "the named attribute does not exist". */
export function noXattr(name: Uint8Array): DfsError {
  return new DfsError('ENODATA', `there is no attribute ${quoted(name)}`);
}

function isAcl(name: Uint8Array): boolean {
  return ACCESS_ACL.equals(name) || DEFAULT_ACL.equals(name);
}

function isIn(namespace: string, name: Uint8Array): boolean {
  return Buffer.from(name.subarray(0, namespace.length)).toString('latin1') === namespace;
}
