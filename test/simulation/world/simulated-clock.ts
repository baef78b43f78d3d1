/** A process's clock: it follows the simulated time, a little fast or slow, and stops with its process. */
import type { Clock, Timer, Timespec } from '../../../src/platform/clock.js';
import type { Life, Scheduler } from './scheduler.js';

const EPOCH_MS = 1_700_000_000_000;
/** As Node's; also, a wait for the rest of a millisecond that rounds to nothing would never end. */
const SHORTEST_TIMER_MS = 1;

export class SimulatedClock implements Clock {
  readonly #scheduler: Scheduler;
  readonly #life: Life;
  readonly #rate: number;
  readonly #offsetMs: () => number;

  /**
   * @param rate how many of its milliseconds pass in one of simulated time
   * @param offsetMs by how much its wall clock is wrong now
   */
  constructor(scheduler: Scheduler, life: Life, rate: number, offsetMs: () => number) {
    this.#scheduler = scheduler;
    this.#life = life;
    this.#rate = rate;
    this.#offsetMs = offsetMs;
  }

  monotonicMs(): number {
    return this.#scheduler.nowMs * this.#rate;
  }

  now(): Timespec {
    const ms = EPOCH_MS + this.#scheduler.nowMs + this.#offsetMs();
    const sec = Math.floor(ms / 1000);
    return { sec, nsec: Math.floor((ms - sec * 1000) * 1000) * 1000 };
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#scheduler.after(
      Math.max(SHORTEST_TIMER_MS, delayMs) / this.#rate,
      'timer',
      this.#life,
      callback,
    );
  }

  atNextTurn(callback: () => void): void {
    this.#scheduler.atNextTurn(callback);
  }
}
