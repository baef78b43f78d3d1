/** One page of a directory, in the byte order of the names. */
import { readdir as command } from '../../protocol/namespace-commands.js';
import { attributesOf, requireDirectory } from '../namespace/inodes.js';
import { Access } from '../../rules/permissions.js';
import { checkAccess } from '../namespace/permissions.js';
import { operation } from '../operation.js';

/**
 * Names that stay while a directory is read are returned once; whether those that come or go meanwhile are is
 * unspecified (POSIX readdir()). Going on after a name rather than at a position keeps that whatever happens.
 */
export const readdir = operation(command, async (tx, { inode, after, limit, caller }, { rights }) => {
  const directory = await requireDirectory(tx, inode);
  await checkAccess(tx, directory, caller, Access.read);
  const page = await tx.dentries.after(inode, after, limit + 1);
  const entries = page
    .slice(0, limit)
    .map(entry => ({ name: entry.name, attributes: attributesOf(entry.inode) }));
  const last = entries.at(-1);
  return {
    entries,
    parent: inode === rights?.root ? inode : directory.parent,
    end: page.length <= limit,
    withXattrs: last ? await tx.xattrs.among(inode, after, last.name) : [],
  };
});
