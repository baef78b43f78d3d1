/** Chunks that need repair, most endangered first. Only their numbers: the work is decided when it is done. */
import { MAX_GOAL } from '../../protocol/limits.js';

/** Chunks that wait; beyond that the least urgent are left to the next scan, which finds them again. */
const MAX_WAITING = 262_144;

/** Chunks with this many replicas left, from 1 on; surplus ones; those whose replicas fail together; those that a fuller node gives away. */
export type Urgency = number;
export const TRIM: Urgency = MAX_GOAL + 1;
export const SPREAD: Urgency = MAX_GOAL + 2;
export const MOVE: Urgency = MAX_GOAL + 3;

export class RepairQueue {
  /** urgency → chunks, in the order in which they came */
  readonly #waiting = Array.from({ length: MOVE + 1 }, () => new Map<number, number>());
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  /** Payload bytes of the chunks that are to be copied, without those that only move to emptier nodes. */
  get bytes(): number {
    return this.#bytes;
  }

  add(urgency: Urgency, chunk: number, bytes: number): void {
    const waiting = this.#waiting[Math.min(urgency, MOVE)];
    if (!waiting || waiting.has(chunk)) return;
    if (this.#size >= MAX_WAITING && !this.#makeRoom(urgency)) return;
    waiting.set(chunk, bytes);
    this.#size += 1;
    if (counts(urgency)) this.#bytes += bytes;
  }

  /** Takes out the most endangered chunk for which `canBegin` says yes, of those no less urgent than `least`. */
  take(
    least: Urgency,
    canBegin: (chunk: number) => boolean,
  ): { readonly chunk: number; readonly bytes: number; readonly urgency: Urgency } | undefined {
    for (const [urgency, waiting] of this.#waiting.entries()) {
      if (urgency > least) break;
      for (const [chunk, bytes] of waiting) {
        if (!canBegin(chunk)) continue;
        this.#remove(urgency, chunk, bytes);
        return { chunk, bytes, urgency };
      }
    }
    return undefined;
  }

  /** Gives up one that is less urgent. Returns whether there was one. */
  #makeRoom(urgency: Urgency): boolean {
    for (let least = this.#waiting.length - 1; least > urgency; least -= 1) {
      for (const [chunk, bytes] of this.#waiting[least] ?? []) {
        this.#remove(least, chunk, bytes);
        return true;
      }
    }
    return false;
  }

  #remove(urgency: Urgency, chunk: number, bytes: number): void {
    this.#waiting[urgency]?.delete(chunk);
    this.#size -= 1;
    if (counts(urgency)) this.#bytes -= bytes;
  }

  clear(): void {
    for (const waiting of this.#waiting) waiting.clear();
    this.#size = 0;
    this.#bytes = 0;
  }
}

function counts(urgency: Urgency): boolean {
  return urgency !== TRIM && urgency !== MOVE;
}
