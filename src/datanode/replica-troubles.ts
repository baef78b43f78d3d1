/** Chunks of this node that it cannot read, or was asked for in vain, until the metadata server has heard of them. */
import type { Clock } from '../platform/clock.js';
import { MAX_TROUBLES } from '../protocol/limits.js';

/** How long after telling of a chunk it is told of again, if it is still there. */
const REPEAT_MS = 15_000;
/** Chunks that are remembered; the rest is found again when it is read again. */
const MAX_REMEMBERED = 65_536;

export class ReplicaTroubles {
  readonly #clock: Clock;
  /** damaged chunk → monotonic ms at which to tell of it (again) */
  readonly #damaged = new Map<number, number>();
  /** Chunks that readers expected here. */
  readonly #absent = new Set<number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many damaged chunks are known. */
  get damagedCount(): number {
    return this.#damaged.size;
  }

  /** The chunk does not match its checksums. */
  noteDamaged(chunk: number): void {
    if (this.#damaged.size < MAX_REMEMBERED && !this.#damaged.has(chunk)) this.#damaged.set(chunk, 0);
  }

  /** Somebody expected the chunk here. */
  noteAbsent(chunk: number): void {
    if (this.#absent.size < MAX_REMEMBERED) this.#absent.add(chunk);
  }

  /** The chunk is gone from this node. */
  forget(chunk: number): void {
    this.#damaged.delete(chunk);
  }

  /** What the metadata server is to be told now. `has` tells which chunks are here after all. */
  take(has: (chunk: number) => boolean): { readonly damaged: number[]; readonly absent: number[] } {
    const nowMs = this.#clock.monotonicMs();
    const damaged: number[] = [];
    for (const [chunk, dueMs] of this.#damaged) {
      if (damaged.length >= MAX_TROUBLES) break;
      if (dueMs > nowMs) continue;
      damaged.push(chunk);
      this.#damaged.set(chunk, nowMs + REPEAT_MS);
    }
    const absent: number[] = [];
    for (const chunk of this.#absent) {
      if (absent.length >= MAX_TROUBLES) break;
      this.#absent.delete(chunk);
      if (!has(chunk)) absent.push(chunk);
    }
    return { damaged, absent };
  }
}
