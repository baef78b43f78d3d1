/**
 * Runs tasks one after the other in shared transactions. Tasks that arrive together are one batch: one BEGIN, one
 * COMMIT, and their replies leave after it.
 *
 *     queued ──batch begins──► running ──finished──► batch commits ──► (fsync) ──► answered
 *        ▲                        │
 *        └───────pause()──────────┘     a long task gives way: its changes so far commit with the batch
 *
 * A task checks before it changes, so that one that fails has changed nothing and the others of its batch go on. If a
 * task fails after a change, or the database does, the batch is rolled back and each of its tasks is run again in a
 * transaction of its own, so that only the failing ones fail.
 *
 * Clients take turns: the next task is of the one whose tasks took least time so far. Tasks of a client whose connection is
 * closed are dropped unless they have begun; such a client gets no reply, and asks again if it comes back.
 */
import { nextTurn, type Clock, type Timer } from '../platform/clock.js';
import { FairQueue } from '../platform/fair-queue.js';
import type { Logger } from '../platform/log.js';
import { SharedRun } from '../platform/shared-run.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { HeldElsewhere } from './leases/reading.js';
import type { Peer } from './peer.js';
import type { Awaitable, OwnedTransaction, Store, StoreTransaction } from './store/store.js';

/** group: on stable storage within a second of the answer; strict: before the answer. */
export type Durability = 'group' | 'strict';

/** What a task may ask of the batch that it runs in. */
export interface TaskControl {
  /** Undoes a change to what is kept in memory, should the transaction not be committed. */
  onRollback(undo: () => void): void;
  /** The task's result is told only when the transaction is on stable storage. */
  requireDurable(): void;
  /**
   * Commits what the task has done so far and lets others in before it goes on, with the transaction that this
   * resolves to. Anything may have changed meanwhile.
   */
  pause(): Promise<StoreTransaction>;
}

export type Work<Result> = (tx: StoreTransaction, control: TaskControl) => Awaitable<Result>;

/** Tasks in one transaction, and how long a transaction may last. */
const MAX_BATCH_TASKS = 256;
const MAX_BATCH_MS = 20;
/**
 * A commit waits so long until its flush begins. With the waits for data nodes, and the time that the disk takes for this
 * flush and the one before, that is less than the second that is promised.
 */
const FLUSH_AFTER_MS = 250;
/** How long a flush waits for data nodes while batches go on, and while they do not. */
const MAX_SYNC_MS = 250;
const MAX_HELD_SYNC_MS = 100;

/** What commits name that is stored elsewhere, and comes to stable storage before them. */
export interface NamedReplicas {
  /** Whether something has to be put on stable storage. */
  readonly isNeeded: boolean;
  /** Resolves when it is there, or waiting longer is not worth it. Never rejects. */
  sync(limitMs: number): Promise<void>;
}

export interface GroupCommitOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly durability: Durability;
  readonly replicas?: NamedReplicas | undefined;
}

export class GroupCommit {
  readonly #store: Store;
  readonly #options: GroupCommitOptions;
  /** Tasks not begun, and paused ones, by whom they are for: a client, or this server itself. */
  readonly #queue = new FairQueue<Task>();
  readonly #ownWork = {};
  #isRunning = false;
  #isClosed = false;
  /** Resolvers of those who wait until the queue is empty. */
  #waitingForIdle: (() => void)[] = [];
  #flushTimer: Timer | undefined;
  readonly #sharedFlush = new SharedRun(async () => await this.#flush());
  /** The batch that runs; it never rejects. */
  #batch: Promise<void> | undefined;
  /** Resolves when batches may begin again; undefined when they may. */
  #hold: Promise<void> | undefined;
  /** Background fsyncs under way. */
  readonly #flushes = new Set<Promise<void>>();

  constructor(store: Store, options: GroupCommitOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Runs `work` in a transaction and resolves with its result after the commit. Rejects with what `work` threw, or
   * with EIO or ENOSPC when the database could not take it; then nothing of it was done.
   * @param peer the connection by which it was asked for; ECONNRESET if it is closed before the work begins
   */
  async submit<Result>(work: Work<Result>, peer?: Peer): Promise<Result> {
    if (this.#isClosed) throw shutsDown();
    return await new Promise<Result>((resolve, reject) => {
      // The task hands `resolve` what `work` returned and nothing else, so the cast says what is known.
      const task = new Task(work, result => resolve(result as Result), reject, peer);
      this.#queue.push(peer ?? this.#ownWork, task);
      this.#wake();
    });
  }

  /** Takes no more tasks, and finishes those it has. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#flushTimer?.cancel();
    this.#flushTimer = undefined;
    if (this.#isRunning) await new Promise<void>(resolve => this.#waitingForIdle.push(resolve));
    await Promise.allSettled(this.#flushes);
  }

  #wake(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // After the sockets that are readable now were read: what arrived together goes into one transaction.
    this.#options.clock.atNextTurn(() => void this.#runBatches());
  }

  async #runBatches(): Promise<void> {
    while (this.#queue.size > 0) {
      // Several may wait for it.
      while (this.#hold) await this.#hold;
      await this.#store.ready();
      this.#batch = this.#runBatch(() => this.#takeTask());
      await this.#batch;
      this.#batch = undefined;
      if (this.#queue.size > 0) await nextTurn(this.#options.clock);
    }
    this.#isRunning = false;
    for (const resolve of this.#waitingForIdle.splice(0)) resolve();
  }

  /** The next task whose turn it is, and that somebody still waits for. */
  #takeTask(): Task | undefined {
    for (;;) {
      const task = this.#queue.take();
      if (!task || task.state === 'paused' || task.peer?.isClosed !== true) return task;
      task.fail(new DfsError('ECONNRESET', 'the connection by which this was asked for is closed'));
    }
  }

  /** Runs what `next` gives, which is at least one task, as far as one transaction goes. */
  async #runBatch(next: () => Task | undefined): Promise<void> {
    const { clock } = this.#options;
    let nowMs = clock.monotonicMs();
    const untilMs = nowMs + MAX_BATCH_MS;
    const ran: Task[] = [];
    let tx: OwnedTransaction | undefined;
    try {
      for (;;) {
        const task = ran.length < MAX_BATCH_TASKS && nowMs <= untilMs ? next() : undefined;
        if (!task) break;
        ran.push(task);
        tx ??= await this.#store.begin();
        await task.run(tx);
        const beganMs = nowMs;
        nowMs = clock.monotonicMs();
        this.#queue.charge(task.peer ?? this.#ownWork, nowMs - beganMs);
      }
      await tx?.commit();
    } catch (error) {
      await this.#rollBack(tx, ran, error);
      return;
    }
    this.#answer(ran);
  }

  /** Tells results, those that must survive a power loss after the fsync. */
  #answer(tasks: readonly Task[]): void {
    const isStrict = this.#options.durability === 'strict' && this.#store.isFlushNeeded;
    const waiting: Task[] = [];
    for (const task of tasks) {
      if (task.state === 'paused') this.#goOnLater(task);
      else if (task.state === 'finished' && (isStrict || task.isDurable)) waiting.push(task);
      else task.settle();
    }
    if (waiting.length > 0) this.#track(this.#answerAfterFlush(waiting));
    else if (this.#store.isFlushNeeded) this.#scheduleFlush();
  }

  #goOnLater(task: Task): void {
    if (this.#isClosed) task.fail(shutsDown());
    else this.#queue.push(task.peer ?? this.#ownWork, task);
  }

  async #answerAfterFlush(tasks: readonly Task[]): Promise<void> {
    try {
      await this.#sharedFlush.run();
      for (const task of tasks) task.settle();
    } catch (error) {
      const reason = toDfsError(error);
      this.#options.log.fatal({ err: reason }, 'the metadata could not be put on stable storage');
      for (const task of tasks) task.fail(reason);
    }
  }

  /**
   * Puts every commit on stable storage, and before that the replicas that they name. Batches go on meanwhile, but for the
   * last moment: while the replicas that came during the first sync are synced, until the log's own fsync has begun.
   */
  async #flush(): Promise<void> {
    const { replicas } = this.#options;
    if (replicas?.isNeeded !== true) return await this.#store.flush();
    await replicas.sync(MAX_SYNC_MS);
    if (!replicas.isNeeded) return await this.#store.flush();
    let release = (): void => undefined;
    this.#hold = new Promise<void>(resolve => (release = resolve));
    await this.#batch;
    await replicas.sync(MAX_HELD_SYNC_MS);
    const flushed = this.#store.flush();
    // The fsync has begun when this turn is over.
    this.#options.clock.atNextTurn(() => {
      this.#hold = undefined;
      release();
    });
    await flushed;
  }

  #scheduleFlush(): void {
    if (this.#flushTimer || this.#isClosed) return;
    this.#flushTimer = this.#options.clock.setTimer(
      FLUSH_AFTER_MS,
      () => {
        this.#flushTimer = undefined;
        this.#track(this.#answerAfterFlush([]));
      },
      true,
    );
  }

  #track(flush: Promise<void>): void {
    this.#flushes.add(flush);
    void flush.finally(() => this.#flushes.delete(flush));
  }

  async #runAlone(task: Task): Promise<void> {
    const tasks = [task];
    await this.#runBatch(() => tasks.pop());
  }

  async #rollBack(tx: OwnedTransaction | undefined, batch: readonly Task[], cause: unknown): Promise<void> {
    const { log } = this.#options;
    try {
      await tx?.rollback();
    } catch (error) {
      log.error({ err: error }, 'a transaction could not be rolled back');
    }
    for (const task of batch.toReversed()) task.undo();
    const reason = this.#store.explain(cause);
    const [only] = batch;
    const isRoomMade = reason.code === 'ENOSPC' && (await this.#store.room.letGo());
    if (batch.length === 1 && only && !(isRoomMade && isRepeatable(only))) {
      if (!(cause instanceof HeldElsewhere)) log.error({ err: cause }, 'a request failed in the database');
      only.fail(reason);
      return;
    }
    log.warn({ reason: reason.message, tasks: batch.length }, 'a batch failed; running each request alone');
    if (isRoomMade) await this.#store.ready();
    for (const task of batch) {
      if (isRepeatable(task)) await this.#runAlone(task);
      else task.fail(reason);
    }
  }
}

/** The changes of a long task in this batch are gone, and the task cannot repeat them. */
function isRepeatable(task: Task): boolean {
  return !task.isBegunEarlier && task.state !== 'paused';
}

function shutsDown(): DfsError {
  return new DfsError('ESHUTDOWN', 'the metadata server shuts down');
}

type TaskState = 'queued' | 'paused' | 'finished' | 'failed' | 'settled';

class Task implements TaskControl {
  state: TaskState = 'queued';
  isDurable = false;
  /** Whether it already ran in a batch before this one. */
  isBegunEarlier = false;
  /** Whose it is; undefined for this server's own. */
  readonly peer: Peer | undefined;
  readonly #work: Work<unknown>;
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #undos: (() => void)[] = [];
  #result: unknown;
  #error: unknown;
  /** Told when the task finishes, fails or pauses. */
  #signal: () => void = () => undefined;
  /** What a paused task waits for. */
  #resume: { resolve: (tx: StoreTransaction) => void; reject: (error: unknown) => void } | undefined;

  constructor(
    work: Work<unknown>,
    resolve: (result: unknown) => void,
    reject: (error: unknown) => void,
    peer: Peer | undefined,
  ) {
    this.peer = peer;
    this.#work = work;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Runs until it finishes, fails or pauses. Throws when the transaction cannot be kept. */
  async run(tx: OwnedTransaction): Promise<void> {
    const changesBefore = tx.changes;
    await new Promise<void>(resolve => {
      this.#signal = resolve;
      const resume = this.#resume;
      if (resume) {
        this.isBegunEarlier = true;
        this.#resume = undefined;
        this.#undos = [];
        resume.resolve(tx);
      } else {
        void this.#begin(tx);
      }
    });
    if (this.state !== 'failed') return;
    // A refusal by a check leaves the transaction as it was; anything else must not be committed.
    if (tx.changes === changesBefore && this.#error instanceof DfsError) this.#undoMemory();
    else throw this.#error;
  }

  onRollback(undo: () => void): void {
    this.#undos.push(undo);
  }

  requireDurable(): void {
    this.isDurable = true;
  }

  async pause(): Promise<StoreTransaction> {
    return await new Promise<StoreTransaction>((resolve, reject) => {
      this.#resume = { resolve, reject };
      this.state = 'paused';
      this.#signal();
    });
  }

  /** The transaction is not committed: memory is put back as it was before. */
  undo(): void {
    this.#undoMemory();
    if (this.isBegunEarlier) return;
    this.isDurable = false;
    if (this.state !== 'paused') this.state = 'queued';
  }

  #undoMemory(): void {
    for (const undo of this.#undos.splice(0).toReversed()) undo();
  }

  /** Tells the result. */
  settle(): void {
    if (this.state === 'finished') this.#resolve(this.#result);
    else if (this.state === 'failed') this.#reject(this.#error);
    this.state = 'settled';
  }

  fail(reason: DfsError): void {
    const resume = this.#resume;
    this.state = 'settled';
    this.#reject(reason);
    // Its function ends here; whom it would have told was just told.
    resume?.reject(reason);
  }

  async #begin(tx: StoreTransaction): Promise<void> {
    try {
      this.#result = await this.#work(tx, this);
      if (this.state !== 'settled') this.state = 'finished';
    } catch (error) {
      this.#error = error;
      if (this.state !== 'settled') this.state = 'failed';
    }
    this.#signal();
  }
}
