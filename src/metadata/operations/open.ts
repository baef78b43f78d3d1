/** A session has an inode open: without a name, it lives on. */
import { open as command } from '../../protocol/metadata-commands.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';
import { markOpen } from './open-or-create.js';

export const open = operation(command, async (tx, { inode: number, session }, context) => {
  const { sessions, opens, clock } = context.state;
  sessions.require(session, clock.monotonicMs());
  opens.checkRoom(session);
  const inode = await requireInode(tx, number);
  markOpen(session, number, context);
  return { attributes: attributesOf(inode) };
});
