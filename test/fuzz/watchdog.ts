/**
 * Watches from a thread of its own whether the fuzzer goes on. A decoder that does not come to an end can be stopped by nothing
 * else: its input is written to a file, and the process killed.
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { MAX_INPUT_BYTES } from './decoder.js';
import { writeInput } from './corpus.js';

const LOOK_MS = 500;
/** For so many looks at the same input. */
const HANG_LOOKS = 20;
/** How many inputs there were, and how long the one under way is. */
const HEAD_WORDS = 2;
const MOST_INPUT_BYTES = 64 * MAX_INPUT_BYTES;

interface Watched {
  readonly shared: SharedArrayBuffer;
  readonly directory: string;
}

export class Watchdog {
  readonly #head: Int32Array;
  readonly #input: Buffer;
  readonly #worker: Worker;

  /** @param directory where an input goes at which the decoder hangs */
  constructor(directory: string) {
    const shared = new SharedArrayBuffer(HEAD_WORDS * 4 + MOST_INPUT_BYTES);
    this.#head = new Int32Array(shared, 0, HEAD_WORDS);
    this.#input = Buffer.from(shared, HEAD_WORDS * 4);
    const watched: Watched = { shared, directory };
    this.#worker = new Worker(new URL(import.meta.url), { workerData: watched, execArgv: [] });
  }

  /** This input is fed from now on. */
  readonly watch = (input: Buffer): void => {
    this.#head[0] = (this.#head[0] ?? 0) + 1;
    this.#head[1] = input.copy(this.#input);
  };

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

if (!isMainThread) {
  const { shared, directory } = workerData as Watched;
  const head = new Int32Array(shared, 0, HEAD_WORDS);
  let last = -1;
  let looks = 0;
  setInterval(() => {
    looks = head[0] === last ? looks + 1 : 0;
    last = head[0] ?? 0;
    // Before the first input everything is loaded.
    if (looks < HANG_LOOKS || last === 0) return;
    const input = Buffer.from(Buffer.from(shared, HEAD_WORDS * 4, head[1]));
    const path = writeInput(directory, input);
    process.stdout.write(
      `HANGS: an input was not decoded within ${(LOOK_MS * HANG_LOOKS) / 1000} s; it is ${path}\n`,
    );
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), LOOK_MS);
  }, LOOK_MS);
}
