/**
 * Small chunks that nobody waits for set out together. Each costs its data node little, but to wake that process, and to be
 * woken by its answer, costs as much again as all the rest; chunks that set out at the same moment share that.
 */
import type { Clock, Timer } from '../platform/clock.js';

/** How long a chunk waits for others, where nobody waited for the one before it... */
const GATHER_MS = 8;
/** ...unless there are so many. */
const MANY = 32;

export class StoreGathering {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  #timer: Timer | undefined;
  /** Somebody waited since the last chunk came: he will wait for the next one, too. */
  #isHurried = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it is time to set out. */
  async turn(): Promise<void> {
    const isHurried = this.#isHurried;
    this.#isHurried = false;
    if (isHurried && this.#waiting.length === 0) return;
    await new Promise<void>(resolve => {
      this.#waiting.push(resolve);
      if (this.#waiting.length >= MANY) this.#setOut();
      else this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#setOut());
    });
  }

  /** Somebody waits for one of them: all set out. */
  setOut(): void {
    this.#isHurried = true;
    this.#setOut();
  }

  #setOut(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
