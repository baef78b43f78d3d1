/** One page of a directory's names, in their byte order; attributes only of directories. */
import { readnames as command } from '../../protocol/namespace-commands.js';
import { Access } from '../../rules/permissions.js';
import { attributesOf, requireDirectory } from '../namespace/inodes.js';
import { checkAccess } from '../namespace/permissions.js';
import { operation } from '../operation.js';

/** As readdir.ts. An inode's type never changes, so that it goes with the name. */
export const readnames = operation(command, async (tx, { inode, after, limit, caller }, { rights }) => {
  const directory = await requireDirectory(tx, inode);
  await checkAccess(tx, directory, caller, Access.read);
  const { packed, count, directories } = await tx.dentries.namesAfter(inode, after, limit);
  const within = directories > 0 ? await tx.dentries.directoriesAfter(inode, after, directories) : [];
  return {
    names: packed,
    count,
    directories: within.map(attributesOf),
    parent: inode === rights?.root ? inode : directory.parent,
    end: count < limit,
  };
});
