/** readlink(2). */
import { assert, DfsError } from '../../protocol/errors.js';
import { isSymlink } from '../../protocol/file-mode.js';
import { readlink as command } from '../../protocol/namespace-commands.js';
import { requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const readlink = operation(command, async (tx, { inode }) => {
  const { mode } = await requireInode(tx, inode);
  // POSIX readlink(): EINVAL, "The path argument names a file that is not a symbolic link."
  if (!isSymlink(mode)) throw new DfsError('EINVAL', `inode ${inode} is not a symbolic link`);
  const target = await tx.symlinks.get(inode);
  assert(target, `symbolic link ${inode} has no target`);
  return { target };
});
