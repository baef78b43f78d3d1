/** A session has an inode open: without a name, it lives on. */
import { open as command } from '../../protocol/content-commands.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { checkAccess } from '../namespace/permissions.js';
import { operation } from '../operation.js';
import { markOpen } from './open-or-create.js';

export const open = operation(command, async (tx, { inode: number, session, caller, access }, context) => {
  const { sessions, opens, clock } = context.state;
  sessions.require(session, clock.monotonicMs());
  opens.checkRoom(session);
  const inode = await requireInode(tx, number);
  await checkAccess(tx, inode, caller, access ?? 0);
  markOpen(session, number, context);
  context.rights?.noteOpen(number, access ?? 0);
  return { attributes: attributesOf(inode) };
});
