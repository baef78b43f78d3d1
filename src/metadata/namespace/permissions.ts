/**
 * Who may do what: the rules that a kernel enforces before it asks us, enforced again for those who ask without one
 * before them (POSIX 4.7 File Access Permissions; acl(5), "access check algorithm"). A request without a caller, or of
 * uid 0, may do everything.
 */
import { ACCESS_ACL } from '../../protocol/attribute-names.js';
import { DfsError } from '../../protocol/errors.js';
import { S_ISVTX } from '../../protocol/file-mode.js';
import type { Caller } from '../../protocol/types.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { AclTag, decodeAcl, type Acl } from './posix-acl.js';

/** What is asked of an inode; combined by or. */
export const Access = { execute: 1, write: 2, read: 4 } as const;

const OWNER_SHIFT = 6;
const GROUP_SHIFT = 3;
const RWX = 0o7;

/** Whether no rule stands in the caller's way. */
export function isPrivileged(caller: Caller | undefined): caller is undefined {
  return caller === undefined || caller.uid === 0;
}

export function isInGroup(caller: Caller, gid: number): boolean {
  return caller.gid === gid || caller.groups.includes(gid);
}

/** EACCES unless the caller has every kind of access in `wanted` (Access bits). */
export async function checkAccess(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller | undefined,
  wanted: number,
): Promise<void> {
  if (isPrivileged(caller) || (await isAllowed(tx, inode, caller, wanted))) return;
  throw new DfsError('EACCES', `user ${caller.uid} may not do this with inode ${inode.inode}`);
}

/** The caller may look names up in the directory. EACCES. */
export async function checkSearch(
  tx: StoreTransaction,
  directory: InodeRecord,
  caller: Caller | undefined,
): Promise<void> {
  await checkAccess(tx, directory, caller, Access.execute);
}

/** The caller may make names in the directory. EACCES. */
export async function checkCreate(
  tx: StoreTransaction,
  directory: InodeRecord,
  caller: Caller | undefined,
): Promise<void> {
  await checkAccess(tx, directory, caller, Access.write | Access.execute);
}

/**
 * The caller may take the name of `inode` out of the directory. EACCES; EPERM where the directory is sticky, and
 * neither it nor the inode is the caller's (unlink(2), rename(2)).
 */
export async function checkDelete(
  tx: StoreTransaction,
  directory: InodeRecord,
  inode: InodeRecord,
  caller: Caller | undefined,
): Promise<void> {
  if (isPrivileged(caller)) return;
  await checkCreate(tx, directory, caller);
  const isOwner = caller.uid === inode.uid || caller.uid === directory.uid;
  if ((directory.mode & S_ISVTX) === 0 || isOwner) return;
  throw new DfsError('EPERM', `in a sticky directory only its owner and the file's may remove a name`);
}

/** EPERM unless the inode is the caller's (chmod(2), utimensat(2), setxattr(2)). */
export function checkOwner(inode: InodeRecord, caller: Caller | undefined): void {
  if (isPrivileged(caller) || caller.uid === inode.uid) return;
  throw new DfsError('EPERM', `inode ${inode.inode} belongs to user ${inode.uid}, not ${caller.uid}`);
}

/** EPERM for everybody but root. */
export function checkRoot(caller: Caller | undefined, what: string): void {
  if (!isPrivileged(caller)) throw new DfsError('EPERM', `only root may ${what}`);
}

async function isAllowed(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller,
  wanted: number,
): Promise<boolean> {
  const { mode } = inode;
  if (caller.uid === inode.uid) return grants((mode >> OWNER_SHIFT) & RWX, wanted);
  const value = await tx.xattrs.get(inode.inode, ACCESS_ACL);
  const acl = value && decodeAcl(value);
  if (acl) return isAllowedByAcl(acl, inode, caller, wanted);
  const isMember = isInGroup(caller, inode.gid);
  return grants((isMember ? mode >> GROUP_SHIFT : mode) & RWX, wanted);
}

/** For who is not the owner. The group's bits of the mode are the mask. */
function isAllowedByAcl(acl: Acl, { mode, gid }: InodeRecord, caller: Caller, wanted: number): boolean {
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
