/** The classic `put`: creates a regular file, or opens the one that is there, with grants for its first chunks. */
import { DfsError, hasCode } from '../../protocol/errors.js';
import { PERMISSION_BITS, S_IFREG } from '../../protocol/file-mode.js';
import { put as command } from '../../protocol/content-commands.js';
import { issueGrants, NOTHING_GRANTED, type Granted, type GrantRequest } from '../content/grants.js';
import { operation, type OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';
import { markOpen, openOrCreate } from './open-or-create.js';

export const put = operation(
  command,
  async (tx, request, context) => {
    const { parent, name, uid, gid, goal, exclusive, umask, caller } = request;
    const opened = await openOrCreate(
      tx,
      {
        parent,
        name,
        exclusive,
        caller,
        created: {
          mode: S_IFREG | (request.mode & PERMISSION_BITS),
          umask,
          uid,
          gid,
          goal,
        },
        session: request.once.session,
      },
      context,
    );
    // What comes along is for the goal that the file has, which may be its directory's.
    const wanted = { ...request, goal: opened.attributes.goal };
    return { ...opened, ...(await grantsIfAny(tx, wanted, context)) };
  },
  (request, reply, context) => markOpen(request.once.session, reply.attributes.inode, context),
);

/**
 * A file can be created, and stay empty, without any data node: then there are no grants, and the client learns why
 * when it asks for some.
 */
async function grantsIfAny(
  tx: StoreTransaction,
  request: GrantRequest,
  context: OperationContext,
): Promise<Granted> {
  try {
    return await issueGrants(tx, request, context);
  } catch (error) {
    if (error instanceof DfsError && hasCode(error, 'EAGAIN', 'ENOSPC')) return NOTHING_GRANTED;
    throw error;
  }
}
