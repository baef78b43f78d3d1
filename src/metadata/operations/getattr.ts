/** stat(2). */
import { getattr as command } from '../../protocol/namespace-commands.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const getattr = operation(command, async (tx, { inode }) => ({
  attributes: attributesOf(await requireInode(tx, inode)),
}));
