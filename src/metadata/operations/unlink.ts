/** unlink(2). */
import { unlink as command } from '../../protocol/namespace-commands.js';
import { touched, unlinkRefusal } from '../../rules/entries.js';
import { requireDirectory, requireEntry } from '../namespace/inodes.js';
import { entryNameRefusal } from '../../rules/names.js';
import { refuse } from '../../rules/refusal.js';
import { checkDelete, checkSearch } from '../namespace/permissions.js';
import { dropLink } from '../namespace/removal.js';
import { operation } from '../operation.js';

export const unlink = operation(command, async (tx, { parent, name, caller }, context) => {
  refuse(entryNameRefusal(name));
  const directory = await requireDirectory(tx, parent);
  await checkSearch(tx, directory, caller);
  const inode = await requireEntry(tx, parent, name);
  await checkDelete(tx, directory, inode, caller);
  refuse(unlinkRefusal(inode, name));
  await tx.dentries.delete(parent, name);
  await tx.inodes.update(touched(directory, 0, context.now));
  return { inode: inode.inode, nlink: await dropLink(tx, inode, context) };
});
