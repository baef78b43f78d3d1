/** So many bytes a second, and no more: a token bucket that may go into debt for one large item. */
import type { Clock } from '../../platform/clock.js';

/** What may be spent at once after a quiet time. */
const BURST_S = 0.5;
/** Over how long the measured rate is averaged. */
const MEASURE_MS = 5000;

export class ByteRate {
  readonly #clock: Clock;
  readonly #bytesPerSecond: number;
  #allowance: number;
  #filledMs: number;
  /** What was spent lately: when, and how much. */
  readonly #spent: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#allowance = bytesPerSecond * BURST_S;
    this.#filledMs = clock.monotonicMs();
  }

  /** Milliseconds until something may be spent; 0 for now. */
  waitMs(): number {
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#filledMs) / 1000) * this.#bytesPerSecond;
    this.#allowance = Math.min(this.#allowance + earned, this.#bytesPerSecond * BURST_S);
    this.#filledMs = nowMs;
    return this.#allowance > 0 ? 0 : Math.ceil((-this.#allowance / this.#bytesPerSecond) * 1000) + 1;
  }

  spend(bytes: number): void {
    this.#allowance -= bytes;
    this.#spent.push({ atMs: this.#clock.monotonicMs(), bytes });
  }

  /** Bytes a second that were spent lately. */
  measured(): number {
    const sinceMs = this.#clock.monotonicMs() - MEASURE_MS;
    while ((this.#spent[0]?.atMs ?? Infinity) < sinceMs) this.#spent.shift();
    return this.#spent.reduce((sum, { bytes }) => sum + bytes, 0) / (MEASURE_MS / 1000);
  }
}
