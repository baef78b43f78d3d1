/** Applies rules/permissions.ts with the ACLs of the store. Each function throws what its rule refuses. */
import { ACCESS_ACL } from '../../protocol/attribute-names.js';
import type { Caller } from '../../protocol/types.js';
import {
  Access,
  accessRefusal,
  isAclConsulted,
  isPrivileged,
  stickyRefusal,
} from '../../rules/permissions.js';
import { decodeAcl, type Acl } from '../../rules/posix-acl.js';
import { refuse } from '../../rules/refusal.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** EACCES unless the caller has every kind of access in `wanted` (Access bits). */
export async function checkAccess(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller | undefined,
  wanted: number,
): Promise<void> {
  if (isPrivileged(caller)) return;
  refuse(accessRefusal(inode, caller, wanted, await consultedAcl(tx, inode, caller)));
}

/** The inode's access ACL, where it says more than the mode does for this caller. */
export async function consultedAcl(
  tx: StoreTransaction,
  inode: InodeRecord,
  caller: Caller | undefined,
): Promise<Acl | undefined> {
  if (!isAclConsulted(inode, caller)) return undefined;
  const value = await tx.xattrs.get(inode.inode, ACCESS_ACL);
  return value && decodeAcl(value);
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

/** The caller may take the name of `inode` out of the directory. EACCES, EPERM. */
export async function checkDelete(
  tx: StoreTransaction,
  directory: InodeRecord,
  inode: InodeRecord,
  caller: Caller | undefined,
): Promise<void> {
  await checkCreate(tx, directory, caller);
  refuse(stickyRefusal(directory, inode, caller));
}
