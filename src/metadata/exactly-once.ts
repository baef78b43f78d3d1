/**
 * Executes a numbered request once however often it is sent (docs/decisions/04): the reply, or the refusal, is kept in
 * the same transaction as the change, and a repeated request is answered with it, also after a restart.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { decodeMessage, encodeMessage } from '../protocol/message.js';
import type { ReplyOf } from '../protocol/command.js';
import { DfsError, isErrnoName } from '../protocol/errors.js';
import type { batch } from '../protocol/session-commands.js';
import type { Once } from '../protocol/types.js';
import { HeldElsewhere } from './leases/reading.js';
import { perform } from './exports/admission.js';
import type { Operation, OperationContext } from './operation.js';
import { requireRoom } from './room-rules.js';
import type { Session } from './session-table.js';
import type { StoreTransaction } from './store/store.js';

/** What came of a request. A refusal is a result as well: it is committed, since it must be repeated. */
export type Outcome<Reply> = { readonly reply: Reply } | { readonly refusal: DfsError };

/** Acknowledged replies are deleted this many at a time. */
const FORGET_BATCH = 64;
/** Unacknowledged replies that a session may have. A client acknowledges with each request, so it has few. */
const MAX_REPLIES = 65_536;

export class ExactlyOnce {
  /** "session sequence" of requests that gave way to others and are not done yet */
  readonly #paused = new Set<string>();

  /**
   * Executes, or answers from memory. Throws ESTALE for a session that is not alive, EINVAL for a request whose reply
   * the client has already acknowledged, EAGAIN for a client that acknowledges nothing, and behind a batch that is not done.
   */
  async execute<Request extends TSchema, Reply extends TSchema>(
    tx: StoreTransaction,
    operation: Operation<Request, Reply>,
    request: Static<Request>,
    once: Once,
    context: OperationContext,
  ): Promise<Outcome<Static<Reply>>> {
    const session = context.state.sessions.require(once.session, context.state.clock.monotonicMs());
    const key = `${once.session} ${once.sequence}`;
    let current = tx;
    while (this.#paused.has(key)) current = await context.control.pause();
    if (once.sequence <= session.acknowledged) {
      throw new DfsError('EINVAL', `request ${once.sequence} was answered and acknowledged before`);
    }
    const remembered =
      once.sequence <= session.highest ? await current.replies.get(session.id, once.sequence) : undefined;
    if (remembered) {
      context.trace.isRepeated = true;
      return repeat(operation, request, decodeOutcome<Static<Reply>>(remembered), context);
    }
    if (once.afterBatch !== undefined) await requireWhole(current, session, once.afterBatch);
    if (session.replies >= MAX_REPLIES) {
      throw new DfsError('EAGAIN', `${MAX_REPLIES} replies to this client are not acknowledged`);
    }
    const pausable = {
      ...context,
      control: {
        onRollback: (undo: () => void) => context.control.onRollback(undo),
        requireDurable: () => context.control.requireDurable(),
        pause: async () => {
          this.#paused.add(key);
          current = await context.control.pause();
          return current;
        },
      },
    };
    try {
      const outcome = await attempt(current, operation, request, pausable);
      await this.#remember(current, session, once, encodeOutcome(outcome), context);
      return outcome;
    } finally {
      if (this.#paused.size > 0) this.#paused.delete(key);
    }
  }

  async #remember(
    tx: StoreTransaction,
    session: Session,
    once: Once,
    encoded: Buffer,
    context: OperationContext,
  ): Promise<void> {
    // A long operation may outlive its session.
    if (context.state.sessions.get(session.id) !== session) return;
    const { acknowledged, forgotten, highest, replies } = session;
    context.control.onRollback(() => Object.assign(session, { acknowledged, forgotten, highest, replies }));
    await tx.replies.insert(session.id, once.sequence, encoded);
    session.replies += 1;
    session.highest = Math.max(highest, once.sequence);
    session.acknowledged = Math.max(acknowledged, Math.min(once.acknowledged, once.sequence - 1));
    if (session.acknowledged - forgotten < FORGET_BATCH) return;
    session.replies -= await tx.replies.deleteUntil(session.id, session.acknowledged);
    await tx.sessions.setAcknowledged(session.id, session.acknowledged);
    session.forgotten = session.acknowledged;
  }
}

/** EAGAIN unless the batch was executed, and nothing in it refused. */
async function requireWhole(tx: StoreTransaction, { id, highest }: Session, sequence: number): Promise<void> {
  const remembered = sequence <= highest ? await tx.replies.get(id, sequence) : undefined;
  const outcome = remembered && decodeOutcome<ReplyOf<typeof batch>>(remembered);
  if (outcome && 'reply' in outcome && outcome.reply.refused.length === 0) return;
  throw new DfsError('EAGAIN', `batch ${sequence}, behind which this belongs, is not done as a whole`);
}

async function attempt<Request extends TSchema, Reply extends TSchema>(
  tx: StoreTransaction,
  operation: Operation<Request, Reply>,
  request: Static<Request>,
  context: OperationContext,
): Promise<Outcome<Static<Reply>>> {
  const changesBefore = tx.changes;
  try {
    requireRoom(operation.command, request as object, context.state.room);
    return { reply: await perform(operation, tx, request, context) };
  } catch (error) {
    // It runs again once what it needs is recalled.
    if (error instanceof HeldElsewhere) throw error;
    if (error instanceof DfsError && tx.changes === changesBefore) return { refusal: error };
    throw error;
  }
}

function repeat<Request extends TSchema, Reply extends TSchema>(
  operation: Operation<Request, Reply>,
  request: Static<Request>,
  outcome: Outcome<Static<Reply>>,
  context: OperationContext,
): Outcome<Static<Reply>> {
  if ('reply' in outcome) operation.repeat?.(request, outcome.reply, context);
  return outcome;
}

function encodeOutcome(outcome: Outcome<unknown>): Buffer {
  if ('reply' in outcome) return encodeMessage({ reply: outcome.reply });
  return encodeMessage({ code: outcome.refusal.code, message: outcome.refusal.message });
}

function decodeOutcome<Reply>(bytes: Buffer): Outcome<Reply> {
  // Written by encodeOutcome() for the same command.
  const stored = decodeMessage(bytes) as { reply: Reply } | { code: string; message: string };
  if ('reply' in stored) return { reply: stored.reply };
  return { refusal: new DfsError(isErrnoName(stored.code) ? stored.code : 'EIO', stored.message) };
}
