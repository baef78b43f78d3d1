/**
 * Keeps the write-ahead log short without stopping the server.
 *
 *     idle ──log is long──► copying ──little is left──► finishing (no transaction begins) ──► idle
 *
 * Frames that are committed while a checkpoint copies stay in the log, and the log is used from its beginning again
 * only when every frame was copied. So the last, short round keeps transactions out for as long as it takes. The file
 * is then the whole database, which is the moment at which backups are made.
 */
import { closeSync, openSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type Database from 'better-sqlite3';
import type { Logger } from '../../../platform/log.js';
import type {
  CheckpointAnswer,
  CheckpointProgress,
  CheckpointRequest,
  CheckpointRow,
  CheckpointWorkerData,
} from './checkpoint-protocol.js';
import type { BackupPlan, WrittenBackup } from '../store.js';
import type { DatabaseRoom } from './database-room.js';

/** A frame of the log is a page and its head. */
const FRAME_BYTES = 4096 + 24;
/** So few frames are copied while transactions wait. */
const FEW_FRAMES = 512;
/** Rounds after which transactions wait however much is left, lest the log outgrow the copying. */
const MAX_ROUNDS = 4;
/** Attempts at a checkpoint that copies everything. */
const MAX_ATTEMPTS = 5;

export class Checkpointer {
  readonly #path: string;
  readonly #log: Logger;
  readonly #room: DatabaseRoom;
  #worker: Worker | undefined;
  /** The database file, open for reading from the thread's first start until closeFile(). */
  #file: number | undefined;
  /** Reads how long the log is. */
  #length: Database.Statement<[], CheckpointRow> | undefined;
  /** The checkpoint that considers the length of the log. */
  #running: Promise<void> | undefined;
  /** What the thread is asked to do, one after the other; never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  /** Who waits for the thread's answer. */
  #waiting: { resolve: (answer: CheckpointAnswer) => void; reject: (error: Error) => void } | undefined;
  /** Set while transactions must wait. */
  #gate: Promise<void> | undefined;
  #isClosed = false;

  /** @param room says how long the log may become before it is copied into the database */
  constructor(path: string, log: Logger, room: DatabaseRoom) {
    this.#room = room;
    this.#path = path;
    this.#log = log;
  }

  /** Resolves when a transaction may begin. */
  get gate(): Promise<void> | undefined {
    return this.#gate;
  }

  /**
   * Begins a checkpoint if the log has become long and none is under way. Not inside a transaction.
   * @returns resolves when the checkpoint that is under way, if there is one, is over; never rejects
   */
  consider(database: Database.Database): Promise<void> | undefined {
    if (this.#running || this.#isClosed) return this.#running;
    // NOOP only reads how long the log is. Prepared once: this is looked at with each fsync.
    this.#length ??= database.prepare<[], CheckpointRow>('PRAGMA wal_checkpoint(NOOP)');
    const row = this.#length.get();
    if (!row || (row.log - row.checkpointed) * FRAME_BYTES < this.#room.logBytes) return undefined;
    this.#running = this.#inTurn(async () => await this.#run())
      .catch((error: unknown) => {
        // The log only grows a little longer; the next flush tries again.
        this.#log.error({ err: error }, 'the metadata log could not be copied into the database');
      })
      .finally(() => (this.#running = undefined));
    return this.#running;
  }

  /**
   * Begins to copy the database: what copyChanges() writes is told from here. Resolves with the number of pages; rejects
   * when the database is damaged, which must not take the place of sound copies.
   */
  async beginCopy(): Promise<number> {
    return await this.#inTurn(async () => {
      await this.#ask({ is: 'check' });
      await this.#ask({ is: 'note-changes' });
      return await this.#afterCheckpoint(async () => {
        const answer = await this.#ask({ is: 'begin-copy' });
        return 'pageCount' in answer ? answer.pageCount : undefined;
      });
    });
  }

  /** Writes pages into a file of a backup. */
  async copyPages(plan: BackupPlan, from: number, count: number): Promise<WrittenBackup> {
    return await this.#inTurn(async () => {
      const answer = await this.#ask({ is: 'copy-pages', plan, from, count });
      if (!('written' in answer) || !answer.written) throw new Error('the pages were not copied');
      return answer.written;
    });
  }

  /** Writes the pages that have changed, as they are at one moment. */
  async copyChanges(plan: BackupPlan): Promise<WrittenBackup> {
    return await this.#inTurn(
      async () =>
        await this.#afterCheckpoint(async () => {
          const answer = await this.#ask({ is: 'copy-changes', plan });
          return 'written' in answer ? answer.written : undefined;
        }),
    );
  }

  /** Waits for what is under way and ends the thread. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    const worker = this.#worker;
    this.#worker = undefined;
    if (!worker) return;
    await new Promise<void>(resolve => {
      worker.once('exit', () => resolve());
      this.#post(worker, { is: 'close' });
    });
  }

  /** After close(), and after the database is closed, whose locks go with any descriptor of its file. */
  closeFile(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** Does `work` when everything before is done: while transactions wait, the thread must have nothing else to do. */
  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(async () => {
      if (this.#isClosed) throw new Error('the database is being closed');
      return await work();
    });
    this.#last = turn.catch(() => undefined);
    return await turn;
  }

  /** Does `work` after a checkpoint that copied everything; `undefined` says that it did not. */
  async #afterCheckpoint<Result>(work: () => Promise<Result | undefined>): Promise<Result> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      await this.#run();
      const result = await work();
      if (result !== undefined) return result;
    }
    throw new Error('the log could not be copied as a whole, for somebody reads an old state');
  }

  async #run(): Promise<void> {
    const startedMs = performance.now();
    let rounds = 1;
    let progress = await this.#copy();
    while (progress.logFrames - progress.copiedFrames > FEW_FRAMES && rounds < MAX_ROUNDS) {
      progress = await this.#copy();
      rounds += 1;
    }
    const gatedMs = performance.now();
    const last = this.#copy();
    this.#gate = last.then(
      () => undefined,
      () => undefined,
    );
    try {
      progress = await last;
    } finally {
      this.#gate = undefined;
    }
    this.#log.debug(
      {
        frames: progress.copiedFrames,
        left: progress.logFrames - progress.copiedFrames,
        rounds,
        ms: Math.round(performance.now() - startedMs),
        gatedMs: Math.round(performance.now() - gatedMs),
      },
      'copied the metadata log into the database',
    );
  }

  async #copy(): Promise<CheckpointProgress> {
    const answer = await this.#ask({ is: 'checkpoint' });
    if (!('progress' in answer)) throw new Error('the checkpoint told nothing');
    return answer.progress;
  }

  async #ask(request: CheckpointRequest): Promise<Exclude<CheckpointAnswer, { error: string }>> {
    const worker = (this.#worker ??= this.#start());
    const answer = await new Promise<CheckpointAnswer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#post(worker, request);
    });
    this.#waiting = undefined;
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }

  #start(): Worker {
    this.#file ??= openSync(this.#path, 'r');
    const workerData: CheckpointWorkerData = { path: this.#path, file: this.#file };
    const worker = new Worker(new URL('./checkpoint-thread.js', import.meta.url), { workerData });
    worker.on('message', (answer: CheckpointAnswer) => this.#waiting?.resolve(answer));
    const lost = (error: Error): void => {
      if (this.#worker === worker) this.#worker = undefined;
      this.#waiting?.reject(error);
    };
    worker.on('error', lost);
    worker.on('exit', () => lost(new Error('the checkpoint thread ended')));
    return worker;
  }

  #post(worker: Worker, request: CheckpointRequest): void {
    worker.postMessage(request, []);
  }
}
