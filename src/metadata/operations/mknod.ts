/** mknod(2), and open(2) with O_CREAT for a client that wants no grants. */
import { isRegularFile } from '../../protocol/file-mode.js';
import { mknod as command } from '../../protocol/namespace-commands.js';
import { mknodDevice, mknodMode, mknodRefusal } from '../../rules/new-inode.js';
import { refuse } from '../../rules/refusal.js';
import { checkReserved } from '../namespace/creation.js';
import { operation } from '../operation.js';
import { markOpen, openOrCreate } from './open-or-create.js';

export const mknod = operation(
  command,
  async (tx, request, context) => {
    const mode = mknodMode(request.mode);
    refuse(mknodRefusal(mode, request.rdev, request.caller));
    await checkReserved(tx, request.number, context);
    return await openOrCreate(
      tx,
      {
        parent: request.parent,
        name: request.name,
        caller: request.caller,
        exclusive: request.exclusive || !isRegularFile(mode),
        created: {
          mode,
          umask: request.umask,
          uid: request.uid,
          gid: request.gid,
          rdev: mknodDevice(mode, request.rdev),
          goal: request.goal,
          number: request.number,
        },
        session: request.open ? request.once.session : undefined,
      },
      context,
    );
  },
  (request, reply, context) => {
    if (request.open) markOpen(request.once.session, reply.attributes.inode, context);
  },
);
