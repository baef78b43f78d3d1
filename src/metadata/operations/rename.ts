/** rename(2) and renameat2(2). */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, ROOT_INODE } from '../../protocol/file-mode.js';
import { rename as command } from '../../protocol/namespace-commands.js';
import { notEmpty } from '../../rules/entries.js';
import { entryNameRefusal } from '../../rules/names.js';
import { accessToMove } from '../../rules/permissions.js';
import { refuse } from '../../rules/refusal.js';
import {
  renamed,
  renameFlagsRefusal,
  renameMeaning,
  renameRoomRefusal,
  renameTargetRefusal,
  replaceRefusal,
  type RenameRecords,
} from '../../rules/rename.js';
import { requireDirectory, requireEntry, requireInode, requireLinkedDirectory } from '../namespace/inodes.js';
import { checkAccess, checkCreate, checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { replaceByWhiteout } from '../namespace/whiteout.js';
import { operation } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

export const rename = operation(command, async (tx, request, context) => {
  const { parent, name, newParent, newName, caller } = request;
  refuse(renameFlagsRefusal(request.flags));
  const meaning = renameMeaning(request.flags);
  refuse(entryNameRefusal(name));
  refuse(entryNameRefusal(newName));
  const from = await requireDirectory(tx, parent);
  const to = await requireLinkedDirectory(tx, newParent);
  await checkSearch(tx, from, caller);
  await checkSearch(tx, to, caller);
  const moved = await requireEntry(tx, parent, name);
  const target = await tx.dentries.get(newParent, newName);
  refuse(renameTargetRefusal(target, newName, meaning));
  if (isDirectory(moved.mode)) await checkNotBelow(tx, to, moved);
  const exchanged = meaning.isExchange ? target : undefined;
  if (exchanged && isDirectory(exchanged.mode)) await checkNotBelow(tx, from, exchanged);
  // POSIX rename(): for two names of the same file it does "no other action" and succeeds.
  if (target?.inode === moved.inode) return { inode: moved.inode, replaced: 0 };
  await checkDelete(tx, from, moved, caller);
  if (target) await checkDelete(tx, to, target, caller);
  else await checkCreate(tx, to, caller);
  if (parent !== newParent) {
    await checkAccess(tx, moved, caller, accessToMove(moved));
    if (exchanged) await checkAccess(tx, exchanged, caller, accessToMove(exchanged));
  }
  const records = { from, to, moved, target };
  if (!exchanged) {
    if (target) refuse(replaceRefusal(moved, target, newName));
    if (target && isDirectory(target.mode) && !(await tx.dentries.isEmpty(target.inode)))
      throw notEmpty(newName);
    refuse(renameRoomRefusal(records));
  }
  const after = renamed(records, meaning, context.now);
  if (parent !== newParent && [moved, exchanged].some(each => each && isDirectory(each.mode))) {
    const { exports } = context.state;
    await exports.directoryMoves(context.untraced, parent, newParent, exchanged !== undefined);
    context.control.onRollback(() => exports.parents.forget());
  }
  const reply = { inode: moved.inode, replaced: exchanged || !target ? 0 : target.inode };
  if (exchanged) {
    await tx.dentries.update(parent, name, exchanged.inode);
    await tx.dentries.update(newParent, newName, moved.inode);
    await updateAfter(tx, after);
    if (after.target) await updateAt(tx, after.target, parent);
    return reply;
  }
  const owner = request.whiteoutOwner ?? { uid: caller?.uid ?? 0, gid: caller?.gid ?? 0 };
  const whiteout = meaning.isWhiteout
    ? await replaceByWhiteout(tx, from, name, owner, context)
    : await tx.dentries.delete(parent, name);
  if (target) await tx.dentries.update(newParent, newName, moved.inode);
  else await tx.dentries.insert(newParent, newName, moved.inode);
  await updateAfter(tx, after);
  if (target) await dropLink(tx, target, context);
  return whiteout ? { ...reply, whiteout: whiteout.inode } : reply;
});

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

/** Writes the directories, and what moved between them. */
async function updateAfter(
  tx: StoreTransaction,
  { from, to, moved }: RenameRecords<InodeRecord>,
): Promise<void> {
  if (from !== to) await tx.inodes.update(from);
  await tx.inodes.update(to);
  await updateAt(tx, moved, to.inode);
}

/** The inode has its name in `parent` now. */
async function updateAt(tx: StoreTransaction, inode: InodeRecord, parent: number): Promise<void> {
  await tx.inodes.update({ ...inode, parent: isDirectory(inode.mode) ? parent : 0 });
}
