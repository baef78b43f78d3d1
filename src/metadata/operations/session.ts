/** Begins, renews and ends sessions. */
import {
  end as endCommand,
  renew as renewCommand,
  session as sessionCommand,
} from '../../protocol/session-commands.js';
import { inodesOf, type InodeRange } from '../../protocol/inode-ranges.js';
import { closeInode } from '../namespace/removal.js';
import { operation, type OperationContext } from '../operation.js';
import type { Session } from '../session-table.js';
import type { CounterName, StoreTransaction } from '../store/store.js';
import { markOpen } from './open-or-create.js';

const SECRET_BYTES = 16;
/** What one client may have to itself when it comes back to a server that was started anew. */
const MOST_HELD = 1 << 20;
/** Inodes closed in one transaction when a session ends. */
const CLOSED_AT_ONCE = 256;

/**
 * A client that comes back says what it has open. That is added to what is known rather than put in its place: a
 * request of its that is being repeated may have opened more, and each `release` is repeated until it is answered.
 */
export const session = operation(sessionCommand, async (tx, request, context) => {
  const { state } = context;
  const monotonicMs = state.clock.monotonicMs();
  const known = state.sessions.authenticate(request.session, request.secret);
  const rights = await state.exports.find(context.untraced, context.peer, request.path);
  const resumed = known ?? (await begin(tx, request.client, context));
  if (context.peer) state.exports.begin(context.peer, resumed.id, request, rights);
  resumed.heardMs = monotonicMs;
  for (const inode of request.opens) markOpen(resumed.id, inode, context);
  const locks = known ? (request.locks ?? []) : [];
  if (known && locks.length === 0) await tx.counters.delete(forfeitRecord(known.id));
  const locksKept = state.locks.resume(resumed.id, context.peer, locks);
  const mayDecide = context.peer === undefined || state.exports.of(context.peer)?.mayDecide !== false;
  if (known && !mayDecide && (request.held ?? []).length > 0) await takeHeld(tx, known.id, context);
  const heldKept = await resumeHeld(tx, known, request.held ?? [], context);
  state.sessions.resume(resumed, monotonicMs);
  state.leases.disconnect(resumed.id);
  return {
    session: resumed.id,
    secret: resumed.secret,
    resumed: known !== undefined,
    locksKept,
    heldKept,
    cluster: state.cluster.cluster,
    leaseMs: await renewLease(tx, resumed, request.caches ?? false, context),
    now: context.now,
    run: state.run,
    lost: await lostOf(tx, known, request.unsynced ?? []),
    ...(rights ? { rights } : {}),
  };
});

export const renew = operation(renewCommand, async (tx, request, context) => {
  const { sessions, clock } = context.state;
  const known = sessions.require(request.session, clock.monotonicMs());
  return { leaseMs: await renewLease(tx, known, request.caches ?? false, context), now: context.now };
});

/** Ending a session that has ended already is no error: the answer to the first `end` was lost. */
export const end = operation(endCommand, async (tx, request, context) => {
  const known = context.state.sessions.get(request.session);
  if (known) await endSession(tx, known, context);
  context.state.locks.end(request.session);
  return {};
});

/**
 * The requests that were answered and are not on record: a power loss took them. What is on record of a request was
 * committed with it, and is deleted only in a later transaction, which cannot have survived without it.
 */
async function lostOf(
  tx: StoreTransaction,
  known: Session | undefined,
  sequences: readonly number[],
): Promise<number[]> {
  // Of a session that has ended nothing is on record.
  if (!known) return [...sequences];
  const lost: number[] = [];
  for (const sequence of sequences) {
    if (sequence <= known.acknowledged) continue;
    if ((await tx.replies.get(known.id, sequence)) === undefined) lost.push(sequence);
  }
  return lost;
}

/** Where it is recorded that the locks of a session were let go without its client's knowing. */
export function forfeitRecord(id: number): CounterName {
  return `locks-forfeited-${id}`;
}

/** Where it is recorded that a session lost what it had to itself without its client's knowing. */
export function heldForfeitRecord(id: number): CounterName {
  return `held-forfeited-${id}`;
}

/**
 * Records that a session whose client is gone has lost what it had to itself (leases/exclusive-leases.ts). Others may use it when
 * this is committed.
 */
export async function forfeitHeld(
  tx: StoreTransaction,
  id: number,
  { state, control }: OperationContext,
): Promise<void> {
  const { exclusive, leases } = state;
  if (exclusive.mayHold(id) && leases.isGone(id)) await takeHeld(tx, id, { state, control });
}

/** Records that a session has nothing to itself any more, whether it knows that or not. */
async function takeHeld(
  tx: StoreTransaction,
  id: number,
  { state, control }: Pick<OperationContext, 'state' | 'control'>,
): Promise<void> {
  await tx.counters.set(heldForfeitRecord(id), 1);
  control.requireDurable();
  state.exclusive.forfeit(id);
}

/** Whether a client still has what it had to itself before its connection broke. One that accepts the loss is told so no more. */
async function resumeHeld(
  tx: StoreTransaction,
  known: Session | undefined,
  held: readonly InodeRange[],
  { state: { exclusive } }: OperationContext,
): Promise<boolean> {
  if (!known) return false;
  if (held.length === 0 && exclusive.isForfeited(known.id)) {
    await tx.counters.delete(heldForfeitRecord(known.id));
    exclusive.accept(known.id);
  }
  return exclusive.resume(known.id, inodesOf(held, MOST_HELD));
}

/**
 * Records that the locks of a session whose client is away are let go. They may be when this is committed, not
 * before. Returns whether they are: the client may have come back meanwhile.
 */
export async function forfeitLocks(
  tx: StoreTransaction,
  id: number,
  context: OperationContext,
): Promise<boolean> {
  const { locks } = context.state;
  if (!locks.abandoned().includes(id)) return false;
  await tx.counters.set(forfeitRecord(id), 1);
  context.control.requireDurable();
  locks.forfeit(id);
  return true;
}

/**
 * Closes what a session had open, in several transactions if that is much, and forgets it. From the beginning nobody
 * may use it; should a transaction fail it is there again, to be ended once more.
 */
export async function endSession(
  begun: StoreTransaction,
  ended: Session,
  context: OperationContext,
): Promise<void> {
  let tx = begun;
  const { sessions, opens, clock } = context.state;
  if (sessions.get(ended.id) !== ended) return;
  const bringBack = (): void => sessions.add(ended);
  sessions.delete(ended, clock.monotonicMs());
  context.state.leases.end(ended.id);
  context.state.exclusive.end(ended.id);
  context.state.exports.end(ended.id);
  context.control.onRollback(bringBack);
  for (const [index, inode] of opens.of(ended.id).entries()) {
    if (index > 0 && index % CLOSED_AT_ONCE === 0) {
      tx = await context.control.pause();
      context.control.onRollback(bringBack);
    }
    await closeInode(tx, ended.id, inode, context);
  }
  await tx.sessions.delete(ended.id);
  await tx.counters.delete(forfeitRecord(ended.id));
  await tx.counters.delete(heldForfeitRecord(ended.id));
  await tx.replies.deleteUntil(ended.id, Number.MAX_SAFE_INTEGER);
}

/** Returns how long the session may answer from what it caches. */
async function renewLease(
  tx: StoreTransaction,
  known: Session,
  caches: boolean,
  context: OperationContext,
): Promise<number> {
  const { leases } = context.state;
  if (!caches) {
    leases.release(known.id);
    return 0;
  }
  if (!known.caches) {
    await tx.sessions.setCaches(known.id);
    // A server that starts after a power loss has to know whom to wait for.
    context.control.requireDurable();
    known.caches = true;
    context.control.onRollback(() => (known.caches = false));
  }
  return leases.renew(known.id);
}

async function begin(tx: StoreTransaction, client: string, context: OperationContext): Promise<Session> {
  const { sessions, random, clock } = context.state;
  const id = (await tx.counters.get('session')) + 1;
  const secret = random.bytes(SECRET_BYTES);
  await tx.counters.set('session', id);
  await tx.sessions.insert({ session: id, secret, client, acknowledged: 0, caches: false });
  // A session is promised to outlive a power loss, and its number is never given to anybody else.
  context.control.requireDurable();
  const begun: Session = {
    id,
    secret,
    client,
    acknowledged: 0,
    forgotten: 0,
    highest: 0,
    replies: 0,
    heardMs: clock.monotonicMs(),
    isResumed: true,
    caches: false,
  };
  sessions.add(begun);
  context.control.onRollback(() => sessions.delete(begun, clock.monotonicMs()));
  return begun;
}
