/** A clock that moves only when a test says so. */
import { systemClock, type Clock, type Timer, type Timespec } from '../../src/platform/clock.js';

interface Pending {
  readonly atMs: number;
  readonly callback: () => void;
}

const EPOCH_MS = 1_700_000_000_000;

export class ManualClock implements Clock {
  #elapsedMs = 0;
  /** By how much somebody has set the wall clock. */
  jumpMs = 0;
  readonly #pending = new Set<Pending>();

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  now(): Timespec {
    const ms = EPOCH_MS + this.#elapsedMs + this.jumpMs;
    return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const pending = { atMs: this.#elapsedMs + delayMs, callback };
    this.#pending.add(pending);
    return { cancel: () => this.#pending.delete(pending) };
  }

  atNextTurn(callback: () => void): void {
    systemClock.atNextTurn(callback);
  }

  /** How many are set. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Milliseconds since the epoch. */
  get wallMs(): number {
    return EPOCH_MS + this.#elapsedMs + this.jumpMs;
  }

  /** Moves on, and calls what was set for the time until then, in order. */
  advance(ms: number): void {
    const endMs = this.#elapsedMs + ms;
    for (;;) {
      const [next] = [...this.#pending].filter(each => each.atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#pending.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      next.callback();
    }
    this.#elapsedMs = endMs;
  }
}
