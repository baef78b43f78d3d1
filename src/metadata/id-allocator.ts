/**
 * Numbers that are never given twice, not even after a power loss that takes the last second's commits with it: a range
 * is reserved in the store, and on stable storage, before the first number of it is given. Numbers that a
 * server had reserved and not given when it stopped are skipped.
 */
import { DfsError } from '../protocol/errors.js';
import type { GroupCommit } from './group-commit.js';
import type { CounterName } from './store/store.js';

/** Numbers reserved at a time. 2⁵³ numbers last for 2³³ starts of the server. */
const RANGE = 1 << 20;

export class IdAllocator {
  readonly #name: CounterName;
  readonly #commits: GroupCommit;
  #next = 0;
  /** The first number that is not reserved. */
  #end = 0;
  #isReserving = false;
  readonly #onFailure: (error: unknown) => void;

  /** @param onFailure hears of a reservation in the background that failed; it is tried again with the next number */
  constructor(name: CounterName, commits: GroupCommit, onFailure: (error: unknown) => void) {
    this.#name = name;
    this.#commits = commits;
    this.#onFailure = onFailure;
  }

  /** Reserves the first range. */
  async start(): Promise<void> {
    this.#end = await this.#reserve();
    this.#next = this.#end - RANGE + 1;
  }

  /** Whether the number may have been given, by this process or an earlier one. */
  hasGiven(number: number): boolean {
    return number < this.#next;
  }

  /** A number that was never given before. EAGAIN. */
  take(): number {
    return this.takeRange(1);
  }

  /** The first of `count` numbers that follow each other and were never given before. EAGAIN. */
  takeRange(count: number): number {
    if (this.#end - this.#next < RANGE / 2) this.#reserveMore();
    if (this.#next + count - 1 > this.#end) {
      throw new DfsError('EAGAIN', `no ${this.#name} numbers are reserved just now; try again`);
    }
    const first = this.#next;
    this.#next += count;
    return first;
  }

  #reserveMore(): void {
    if (this.#isReserving) return;
    this.#isReserving = true;
    this.#reserve()
      .then(end => (this.#end = end), this.#onFailure)
      .finally(() => (this.#isReserving = false));
  }

  /** Moves the counter on by a range; resolves with its new value, the last number of the range. */
  async #reserve(): Promise<number> {
    return await this.#commits.submit(async (tx, control) => {
      const last = (await tx.counters.get(this.#name)) + RANGE;
      await tx.counters.set(this.#name, last);
      control.requireDurable();
      return last;
    });
  }
}
