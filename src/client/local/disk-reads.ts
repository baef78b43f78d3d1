/**
 * Reads that wait for a disk, each on a thread of libuv's pool. There are few threads, and a disk that fails may keep each for
 * minutes; so only some are spent, a read that takes too long is given up (its thread is not to be had back until the disk
 * answers), and after that the disks are left alone for a while.
 */
import type { Clock, Timer } from '../../platform/clock.js';
import { DfsError } from '../../protocol/errors.js';

/** bin/start.js has libuv start eight threads. */
const MAX_AT_ONCE = 4;
/** Of those that wait for their turn: one is left for others, which do not wait. */
const MAX_IN_TURN = 3;
/** The kernel has fewer requests for its read-ahead under way. */
const MAX_WAITING = 64;
const PATIENCE_MS = 2000;
const REST_MS = 10_000;

export class DiskReads {
  readonly #clock: Clock;
  /** Those that were given up count until their thread is back. */
  #underWay = 0;
  /** Those for which the next turn is; they hear whether it has come. */
  readonly #waiting: ((isTurn: boolean) => void)[] = [];
  /** Monotonic ms until which none is begun. */
  #restsUntilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Does the read; undefined when it should be done another way. ETIMEDOUT when it takes too long; else as `read`. */
  async run<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
    if (this.#underWay >= MAX_AT_ONCE || this.#clock.monotonicMs() < this.#restsUntilMs) return undefined;
    this.#underWay += 1;
    let timer: Timer | undefined;
    const reading = read().finally(() => {
      this.#underWay -= 1;
      timer?.cancel();
      if (this.#underWay < MAX_IN_TURN) this.#waiting.shift()?.(true);
    });
    return await new Promise<Result>((resolve, reject) => {
      timer = this.#clock.setTimer(PATIENCE_MS, () => {
        this.#restsUntilMs = this.#clock.monotonicMs() + REST_MS;
        for (const endWaiting of this.#waiting.splice(0)) endWaiting(false);
        reject(new DfsError('ETIMEDOUT', `a disk did not answer in ${PATIENCE_MS} ms`));
      });
      reading.then(resolve, reject);
    });
  }

  /** How many are under way. */
  get underWay(): number {
    return this.#underWay;
  }

  /** The same, when those that came before are done. */
  async runInTurn<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
    if (this.#underWay >= MAX_IN_TURN) {
      if (this.#waiting.length >= MAX_WAITING) return undefined;
      if (!(await new Promise<boolean>(resolve => this.#waiting.push(resolve)))) return undefined;
    }
    return await this.run(read);
  }
}
