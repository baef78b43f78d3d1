/** symlink(2). */
import { DfsError } from '../../protocol/errors.js';
import { S_IFLNK } from '../../protocol/file-mode.js';
import { MAX_SYMLINK_BYTES } from '../../protocol/limits.js';
import { symlink as command } from '../../protocol/namespace-commands.js';
import { checkReserved, createInode, requireFreeName } from '../namespace/creation.js';
import { attributesOf } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const symlink = operation(command, async (tx, request, context) => {
  const { parent, name, target, uid, gid } = request;
  // symlink(2): ENOENT, "target is the empty string"; ENAMETOOLONG, "target or linkpath was too long".
  if (target.length === 0) throw new DfsError('ENOENT', "a symbolic link's target must not be empty");
  if (target.length > MAX_SYMLINK_BYTES) {
    throw new DfsError('ENAMETOOLONG', `a symbolic link's target has at most ${MAX_SYMLINK_BYTES} bytes`);
  }
  if (target.includes(0)) throw new DfsError('EINVAL', "a symbolic link's target must not hold a NUL");
  const directory = await requireFreeName(tx, parent, name, request.caller);
  await checkReserved(tx, request.number, context);
  const inode = await createInode(
    tx,
    directory,
    name,
    // symlink(7): "The permissions of a symbolic link are … always 0777". Its size is the length of its target.
    { mode: S_IFLNK | 0o777, uid, gid, rdev: 0, size: target.length, number: request.number },
    context,
  );
  await tx.symlinks.insert(inode.inode, target);
  return { attributes: attributesOf(inode) };
});
