/**
 * Keeps the write-ahead log short without stopping the server.
 *
 *     idle ──log is long──► copying ──little is left──► finishing (no transaction begins) ──► idle
 *
 * Frames that are committed while a checkpoint copies stay in the log, and the log is used from its beginning again
 * only when every frame was copied. So the last, short round keeps transactions out for as long as it takes.
 */
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

/** A log longer than this (in pages of 4 KiB) is copied into the database. */
const LONG_LOG_FRAMES = 8192;
/** So few frames are copied while transactions wait. */
const FEW_FRAMES = 512;
/** Rounds after which transactions wait however much is left, lest the log outgrow the copying. */
const MAX_ROUNDS = 4;

export class Checkpointer {
  readonly #path: string;
  readonly #log: Logger;
  #worker: Worker | undefined;
  #running: Promise<void> | undefined;
  /** Who waits for the thread's answer. */
  #waiting: { resolve: (answer: CheckpointAnswer) => void; reject: (error: Error) => void } | undefined;
  /** Set while transactions must wait. */
  #gate: Promise<void> | undefined;
  #isClosed = false;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  /** Resolves when a transaction may begin. */
  get gate(): Promise<void> | undefined {
    return this.#gate;
  }

  /** Begins a checkpoint if the log has become long and none is under way. Not inside a transaction. */
  consider(database: Database.Database): void {
    if (this.#running || this.#isClosed) return;
    // NOOP only reads how long the log is.
    const [row] = database.pragma('wal_checkpoint(NOOP)') as CheckpointRow[];
    if (!row || row.log - row.checkpointed < LONG_LOG_FRAMES) return;
    this.#running = this.#run()
      .catch((error: unknown) => {
        // The log only grows a little longer; the next flush tries again.
        this.#log.error({ err: error }, 'the metadata log could not be copied into the database');
      })
      .finally(() => (this.#running = undefined));
  }

  /** Waits for a checkpoint under way and ends the thread. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
    const worker = this.#worker;
    this.#worker = undefined;
    if (!worker) return;
    await new Promise<void>(resolve => {
      worker.once('exit', () => resolve());
      this.#post(worker, 'close');
    });
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
    const worker = (this.#worker ??= this.#start());
    const answer = await new Promise<CheckpointAnswer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#post(worker, 'checkpoint');
    });
    this.#waiting = undefined;
    if ('error' in answer) throw new Error(answer.error);
    return answer;
  }

  #start(): Worker {
    const workerData: CheckpointWorkerData = { path: this.#path };
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
