/** Several steps of a path in one round trip. */
import { DfsError } from '../../protocol/errors.js';
import { isDirectory, isSymlink } from '../../protocol/file-mode.js';
import { resolve as command } from '../../protocol/namespace-commands.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { quoted } from '../../rules/names.js';
import { checkSearch } from '../namespace/permissions.js';
import { operation } from '../operation.js';
import { step } from './lookup.js';

export const resolve = operation(command, async (tx, { start, names, caller }, context) => {
  let inode = await requireInode(tx, start);
  for (const [walked, name] of names.entries()) {
    // Whether and where a link leads is for the caller to say, who knows its own root.
    if (walked > 0 && isSymlink(inode.mode)) return { attributes: attributesOf(inode), walked };
    if (!isDirectory(inode.mode)) {
      const what = walked === 0 ? `inode ${start}` : quoted(names[walked - 1] ?? name);
      throw new DfsError('ENOTDIR', `${what} is not a directory`);
    }
    await checkSearch(tx, inode, caller);
    inode = await step(tx, inode, name, context);
  }
  return { attributes: attributesOf(inode), walked: names.length };
});
