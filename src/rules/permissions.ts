/**
 * Who may do what (POSIX 4.7 File Access Permissions; acl(5), "access check algorithm"). A kernel enforces the same rules
 * before it asks; they are enforced again for requests that come without a kernel. A request without a caller, or of uid 0,
 * may do everything.
 */
import { DfsError } from '../protocol/errors.js';
import { isDirectory, S_ISVTX } from '../protocol/file-mode.js';
import type { Attributes, Caller } from '../protocol/types.js';
import { AclTag, type Acl } from './posix-acl.js';
import type { Refusal } from './refusal.js';

/** What the rules look at. */
type Owned = Pick<Attributes, 'inode' | 'mode' | 'uid' | 'gid'>;

/** What is asked of an inode; combined by or. */
export const Access = { execute: 1, write: 2, read: 4 } as const;

const OWNER_SHIFT = 6;
const GROUP_SHIFT = 3;
const RWX = 0o7;

/** Whether no rule stands in the caller's way. */
export function isPrivileged(caller: Caller | undefined): caller is undefined {
  return caller === undefined || caller.uid === 0;
}

/** Whether the group is one of the caller's. */
export function isInGroup(caller: Caller, gid: number): boolean {
  return caller.gid === gid || caller.groups.includes(gid);
}

/** Whether the inode's access ACL has a say: for the owner the mode says it all (acl(5)). */
export function isAclConsulted(inode: Owned, caller: Caller | undefined): boolean {
  return !isPrivileged(caller) && caller.uid !== inode.uid;
}

/**
 * EACCES unless the caller has every kind of access in `wanted` (Access bits).
 * @param acl the inode's access ACL, if it has one and isAclConsulted()
 */
export function accessRefusal(
  inode: Owned,
  caller: Caller | undefined,
  wanted: number,
  acl: Acl | undefined,
): Refusal {
  if (isPrivileged(caller) || isAllowed(inode, caller, wanted, acl)) return undefined;
  return new DfsError('EACCES', `user ${caller.uid} may not do this with inode ${inode.inode}`);
}

/**
 * unlink(2), and rename(2) likewise: EPERM, "the directory containing pathname has the sticky bit (S_ISVTX) set and the
 * process's effective UID is neither the UID of the file to be deleted nor that of the directory containing it".
 */
export function stickyRefusal(directory: Owned, inode: Owned, caller: Caller | undefined): Refusal {
  if (isPrivileged(caller) || (directory.mode & S_ISVTX) === 0) return undefined;
  if (caller.uid === inode.uid || caller.uid === directory.uid) return undefined;
  return new DfsError('EPERM', "in a sticky directory only its owner and the file's may remove a name");
}

/** EPERM unless the inode is the caller's (chmod(2), utimensat(2), setxattr(2)). */
export function ownerRefusal(inode: Owned, caller: Caller | undefined): Refusal {
  if (isPrivileged(caller) || caller.uid === inode.uid) return undefined;
  return new DfsError('EPERM', `inode ${inode.inode} belongs to user ${inode.uid}, not ${caller.uid}`);
}

/** EPERM for everybody but root. */
export function rootRefusal(caller: Caller | undefined, what: string): Refusal {
  return isPrivileged(caller) ? undefined : new DfsError('EPERM', `only root may ${what}`);
}

/**
 * What an inode must allow besides when it moves to another directory. rename(2): EACCES, "oldpath is a directory and does
 * not allow write permission (needed to update the .. entry)".
 */
export function accessToMove(inode: Owned): number {
  return isDirectory(inode.mode) ? Access.write : 0;
}

function isAllowed(inode: Owned, caller: Caller, wanted: number, acl: Acl | undefined): boolean {
  const { mode } = inode;
  if (caller.uid === inode.uid) return grants((mode >> OWNER_SHIFT) & RWX, wanted);
  if (acl) return isAllowedByAcl(acl, inode, caller, wanted);
  const isMember = isInGroup(caller, inode.gid);
  return grants((isMember ? mode >> GROUP_SHIFT : mode) & RWX, wanted);
}

/** For a caller that is not the owner. The group's bits of the mode are the mask. */
function isAllowedByAcl(acl: Acl, { mode, gid }: Owned, caller: Caller, wanted: number): boolean {
  const mask = (mode >> GROUP_SHIFT) & RWX;
  let isMember = false;
  for (const { tag, id, permissions } of acl) {
    if (tag === AclTag.user && id === caller.uid) return grants(permissions & mask, wanted);
    const group = tag === AclTag.groupObject ? gid : tag === AclTag.group ? id : undefined;
    if (group === undefined || !isInGroup(caller, group)) continue;
    isMember = true;
    if (grants(permissions & mask, wanted)) return true;
  }
  return !isMember && grants(mode & RWX, wanted);
}

function grants(permissions: number, wanted: number): boolean {
  return (permissions & wanted) === wanted;
}
