/** unlink(2). */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import { unlink as command } from '../../protocol/namespace-commands.js';
import { touchDirectory } from '../namespace/creation.js';
import { requireDirectory, requireEntry } from '../namespace/inodes.js';
import { checkEntryName, quoted } from '../namespace/names.js';
import { checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { operation } from '../operation.js';

export const unlink = operation(command, async (tx, { parent, name, caller }, context) => {
  checkEntryName(name);
  const directory = await requireDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  const inode = await requireEntry(tx, parent, name);
  await checkDelete(tx, directory, inode, caller);
  // unlink(2): EISDIR, "pathname refers to a directory" (what Linux returns where POSIX says EPERM).
  if (isDirectory(inode.mode)) throw new DfsError('EISDIR', `${quoted(name)} is a directory; use rmdir`);
  await tx.dentries.delete(parent, name);
  await touchDirectory(tx, directory, 0, context);
  return { inode: inode.inode, nlink: await dropLink(tx, inode, context) };
});
