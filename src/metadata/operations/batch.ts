/** Commits what a session has acknowledged to its programs of inodes that it has to itself (leases/exclusive-leases.ts). */
import type { TSchema } from '@sinclair/typebox';
import { DfsError } from '../../protocol/errors.js';
import { shownTime } from '../../rules/file-time.js';
import type { RequestOf } from '../../protocol/command.js';
import { batch as command } from '../../protocol/session-commands.js';
import type { Once } from '../../protocol/types.js';
import { operation, type Operation, type OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';
import { blocks } from './blocks.js';
import { perform } from '../exports/admission.js';
import { HeldElsewhere } from '../leases/reading.js';
import { aheadOf, freeBytesOf, reserved } from './hold.js';
import { link } from './link.js';
import { mkdir } from './mkdir.js';
import { mknod } from './mknod.js';
import { rename } from './rename.js';
import { rmdir } from './rmdir.js';
import { setattr } from './setattr.js';
import { symlink } from './symlink.js';
import { unlink } from './unlink.js';
import { removexattr, setxattr } from './xattrs.js';

type Change = RequestOf<typeof command>['changes'][number];

/** What may come in a batch: each is done in one go. */
const OPERATIONS: ReadonlyMap<
  number,
  (tx: StoreTransaction, change: Change, once: Once, context: OperationContext) => Promise<void>
> = new Map([
  executing(blocks),
  executing(link),
  executing(mkdir),
  executing(mknod),
  executing(removexattr),
  executing(rename),
  executing(rmdir),
  executing(setattr),
  executing(setxattr),
  executing(symlink),
  executing(unlink),
]);

export const batch = operation(command, async (tx, { changes, reserve, once }, context) => {
  // Others have been given what it had, and have seen the state of before.
  if (context.state.exclusive.isForfeited(once.session)) {
    throw new DfsError('EIO', 'this client was away for too long, and others have gone on without it');
  }
  requireReplayed(changes, context);
  const refused: { index: number; code: string; message: string }[] = [];
  for (const [index, change] of changes.entries()) {
    const changesBefore = tx.changes;
    try {
      const execute = OPERATIONS.get(change.command);
      if (!execute) throw new DfsError('EPROTO', `command ${change.command} cannot stand in a batch`);
      const now = shownTime(change.at, context.now);
      // The batch is remembered as one request, so it is done as a whole or not at all.
      await execute(tx, change, once, { ...context, mayPause: false, now });
    } catch (error) {
      if (!(error instanceof DfsError) || error instanceof HeldElsewhere) throw error;
      if (tx.changes !== changesBefore) throw error;
      refused.push({ index, code: error.code, message: error.message });
    }
  }
  return {
    refused,
    now: context.now,
    ahead: aheadOf(context),
    freeBytes: freeBytesOf(context),
    ...reserved(once.session, reserve, context),
  };
});

function executing<Request extends TSchema, Reply extends TSchema>(
  each: Operation<Request, Reply>,
): [number, (tx: StoreTransaction, change: Change, once: Once, context: OperationContext) => Promise<void>] {
  return [
    each.command.number,
    async (tx, change, once, context) => {
      await perform(each, tx, each.command.request.check({ ...change.request, once }), context);
    },
  ];
}

/** The batch runs when nothing is owed to the files whose intents it carries out. */
function requireReplayed(changes: readonly Change[], { state }: OperationContext): void {
  const owed = new Set<number>();
  for (const { command: number, request } of changes) {
    if (number !== blocks.command.number || !('carriesOut' in request) || !('inode' in request)) continue;
    const { inode } = request;
    if (typeof inode !== 'number') continue;
    if (state.intentLogs.isOwed(inode, state.exclusive.holderOf(inode))) owed.add(inode);
  }
  if (owed.size > 0) throw new HeldElsewhere([...owed]);
}
