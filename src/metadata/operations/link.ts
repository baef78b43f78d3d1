/** link(2); with `replace` also onto a name that is taken, which then is the other file's from one moment to the next. */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import { link as command } from '../../protocol/namespace-commands.js';
import type { Caller } from '../../protocol/types.js';
import { linked, linkRefusal, touched } from '../../rules/entries.js';
import { requireFreeName } from '../namespace/creation.js';
import { attributesOf, requireInode, requireLinkedDirectory } from '../namespace/inodes.js';
import { entryNameRefusal, quoted } from '../../rules/names.js';
import { refuse } from '../../rules/refusal.js';
import { checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { operation } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

export const link = operation(command, async (tx, request, context) => {
  const { parent, name, inode: number, replace = false, caller } = request;
  const inode = await requireInode(tx, number);
  refuse(linkRefusal(inode, inode.parent !== 0));
  const replaced = replace ? await tx.dentries.get(parent, name) : undefined;
  const directory = replaced
    ? await requireReplaceable(tx, parent, name, replaced, caller)
    : await requireFreeName(tx, parent, name, caller);
  // As POSIX rename() has it for two names of the same file: it does "no other action" and succeeds.
  if (replaced?.inode === number) return { attributes: attributesOf(inode) };
  if (inode.nlink === 0) await tx.orphans.delete(number);
  const named = { ...linked(inode, context.now), parent: 0 };
  if (replaced) await tx.dentries.update(parent, name, number);
  else await tx.dentries.insert(parent, name, number);
  await tx.inodes.update(named);
  await tx.inodes.update(touched(directory, 0, context.now));
  if (replaced) await dropLink(tx, replaced, context);
  return { attributes: attributesOf(named) };
});

/** The directory in which `name` may be taken from `replaced`, with rename(2)'s checks. EACCES, EPERM, EISDIR. */
async function requireReplaceable(
  tx: StoreTransaction,
  parent: number,
  name: Uint8Array,
  replaced: InodeRecord,
  caller: Caller | undefined,
): Promise<InodeRecord> {
  refuse(entryNameRefusal(name));
  const directory = await requireLinkedDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  await checkDelete(tx, directory, replaced, caller);
  if (isDirectory(replaced.mode)) throw new DfsError('EISDIR', `${quoted(name)} is a directory`);
  return directory;
}
