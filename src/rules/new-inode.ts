/** What a new inode is: its own mode and owner, and what it inherits from its directory. */
import type { Timespec } from '../platform/clock.js';
import { ACCESS_ACL, DEFAULT_ACL } from '../protocol/attribute-names.js';
import { DfsError } from '../protocol/errors.js';
import {
  isDirectory,
  isSymlink,
  PERMISSION_BITS,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
} from '../protocol/file-mode.js';
import { DEFAULT_GOAL } from '../protocol/limits.js';
import type { Attributes, Caller } from '../protocol/types.js';
import { rootRefusal } from './permissions.js';
import { encodeAcl, inheritAcl, type Acl } from './posix-acl.js';
import type { Refusal } from './refusal.js';

/** What the creator asks for. */
export interface Created {
  /** Type and permission bits. */
  readonly mode: number;
  /** Permissions that are not given unless the directory has a default ACL; none when left out. */
  readonly umask?: number | undefined;
  readonly uid: number;
  readonly gid: number;
  readonly rdev?: number | undefined;
  readonly size?: number | undefined;
  /** Replicas, where the directory has no goal. */
  readonly goal?: number | undefined;
  /** Links to begin with, other than what its type has: none for O_TMPFILE. */
  readonly links?: number | undefined;
}

/** What a new inode inherits from. */
type Directory = Pick<Attributes, 'mode' | 'gid' | 'goal'>;

const MKNOD_TYPES: ReadonlySet<number> = new Set([S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK]);
const WHITEOUT_DEVICE = 0;

/**
 * A new inode. In a directory with the setgid bit the group is the directory's, and a new directory has the bit too
 * (inode(7)). A new directory has two links, its name and `.`. All times are that of the creation (POSIX open(), mkdir()).
 * @param defaultAcl the directory's, which takes the umask's place
 */
export function newInode(
  directory: Directory,
  number: number,
  created: Created,
  now: Timespec,
  defaultAcl?: Acl,
): Attributes {
  const isSubdirectory = isDirectory(created.mode);
  const isGroupInherited = (directory.mode & S_ISGID) !== 0;
  const mode = inheritedMode(created, defaultAcl);
  return {
    inode: number,
    // Numbers are never used again, so one generation is enough.
    generation: 1,
    mode: isGroupInherited && isSubdirectory ? mode | S_ISGID : mode,
    nlink: created.links ?? (isSubdirectory ? 2 : 1),
    uid: created.uid,
    gid: isGroupInherited ? directory.gid : created.gid,
    rdev: created.rdev ?? 0,
    size: created.size ?? 0,
    allocated: 0,
    atime: now,
    mtime: now,
    ctime: now,
    version: 1,
    goal: isSubdirectory ? directory.goal : directory.goal || (created.goal ?? DEFAULT_GOAL),
  };
}

/**
 * The ACLs that a new inode has: acl(5), "object creation and default ACLs". A directory passes its default ACL on to new
 * directories. A symbolic link has none.
 */
export function inheritedAcls(
  { mode }: Pick<Created, 'mode'>,
  defaultAcl: Acl | undefined,
): { readonly name: Uint8Array; readonly value: Uint8Array }[] {
  if (!defaultAcl || isSymlink(mode)) return [];
  const { access } = inheritAcl(defaultAcl, mode);
  return [
    ...(access ? [{ name: ACCESS_ACL, value: encodeAcl(access) }] : []),
    ...(isDirectory(mode) ? [{ name: DEFAULT_ACL, value: encodeAcl(defaultAcl) }] : []),
  ];
}

/** POSIX umask(): its bits are turned off in the mode of what is created; acl(5): unless there is a default ACL. */
function inheritedMode({ mode, umask = 0 }: Created, defaultAcl: Acl | undefined): number {
  if (isSymlink(mode)) return mode;
  return defaultAcl ? inheritAcl(defaultAcl, mode).mode : mode & ~(umask & PERMISSION_BITS);
}

/** symlink(7): "The permissions of a symbolic link are … always 0777". Its size is the length of its target. */
export function createdSymlink(target: Uint8Array, owner: { uid: number; gid: number }): Created {
  return { mode: S_IFLNK | 0o777, uid: owner.uid, gid: owner.gid, size: target.length };
}

/** mknod(2): "Zero file type is equivalent to type S_IFREG." */
export function mknodMode(mode: number): number {
  return (mode & S_IFMT || S_IFREG) | (mode & PERMISSION_BITS);
}

/** mknod(2): the device number counts for devices; "otherwise it is ignored". */
export function mknodDevice(mode: number, rdev: number): number {
  return isDevice(mode) ? rdev : 0;
}

/**
 * mknod(2): EINVAL, "mode requested creation of something other than a regular file, device special file, FIFO or socket";
 * EPERM, "the process is not privileged (Linux: does not have the CAP_MKNOD capability)".
 */
export function mknodRefusal(mode: number, rdev: number, caller: Caller | undefined): Refusal {
  if (!MKNOD_TYPES.has(mode & S_IFMT)) {
    return new DfsError(
      'EINVAL',
      'mknod makes regular files, fifos, sockets and devices; use mkdir or symlink',
    );
  }
  return isDevice(mode) && !isWhiteout(mode, rdev) ? rootRefusal(caller, 'make devices') : undefined;
}

/**
 * Whiteouts: devices with number 0/0, by which an overlay file system says in its upper layer that a name of a lower one is
 * gone (WHITEOUT_MODE and WHITEOUT_DEV in <linux/fs.h>). They open nothing, so that anybody may make them (vfs_mknod() since
 * Linux 5.8).
 */
export function createdWhiteout(owner: { readonly uid: number; readonly gid: number }): Created {
  return { mode: S_IFCHR, uid: owner.uid, gid: owner.gid, rdev: WHITEOUT_DEVICE };
}

function isWhiteout(mode: number, rdev: number): boolean {
  return (mode & S_IFMT) === S_IFCHR && rdev === WHITEOUT_DEVICE;
}

function isDevice(mode: number): boolean {
  return (mode & S_IFMT) === S_IFCHR || (mode & S_IFMT) === S_IFBLK;
}
