/** rename(2) and renameat2(2). */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, ROOT_INODE } from '../../protocol/file-mode.js';
import { rename as command, RenameFlag } from '../../protocol/namespace-commands.js';
import type { Caller } from '../../protocol/types.js';
import { checkSubdirectoryRoom, touchDirectory } from '../namespace/creation.js';
import { requireDirectory, requireEntry, requireInode, requireLinkedDirectory } from '../namespace/inodes.js';
import { checkEntryName, quoted } from '../namespace/names.js';
import { Access, checkAccess, checkCreate, checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { replaceByWhiteout } from '../namespace/whiteout.js';
import { operation, type OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** One of the two names of a rename. */
interface Place {
  readonly directory: InodeRecord;
  readonly name: Uint8Array;
}

export const rename = operation(command, async (tx, request, context) => {
  const { parent, name, newParent, newName, caller } = request;
  const { isExchange, isNoReplace, isWhiteout } = meaningOf(request.flags);
  // POSIX rename(): EINVAL for a final component that is dot or dot-dot.
  checkEntryName(name);
  checkEntryName(newName);
  const from: Place = { directory: await requireDirectory(tx, parent), name };
  const to: Place = { directory: await requireLinkedDirectory(tx, newParent), name: newName };
  await checkSearch(tx, from.directory, caller);
  await checkSearch(tx, to.directory, caller);
  const moved = await requireEntry(tx, parent, name);
  const target = await tx.dentries.get(newParent, newName);
  // renameat2(2): EEXIST with RENAME_NOREPLACE; ENOENT with RENAME_EXCHANGE when newpath does not exist.
  if (isNoReplace && target) throw new DfsError('EEXIST', `${quoted(newName)} exists already`);
  if (isExchange && !target) throw new DfsError('ENOENT', `${quoted(newName)} does not exist`);
  if (isDirectory(moved.mode)) await checkNotBelow(tx, to.directory, moved);
  if (isExchange && target && isDirectory(target.mode)) await checkNotBelow(tx, from.directory, target);
  // POSIX rename(): for two names of the same file it does "no other action" and succeeds.
  if (target?.inode === moved.inode) return { inode: moved.inode, replaced: 0 };
  await checkDelete(tx, from.directory, moved, caller);
  if (target) await checkDelete(tx, to.directory, target, caller);
  else await checkCreate(tx, to.directory, caller);
  if (parent !== newParent) {
    await checkParentChange(tx, moved, caller);
    if (target && isExchange) await checkParentChange(tx, target, caller);
  }
  if (target && isExchange) {
    await exchange(tx, from, moved, to, target, context);
    return { inode: moved.inode, replaced: 0 };
  }
  if (target) await checkReplaceable(tx, moved, target, newName);
  if (isDirectory(moved.mode) && parent !== newParent) checkSubdirectoryRoom(to.directory);
  const owner = request.whiteoutOwner ?? { uid: caller?.uid ?? 0, gid: caller?.gid ?? 0 };
  const whiteout = await move(tx, from, moved, to, target, isWhiteout ? owner : undefined, context);
  const reply = { inode: moved.inode, replaced: target?.inode ?? 0 };
  return whiteout ? { ...reply, whiteout: whiteout.inode } : reply;
});

/**
 * renameat2(2): EINVAL, "An invalid flag was specified in flags", "both RENAME_NOREPLACE and RENAME_EXCHANGE were specified",
 * "both RENAME_WHITEOUT and RENAME_EXCHANGE were specified".
 */
function meaningOf(flags: number): { isExchange: boolean; isNoReplace: boolean; isWhiteout: boolean } {
  const { noreplace, exchange: swap, whiteout } = RenameFlag;
  if ((flags & ~(noreplace | swap | whiteout)) !== 0) {
    throw new DfsError('EINVAL', `a rename with flags ${flags} is not known here`);
  }
  const isExchange = (flags & swap) !== 0;
  if (isExchange && flags !== swap) {
    throw new DfsError(
      'EINVAL',
      'a rename that exchanges two names can neither keep one of them nor leave a whiteout',
    );
  }
  return { isExchange, isNoReplace: (flags & noreplace) !== 0, isWhiteout: (flags & whiteout) !== 0 };
}

/** rename(2): EACCES, "oldpath is a directory and does not allow write permission (needed to update the .. entry)". */
async function checkParentChange(
  tx: StoreTransaction,
  moved: InodeRecord,
  caller: Caller | undefined,
): Promise<void> {
  if (isDirectory(moved.mode)) await checkAccess(tx, moved, caller, Access.write);
}

/** POSIX rename(): EINVAL when the new directory lies below the directory that is moved, or is it. */
async function checkNotBelow(
  tx: StoreTransaction,
  directory: InodeRecord,
  moved: InodeRecord,
): Promise<void> {
  let at = directory;
  for (;;) {
    if (at.inode === moved.inode) {
      throw new DfsError('EINVAL', 'a directory cannot be moved into itself or below itself');
    }
    if (at.inode === ROOT_INODE) return;
    at = await requireInode(tx, at.parent);
  }
}

/**
 * POSIX rename(): EISDIR, the new name is a directory and the old one is not; ENOTDIR, the other way round; ENOTEMPTY,
 * the directory to be replaced has entries.
 */
async function checkReplaceable(
  tx: StoreTransaction,
  moved: InodeRecord,
  target: InodeRecord,
  name: Uint8Array,
): Promise<void> {
  if (isDirectory(target.mode)) {
    if (!isDirectory(moved.mode)) throw new DfsError('EISDIR', `${quoted(name)} is a directory`);
    if (!(await tx.dentries.isEmpty(target.inode))) {
      throw new DfsError('ENOTEMPTY', `directory ${quoted(name)} is not empty`);
    }
  } else if (isDirectory(moved.mode)) {
    throw new DfsError('ENOTDIR', `${quoted(name)} is not a directory`);
  }
}

/** @returns the whiteout that is in the old place now, if it is to have an owner */
async function move(
  tx: StoreTransaction,
  from: Place,
  moved: InodeRecord,
  to: Place,
  target: InodeRecord | undefined,
  whiteoutOwner: { readonly uid: number; readonly gid: number } | undefined,
  context: OperationContext,
): Promise<InodeRecord | undefined> {
  const whiteout =
    whiteoutOwner && (await replaceByWhiteout(tx, from.directory, from.name, whiteoutOwner, context));
  if (!whiteout) await tx.dentries.delete(from.directory.inode, from.name);
  if (target) await tx.dentries.update(to.directory.inode, to.name, moved.inode);
  else await tx.dentries.insert(to.directory.inode, to.name, moved.inode);
  const gone = isDirectory(moved.mode) ? 1 : 0;
  const replaced = target && isDirectory(target.mode) ? 1 : 0;
  await touchBoth(tx, from.directory, -gone, to.directory, gone - replaced, context);
  await place(tx, moved, to.directory.inode, context);
  if (target) await dropLink(tx, target, context);
  return whiteout;
}

async function exchange(
  tx: StoreTransaction,
  from: Place,
  moved: InodeRecord,
  to: Place,
  target: InodeRecord,
  context: OperationContext,
): Promise<void> {
  await tx.dentries.update(from.directory.inode, from.name, target.inode);
  await tx.dentries.update(to.directory.inode, to.name, moved.inode);
  const difference = (isDirectory(moved.mode) ? 1 : 0) - (isDirectory(target.mode) ? 1 : 0);
  await touchBoth(tx, from.directory, -difference, to.directory, difference, context);
  await place(tx, moved, to.directory.inode, context);
  await place(tx, target, from.directory.inode, context);
}

async function touchBoth(
  tx: StoreTransaction,
  from: InodeRecord,
  fromSubdirectories: number,
  to: InodeRecord,
  toSubdirectories: number,
  context: OperationContext,
): Promise<void> {
  if (from.inode === to.inode) {
    await touchDirectory(tx, to, fromSubdirectories + toSubdirectories, context);
    return;
  }
  await touchDirectory(tx, from, fromSubdirectories, context);
  await touchDirectory(tx, to, toSubdirectories, context);
}

/** The inode has its name in `parent` now. Its ctime changes, as Linux file systems do it (POSIX leaves it open). */
async function place(
  tx: StoreTransaction,
  inode: InodeRecord,
  parent: number,
  { now }: OperationContext,
): Promise<void> {
  await tx.inodes.update({ ...inode, ctime: now, parent: isDirectory(inode.mode) ? parent : 0 });
}
