/**
 * Whether data nodes take what this client stores: what a program writes is acknowledged before it is stored only while the
 * last chunk of the same goal was stored a short while ago, and nothing has failed since.
 */
import type { Clock } from '../../platform/clock.js';

/** A data node that is gone for longer than this is noticed before anything is acknowledged. */
const PROVEN_MS = 10_000;

export class StoreProof {
  readonly #clock: Clock;
  /** goal → when a chunk was stored, since when no node has failed */
  readonly #storedMs = new Map<number, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  noteStored(goal: number): void {
    this.#storedMs.set(goal, this.#clock.monotonicMs());
  }

  /** A node did not take a chunk, or none was to be had. */
  noteFailed(): void {
    this.#storedMs.clear();
  }

  isProven(goal: number): boolean {
    const storedMs = this.#storedMs.get(goal);
    return storedMs !== undefined && this.#clock.monotonicMs() - storedMs < PROVEN_MS;
  }
}
