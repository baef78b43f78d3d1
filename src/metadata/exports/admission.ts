/** Executes operations for sessions, and for one that may not do everything only what it may. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Command } from '../../protocol/command.js';
import { DfsError } from '../../protocol/errors.js';
import { CLIENTS } from '../../protocol/roles.js';
import type { Operation, OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';
import { ruleOf } from './command-rules.js';
import type { SessionRights } from './session-rights.js';

/** Executes the request. Of a session with limited rights: EACCES, EROFS, and the caller is who it may be. */
export function perform<Request extends TSchema, Reply extends TSchema>(
  operation: Operation<Request, Reply>,
  tx: StoreTransaction,
  request: Static<Request>,
  context: OperationContext,
): Promise<Static<Reply>> {
  // Without a promise of its own: for most sessions there is nothing to ask.
  return context.rights
    ? performWithin(context.rights, operation, tx, request, context)
    : operation.execute(tx, request, context);
}

async function performWithin<Request extends TSchema, Reply extends TSchema>(
  rights: SessionRights,
  operation: Operation<Request, Reply>,
  tx: StoreTransaction,
  request: Static<Request>,
  context: OperationContext,
): Promise<Static<Reply>> {
  const admitted = await admit(operation.command, request, rights, context.untraced);
  return await operation.execute(tx, admitted, context);
}

/**
 * The request as it may be executed. EACCES when the session does not reach what it names, or nobody for whom it speaks may do it; EROFS.
 * @param tx notes nothing of what is read: the answer says nothing of it
 */
export async function admit<Request extends TSchema>(
  command: Command<Request>,
  request: Static<Request>,
  rights: SessionRights,
  tx: StoreTransaction,
): Promise<Static<Request>> {
  const rule = ruleOf(command);
  if (!rule) {
    if (command.allow !== CLIENTS) return request;
    throw new DfsError(
      'EACCES',
      `'${command.name}' is not for a machine with limited rights (dfs export list)`,
    );
  }
  if (!rights.hasBegun && !rule.isForStrangers)
    throw new DfsError('EACCES', 'this connection has begun no session');
  if (rule.isChange) rights.requireWritable();
  let admitted = request as object;
  for (const inode of rule.names(admitted)) await rights.requireReach(tx, inode);
  if (rule.within) admitted = await rule.within(admitted, rights, tx);
  return rights.isRoot ? admitted : await rule.identify(admitted, rights, tx);
}
