/** getxattr(2), listxattr(2), setxattr(2) and removexattr(2). */
import { ACCESS_ACL, DEFAULT_ACL } from '../../protocol/attribute-names.js';
import { GOAL_OF_CREATOR } from '../../protocol/limits.js';
import {
  getxattr as getCommand,
  listxattr as listCommand,
  removexattr as removeCommand,
  setxattr as setCommand,
  XattrFlag,
} from '../../protocol/namespace-commands.js';
import type { Caller } from '../../protocol/types.js';
import { isPrivileged } from '../../rules/permissions.js';
import { refuse } from '../../rules/refusal.js';
import {
  aclRefusal,
  isTrusted,
  noXattr,
  setxattrRefusal,
  withMode,
  xattrChange,
  xattrExists,
  xattrFlagRefusal,
  xattrNameRefusal,
  xattrReadRefusal,
  xattrRoomRefusal,
  xattrWriteRefusal,
} from '../../rules/xattrs.js';
import { requireInode } from '../namespace/inodes.js';
import { consultedAcl } from '../namespace/permissions.js';
import { operation } from '../operation.js';
import { goalValue, isGoalAttribute, removeGoal, setGoal } from './goal-attribute.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

export const getxattr = operation(getCommand, async (tx, { inode, name, caller }) => {
  refuse(xattrNameRefusal(name));
  const record = await requireInode(tx, inode);
  refuse(xattrReadRefusal(record, name, caller, await consultedAcl(tx, record, caller)));
  if (isGoalAttribute(name)) return { value: goalValue(record) };
  const value = await tx.xattrs.get(inode, name);
  // getxattr(2): ENODATA, "the named attribute does not exist".
  if (!value) throw noXattr(name);
  return { value };
});

export const listxattr = operation(listCommand, async (tx, { inode, caller }) => {
  await requireInode(tx, inode);
  const names = await tx.xattrs.names(inode);
  // xattr(7): the trusted ones are for processes with CAP_SYS_ADMIN.
  return { names: isPrivileged(caller) ? names : names.filter(name => !isTrusted(name)) };
});

export const setxattr = operation(setCommand, async (tx, request, context) => {
  const { now } = context;
  const { name, value, flags } = request;
  refuse(setxattrRefusal(request));
  const inode = await requireInode(tx, request.inode);
  if (isGoalAttribute(name)) {
    if ((flags & XattrFlag.create) !== 0 && inode.goal !== GOAL_OF_CREATOR) throw xattrExists(name);
    if ((flags & XattrFlag.replace) !== 0) goalValue(inode);
    await setGoal(tx, inode, value, request.caller, context);
    return {};
  }
  await checkWriting(tx, inode, name, request.caller);
  refuse(aclRefusal(inode, request));
  const change = xattrChange(inode, request);
  const existing = await tx.xattrs.get(inode.inode, name);
  refuse(xattrFlagRefusal(request, existing !== undefined));
  if (!existing && change.value) refuse(xattrRoomRefusal(await tx.xattrs.names(inode.inode), name));
  if (change.value) await tx.xattrs.put(inode.inode, name, change.value);
  else await tx.xattrs.delete(inode.inode, name);
  await tx.inodes.update(withMode(inode, change.mode, now));
  return {};
});

export const removexattr = operation(removeCommand, async (tx, request, context) => {
  const { now } = context;
  const { name } = request;
  refuse(xattrNameRefusal(name));
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
    throw noXattr(name);
  }
  await tx.xattrs.delete(inode.inode, name);
  await tx.inodes.update(withMode(inode, inode.mode, now));
  return {};
});

/** xattr(7): EACCES, EPERM. */
async function checkWriting(
  tx: StoreTransaction,
  inode: InodeRecord,
  name: Uint8Array,
  caller: Caller | undefined,
): Promise<void> {
  refuse(xattrWriteRefusal(inode, name, caller, await consultedAcl(tx, inode, caller)));
}
