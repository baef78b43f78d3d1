/** A check of the database as it is at one moment, on a thread of its own. */
import { Worker } from 'node:worker_threads';
import { DfsError } from '../../../protocol/errors.js';
import type { StoreCheck, StoreFindings } from '../store.js';
import type { FsckAnswer, FsckRequest, FsckWorkerData } from './fsck-protocol.js';

const MAX_FINDINGS = 10_000;

export class SqliteCheck implements StoreCheck {
  readonly #worker: Worker;
  #ended: DfsError | undefined;
  #waiting: { resolve: (answer: FsckAnswer) => void; reject: (error: DfsError) => void } | undefined;

  /** @param path of the database */
  constructor(path: string) {
    const workerData: FsckWorkerData = { path, maxFindings: MAX_FINDINGS };
    this.#worker = new Worker(new URL('fsck-thread.js', import.meta.url), { workerData });
    this.#worker.on('message', (answer: FsckAnswer) => this.#waiting?.resolve(answer));
    const end = (what: string): void => {
      this.#ended = new DfsError('EIO', `the check of the metadata database ended: ${what}`);
      this.#waiting?.reject(this.#ended);
    };
    this.#worker.on('error', error => end(error instanceof Error ? error.message : String(error)));
    this.#worker.on('exit', () => end('its thread is gone'));
  }

  async findings(): Promise<StoreFindings> {
    const answer = await this.#ask('check');
    if ('findings' in answer) return answer;
    throw new DfsError('EIO', 'the check of the metadata database did not answer');
  }

  async pathsOf(chunks: readonly number[]): Promise<ReadonlyMap<number, readonly string[]>> {
    const answer = await this.#ask({ chunks });
    return 'paths' in answer ? answer.paths : new Map();
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    await new Promise<void>(resolve => {
      this.#worker.once('exit', () => resolve());
      this.#worker.postMessage('close' satisfies FsckRequest, []);
    });
  }

  async #ask(request: FsckRequest): Promise<FsckAnswer> {
    if (this.#ended) throw this.#ended;
    const answer = await new Promise<FsckAnswer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(request, []);
    });
    this.#waiting = undefined;
    if ('error' in answer)
      throw new DfsError('EIO', `the metadata database could not be checked: ${answer.error}`);
    return answer;
  }
}
