/** Chunks whose replicas are to be changed, most endangered first. Only their numbers: what to do is seen when it is done. */
import { MAX_GOAL } from '../../protocol/limits.js';

/** Chunks that wait; beyond that the next scan finds them again. */
const MAX_WAITING = 262_144;

/** Chunks with this many replicas left, from 1 on; then surplus ones, and those that a fuller node gives away. */
export type Urgency = number;
export const TRIM: Urgency = MAX_GOAL + 1;
export const MOVE: Urgency = MAX_GOAL + 2;

export class RepairQueue {
  /** urgency → chunks, in the order in which they came */
  readonly #waiting = Array.from({ length: MOVE + 1 }, () => new Map<number, number>());
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  /** Payload bytes of the chunks that are to be copied. */
  get bytes(): number {
    return this.#bytes;
  }

  add(urgency: Urgency, chunk: number, bytes: number): void {
    const waiting = this.#waiting[Math.min(urgency, MOVE)];
    if (!waiting || waiting.has(chunk)) return;
    if (this.#size >= MAX_WAITING) return;
    waiting.set(chunk, bytes);
    this.#size += 1;
    if (urgency !== TRIM) this.#bytes += bytes;
  }

  /** Takes out the most endangered chunk for which `canBegin` says yes. */
  take(
    canBegin: (chunk: number) => boolean,
  ): { readonly chunk: number; readonly bytes: number; readonly urgency: Urgency } | undefined {
    for (const [urgency, waiting] of this.#waiting.entries()) {
      for (const [chunk, bytes] of waiting) {
        if (!canBegin(chunk)) continue;
        waiting.delete(chunk);
        this.#size -= 1;
        if (urgency !== TRIM) this.#bytes -= bytes;
        return { chunk, bytes, urgency };
      }
    }
    return undefined;
  }

  clear(): void {
    for (const waiting of this.#waiting) waiting.clear();
    this.#size = 0;
    this.#bytes = 0;
  }
}
