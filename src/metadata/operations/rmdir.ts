/** rmdir(2). */
import { rmdir as command } from '../../protocol/namespace-commands.js';
import { notEmpty, rmdirRefusal, touched } from '../../rules/entries.js';
import { requireDirectory, requireEntry } from '../namespace/inodes.js';
import { entryNameRefusal } from '../../rules/names.js';
import { refuse } from '../../rules/refusal.js';
import { checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { operation } from '../operation.js';

export const rmdir = operation(command, async (tx, { parent, name, caller }, context) => {
  refuse(entryNameRefusal(name));
  const directory = await requireDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  const inode = await requireEntry(tx, parent, name);
  await checkDelete(tx, directory, inode, caller);
  refuse(rmdirRefusal(inode, name));
  if (!(await tx.dentries.isEmpty(inode.inode))) throw notEmpty(name);
  await tx.dentries.delete(parent, name);
  await tx.inodes.update(touched(directory, -1, context.now));
  await dropLink(tx, inode, context);
  return { inode: inode.inode };
});
