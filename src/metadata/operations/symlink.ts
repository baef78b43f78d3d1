/** symlink(2). */
import { symlink as command } from '../../protocol/namespace-commands.js';
import { symlinkTargetRefusal } from '../../rules/names.js';
import { createdSymlink } from '../../rules/new-inode.js';
import { refuse } from '../../rules/refusal.js';
import { checkReserved, createInode, requireFreeName } from '../namespace/creation.js';
import { attributesOf } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const symlink = operation(command, async (tx, request, context) => {
  const { parent, name, target } = request;
  refuse(symlinkTargetRefusal(target));
  const directory = await requireFreeName(tx, parent, name, request.caller);
  await checkReserved(tx, request.number, context);
  const created = { ...createdSymlink(target, request), number: request.number };
  const inode = await createInode(tx, directory, name, created, context);
  await tx.symlinks.insert(inode.inode, target);
  return { attributes: attributesOf(inode) };
});
