/** Hands notifications to a thread of its own, which writes them in order, and tells how the kernel took each. */
import { Worker } from 'node:worker_threads';
import type { Logger } from '../../platform/log.js';
import type { NotifyAnswer, NotifyRequest, NotifyWorkerData } from './notify-protocol.js';

export class Notifier {
  readonly #log: Logger;
  readonly #worker: Worker;
  /** request id → who waits for its results */
  readonly #waiting = new Map<number, (results: Int32Array) => void>();
  readonly #ended: Promise<void>;
  #nextId = 1;
  #isEnded = false;

  private constructor(fd: number, log: Logger) {
    this.#log = log;
    const workerData: NotifyWorkerData = { fd };
    this.#worker = new Worker(new URL('./notify-thread.js', import.meta.url), { workerData });
    this.#worker.on('message', ({ id, results }: NotifyAnswer) => {
      this.#waiting.get(id)?.(results);
      this.#waiting.delete(id);
    });
    this.#worker.on('error', error => log.error({ err: error }, 'the thread that tells the kernel failed'));
    this.#ended = new Promise(resolve => {
      this.#worker.once('exit', () => {
        this.#isEnded = true;
        for (const done of this.#waiting.values()) done(new Int32Array());
        this.#waiting.clear();
        resolve();
      });
    });
    // What keeps the process is the mount, not this thread.
    this.#worker.unref();
  }

  static start(fd: number, log: Logger): Notifier {
    return new Notifier(fd, log);
  }

  /** How many batches are not written yet. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** For each message 0 or a negative errno; nothing when the mount has ended meanwhile. Never rejects. */
  async write(messages: readonly Uint8Array[]): Promise<Int32Array> {
    if (messages.length === 0 || this.#isEnded) return new Int32Array();
    const id = this.#nextId;
    this.#nextId += 1;
    return await new Promise(resolve => {
      this.#waiting.set(id, resolve);
      this.#post({ id, messages });
    });
  }

  /** Ends when everything was written; for after the mount has ended, when no write waits for long. */
  async close(): Promise<void> {
    if (!this.#isEnded) this.#post('end');
    await this.#ended;
    this.#log.debug({}, 'the thread that tells the kernel ended');
  }

  #post(request: NotifyRequest): void {
    // A worker thread has no origin to name.
    this.#worker.postMessage(request, []);
  }
}
