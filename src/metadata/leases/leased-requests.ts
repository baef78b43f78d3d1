/**
 * Runs requests, and the server's own work, in transactions, under what sessions cache and what they have to themselves: a
 * request runs again once what it needs is recalled, everybody is told what it changed, and its reply says what its session
 * has to itself from then on.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { sleep } from '../../platform/clock.js';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import { DfsError } from '../../protocol/errors.js';
import { isDirectory } from '../../protocol/file-mode.js';
import { toRanges } from '../../protocol/inode-ranges.js';
import type { Changed, Given } from '../../protocol/session-commands.js';
import type { Attributes, Once } from '../../protocol/types.js';
import type { Piece } from '../background/background-work.js';
import { ExactlyOnce } from '../exactly-once.js';
import { perform } from '../exports/admission.js';
import type { GroupCommit } from '../group-commit.js';
import type { IntentReplay } from '../intents/intent-replay.js';
import { attributesOf } from '../namespace/inodes.js';
import type { Operation, OperationContext } from '../operation.js';
import { hold } from '../operations/hold.js';
import type { Peer } from '../peer.js';
import type { ServerState } from '../server-state.js';
import type { StoreTransaction } from '../store/store.js';
import { ChangeTrace } from './change-trace.js';
import { conflictOf } from './command-conflicts.js';
import type { Claim } from './exclusive-leases.js';
import { HeldElsewhere, Reading, type AtConflict } from './reading.js';
import type { Recalls } from './recalls.js';
import { TracedControl, TracedTransaction } from './traced-transaction.js';
import { WriteTurns } from './write-turns.js';

/** How long one that wants its turn to write waits for writes of others that are on their way. */
const TURN_PATIENCE_MS = 50;

/** A request, or a piece of the server's own work, on its way. */
interface Run {
  readonly session: number | undefined;
  readonly peer: Peer | undefined;
  readonly claim: Claim;
  readonly trace: ChangeTrace;
  readonly newReading: () => Reading;
  /** What it read the last time it ran. */
  reading: Reading;
}

export class LeasedRequests {
  readonly #state: ServerState;
  readonly #commits: GroupCommit;
  readonly #recalls: Recalls;
  readonly #replay: Pick<IntentReplay, 'replay' | 'isOwed'>;
  readonly #once = new ExactlyOnce();
  readonly #turns: WriteTurns;

  /** @param replay commits what clients that are gone had synced */
  constructor(
    state: ServerState,
    commits: GroupCommit,
    recalls: Recalls,
    replay: Pick<IntentReplay, 'replay' | 'isOwed'>,
  ) {
    this.#replay = replay;
    this.#state = state;
    this.#commits = commits;
    this.#recalls = recalls;
    this.#turns = new WriteTurns(state.clock);
  }

  /** Runs a request until nothing that it reads is another session's alone. */
  async execute<Request extends TSchema, Reply extends TSchema>(
    operation: Operation<Request, Reply>,
    request: Static<Request> & object,
    once: Once | undefined,
    session: number | undefined,
    peer: Peer | undefined,
  ): Promise<Static<Reply>> {
    const { exclusive } = this.#state;
    const run = this.#begin(session, peer, conflictOf(operation.command.number));
    if (once) exclusive.noteChange(once.session);
    try {
      if (!once) {
        const told = await this.#untilFree(run, async (tx, context) =>
          perform(operation, tx, request, context),
        );
        const isGiven = session !== undefined && exclusive.isActive(session) && run.reading.seen.length > 0;
        return isGiven ? { ...(told as object), ...this.#give(session, run.reading.seen, run) } : told;
      }
      const outcome = await this.#untilFree(
        run,
        async (tx, context) => await this.#once.execute(tx, operation, request, once, context),
      );
      if ('refusal' in outcome) throw outcome.refusal;
      const { trace, reading } = run;
      if (trace.isRepeated || !this.#state.leases.isHolder(once.session)) return outcome.reply;
      const { session: own, returned = [] } = once;
      for (const inode of returned)
        if (exclusive.holderOf(inode) === own) this.#state.leases.share(own, inode);
      const changed = [...trace.inodes.keys(), ...reading.made].filter(inode => !returned.includes(inode));
      const given = this.#give(own, changed, run);
      return { ...(outcome.reply as object), ...changedBy(trace), ...given };
    } finally {
      // Also after an error: a long request may have failed when a part of it was committed.
      const { seen } = run.reading;
      const revoked = this.#finish(run);
      // What is not numbered changes nothing that anybody is promised to see.
      if (once && revoked) await revoked;
      const heard = seen.length > 0 ? this.#state.leases.heard(session, seen) : undefined;
      if (heard) await heard;
    }
  }

  /**
   * Gives a session that is about to write the inode to itself, when its turn has come if others write, too. Undefined when there are no
   * turns: it gets what nobody else uses.
   */
  async takeTurn(
    request: RequestOf<typeof hold.command>,
    inode: number,
    peer: Peer,
  ): Promise<ReplyOf<typeof hold.command> | undefined> {
    // A single writer waits for nobody's turn, and shares the inode with those who read it.
    if (!this.#turns.isShared(request.session, inode)) return undefined;
    if (this.#state.exclusive.isUnsure(request.session)) await this.#recalls.untilSure(request.session);
    return await this.#turns.take(inode, async () => await this.#giveTurn(request, inode, peer));
  }

  /** Tells a session that has a directory in its turn what has changed there since its last one. */
  #withChanges(
    session: number,
    directory: number,
    reply: ReplyOf<typeof hold.command>,
  ): ReplyOf<typeof hold.command> {
    const { changedNames } = this.#state;
    const since = this.#turns.given(session, directory, changedNames.mark(directory));
    const names = since === undefined ? undefined : changedNames.since(directory, since);
    const { holding } = reply;
    if (!holding || since === undefined || !names) return reply;
    return { ...reply, holding: { ...holding, changed: { since, names } } };
  }

  async #giveTurn(
    request: RequestOf<typeof hold.command>,
    inode: number,
    peer: Peer,
  ): Promise<ReplyOf<typeof hold.command> | undefined> {
    const { session } = request;
    const { clock, changedNames, leases } = this.#state;
    const run = this.#begin(session, peer, 'stop');
    run.claim.add(inode);
    const untilMs = clock.monotonicMs() + TURN_PATIENCE_MS;
    try {
      await this.#recalls.recall([inode], session);
      const record = await this.#untilFree(run, async tx => await tx.inodes.get(inode));
      const isOfNames = record !== undefined && isDirectory(record.mode);
      if (isOfNames && !this.#turns.begin(session, inode)) return undefined;
      for (;;) {
        await leases.dropElsewhere(session, inode, isOfNames ? changedNames.mark(inode) : undefined);
        const reply = await this.#untilFree(
          run,
          async (tx, context) => await perform(hold, tx, request, context),
        );
        if (reply.given.length > 0) return isOfNames ? this.#withChanges(session, inode, reply) : reply;
        if (clock.monotonicMs() > untilMs) return reply;
        // A write of somebody else is on its way to everybody.
        await sleep(clock, 1);
        await this.#recalls.recall([inode], session);
      }
    } finally {
      void this.#finish(run);
    }
  }

  /**
   * Runs a piece of the server's own work.
   * @param atConflict what becomes of work on what a session has to itself
   */
  async run(piece: Piece, atConflict: AtConflict = 'ignore'): Promise<boolean> {
    const run = this.#begin(undefined, undefined, atConflict);
    try {
      return await this.#untilFree(run, piece);
    } finally {
      void this.#finish(run);
    }
  }

  #begin(session: number | undefined, peer: Peer | undefined, atConflict: AtConflict): Run {
    const { exclusive, leases, intentLogs } = this.#state;
    const claim = exclusive.claim();
    const newReading = (): Reading => {
      const noteShared = leases.reader(session);
      return new Reading({
        exclusive,
        claim,
        atConflict,
        session: session ?? 0,
        isOwed: (inode, holder) => intentLogs.isOwed(inode, holder),
        noteShared,
      });
    };
    return { session, peer, claim, trace: new ChangeTrace(), newReading, reading: newReading() };
  }

  /** Runs `work` in a transaction, again and again, until nothing that it reads is another session's alone. */
  async #untilFree<Result>(
    run: Run,
    work: (tx: StoreTransaction, context: OperationContext) => Promise<Result>,
  ): Promise<Result> {
    for (;;) {
      try {
        return await this.#submit(run, work);
      } catch (error) {
        if (!(error instanceof HeldElsewhere)) throw error;
        for (const inode of error.inodes) run.claim.add(inode);
        await this.#turns.others(run.session, error.inodes);
        await this.#recalls.recall(error.inodes, run.session ?? 0);
        await this.#replay.replay(error.inodes);
        if (error.inodes.some(inode => this.#replay.isOwed(inode))) throw notReplayed();
      }
    }
  }

  /** Everybody is told what changed. Resolves when all have answered; undefined when there is nobody to wait for. */
  #finish({ session, trace, claim }: Run): Promise<unknown> | undefined {
    const { leases, exclusive, changedNames } = this.#state;
    const revoked = leases.revoke(session, trace);
    for (const [inode, { names }] of trace.inodes) {
      if (names.length === 0) continue;
      changedNames.note(inode, names);
      this.#turns.noteChanges(session, inode, names.length);
    }
    for (const inode of trace.removed) exclusive.delete(inode);
    claim.release();
    return revoked;
  }

  /** Gives the session what nobody else uses of these inodes. */
  #give(session: number, inodes: readonly number[], { peer, claim }: Run): Partial<Given> {
    const { leases, exclusive, room, exports } = this.#state;
    if (exports.of(peer)?.mayDecide === false) return {};
    if (exclusive.isFull) void this.#recalls.trim();
    if (room.isShort) return {};
    const given = inodes.filter(inode => leases.tryGive(session, inode, claim));
    return given.length === 0 ? {} : { given: toRanges(given) };
  }

  /** Runs `work` in a transaction that notes what the session reads, and what is changed. */
  async #submit<Result>(
    run: Run,
    work: (tx: StoreTransaction, context: OperationContext) => Promise<Result>,
  ): Promise<Result> {
    return await this.#commits.submit(async (tx, control) => {
      const { trace, peer, session, claim } = run;
      trace.clear();
      const reading = (run.reading = run.newReading());
      const context: OperationContext = {
        now: this.#state.clock.now(),
        nowMs: this.#state.steadyMs(),
        state: this.#state,
        control: new TracedControl(control, trace, reading),
        mayPause: true,
        peer,
        session,
        rights: this.#state.exports.of(peer),
        untraced: tx,
        trace,
        claim,
      };
      try {
        return await work(new TracedTransaction(tx, trace, reading), context);
      } finally {
        // Whatever it came to: it was about what somebody may have changed.
        reading.finish();
      }
    }, run.peer);
  }
}

function changedBy({ inodes, removed }: ChangeTrace): Changed {
  const changed: Attributes[] = [];
  for (const { record } of inodes.values()) if (record) changed.push(attributesOf(record));
  return { changed, gone: removed };
}

function notReplayed(): DfsError {
  return new DfsError(
    'EIO',
    "what was synced last of a file is on data nodes that do not answer; start them ('dfs nodes' lists them), and try again",
  );
}
