/** rmdir(2). */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import { rmdir as command } from '../../protocol/namespace-commands.js';
import { touchDirectory } from '../namespace/creation.js';
import { requireDirectory, requireEntry } from '../namespace/inodes.js';
import { checkEntryName, quoted } from '../namespace/names.js';
import { checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { operation } from '../operation.js';

export const rmdir = operation(command, async (tx, { parent, name, caller }, context) => {
  checkEntryName(name);
  const directory = await requireDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  const inode = await requireEntry(tx, parent, name);
  await checkDelete(tx, directory, inode, caller);
  // POSIX rmdir(): ENOTDIR, "a component of path is not a directory"; ENOTEMPTY, "not an empty directory".
  if (!isDirectory(inode.mode)) throw new DfsError('ENOTDIR', `${quoted(name)} is not a directory`);
  if (!(await tx.dentries.isEmpty(inode.inode))) {
    throw new DfsError('ENOTEMPTY', `directory ${quoted(name)} is not empty`);
  }
  await tx.dentries.delete(parent, name);
  await touchDirectory(tx, directory, -1, context);
  await dropLink(tx, inode, context);
  return { inode: inode.inode };
});
