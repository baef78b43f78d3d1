/** link(2); with `replace` also onto a name that is taken, which then is the other file's from one moment to the next. */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import { MAX_LINKS } from '../../protocol/limits.js';
import { link as command } from '../../protocol/namespace-commands.js';
import type { Caller } from '../../protocol/types.js';
import { requireFreeName, touchDirectory } from '../namespace/creation.js';
import { attributesOf, requireInode, requireLinkedDirectory } from '../namespace/inodes.js';
import { checkEntryName, quoted } from '../namespace/names.js';
import { checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { operation } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

export const link = operation(command, async (tx, request, context) => {
  const { parent, name, inode: number, replace = false, caller } = request;
  const inode = await requireInode(tx, number);
  // POSIX link(): EPERM for a directory; EMLINK when there are LINK_MAX links.
  if (isDirectory(inode.mode)) throw new DfsError('EPERM', 'a directory cannot have a second name');
  // link(2): a file whose last name is gone cannot get a new one, unless it was opened with O_TMPFILE.
  if (inode.nlink === 0 && inode.parent === 0)
    throw new DfsError('ENOENT', `inode ${number} has been deleted`);
  if (inode.nlink >= MAX_LINKS)
    throw new DfsError('EMLINK', `inode ${number} has ${MAX_LINKS} names already`);
  const replaced = replace ? await tx.dentries.get(parent, name) : undefined;
  const directory = replaced
    ? await requireReplaceable(tx, parent, name, replaced, caller)
    : await requireFreeName(tx, parent, name, caller);
  // As POSIX rename() has it for two names of the same file: it does "no other action" and succeeds.
  if (replaced?.inode === number) return { attributes: attributesOf(inode) };
  if (inode.nlink === 0) await tx.orphans.delete(number);
  const linked = { ...inode, nlink: inode.nlink + 1, parent: 0, ctime: context.now };
  if (replaced) await tx.dentries.update(parent, name, number);
  else await tx.dentries.insert(parent, name, number);
  await tx.inodes.update(linked);
  await touchDirectory(tx, directory, 0, context);
  if (replaced) await dropLink(tx, replaced, context);
  return { attributes: attributesOf(linked) };
});

/** The directory in which `name` may be taken from `replaced`, with rename(2)'s checks. EACCES, EPERM, EISDIR. */
async function requireReplaceable(
  tx: StoreTransaction,
  parent: number,
  name: Uint8Array,
  replaced: InodeRecord,
  caller: Caller | undefined,
): Promise<InodeRecord> {
  checkEntryName(name);
  const directory = await requireLinkedDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  await checkDelete(tx, directory, replaced, caller);
  if (isDirectory(replaced.mode)) throw new DfsError('EISDIR', `${quoted(name)} is a directory`);
  return directory;
}
