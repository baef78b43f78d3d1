/** link(2). */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import { MAX_LINKS } from '../../protocol/limits.js';
import { link as command } from '../../protocol/namespace-commands.js';
import { requireFreeName, touchDirectory } from '../namespace/creation.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const link = operation(command, async (tx, { parent, name, inode: number, caller }, context) => {
  const inode = await requireInode(tx, number);
  // POSIX link(): EPERM for a directory; EMLINK when there are LINK_MAX links.
  if (isDirectory(inode.mode)) throw new DfsError('EPERM', 'a directory cannot have a second name');
  // link(2): a file whose last name is gone cannot get a new one, unless it was opened with O_TMPFILE.
  if (inode.nlink === 0 && inode.parent === 0)
    throw new DfsError('ENOENT', `inode ${number} has been deleted`);
  if (inode.nlink >= MAX_LINKS)
    throw new DfsError('EMLINK', `inode ${number} has ${MAX_LINKS} names already`);
  const directory = await requireFreeName(tx, parent, name, caller);
  if (inode.nlink === 0) await tx.orphans.delete(number);
  const linked = { ...inode, nlink: inode.nlink + 1, parent: 0, ctime: context.now };
  await tx.dentries.insert(parent, name, number);
  await tx.inodes.update(linked);
  await touchDirectory(tx, directory, 0, context);
  return { attributes: attributesOf(linked) };
});
