/** open(2) with O_TMPFILE: a regular file without a name, which lives while it is open, or until link(2). */
import { PERMISSION_BITS, S_IFREG } from '../../protocol/file-mode.js';
import { tmpfile as command } from '../../protocol/namespace-commands.js';
import { insertInode } from '../namespace/creation.js';
import { attributesOf, requireLinkedDirectory } from '../namespace/inodes.js';
import { Access } from '../../rules/permissions.js';
import { checkCreate } from '../namespace/permissions.js';
import { operation } from '../operation.js';
import { markOpen } from './open-or-create.js';

export const tmpfile = operation(
  command,
  async (tx, { parent, mode, umask, uid, gid, goal, caller, once }, context) => {
    context.state.opens.checkRoom(once.session);
    const directory = await requireLinkedDirectory(tx, parent);
    await checkCreate(tx, directory, caller);
    const permissions = mode & PERMISSION_BITS;
    const created = { mode: S_IFREG | permissions, umask, uid, gid, goal, links: 0 };
    const inode = await insertInode(tx, directory, created, context);
    await tx.orphans.insert(inode.inode);
    markOpen(once.session, inode.inode, context);
    context.rights?.noteOpen(inode.inode, Access.read | Access.write);
    return { attributes: attributesOf(inode) };
  },
  (request, reply, context) => markOpen(request.once.session, reply.attributes.inode, context),
);
