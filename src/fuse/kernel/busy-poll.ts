/**
 * When to look for the next request without sleeping. A program that works on a mount sends one as soon as it has the answer
 * to the one before, some microseconds later; a process that has gone to sleep meanwhile takes 30 to 60 µs to be woken
 * (in a virtual machine more), several times what answering takes. So who has just answered looks for a while. Where
 * nothing comes in time again and again, the look is left out, so that a program that thinks between its requests does
 * not cost a processor.
 */

/** So many looks in vain, one after the other, and it is not tried any more... */
const MAX_VAIN = 4;
/** ...but each time after so many requests. */
const RETRY_AFTER = 32;
/** The event loop has timers and sockets too: it gets its turn after so long. */
const MAX_TURN_MS = 1;

export class BusyPoll {
  readonly #limitMs: number;
  /** When the event loop gets its turn; undefined while it has had it and nothing was looked for since. */
  #turnEndMs: number | undefined;
  #vain = 0;
  #skipped = 0;

  /** @param limitMs how long is looked, 0 for never */
  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** Until when to look, in ms of performance.now(); undefined when it is better not to. */
  until(nowMs: number): number | undefined {
    if (this.#limitMs === 0) return undefined;
    if (this.#vain >= MAX_VAIN) {
      this.#skipped += 1;
      if (this.#skipped < RETRY_AFTER) return undefined;
      this.#skipped = 0;
    }
    if (this.#turnEndMs === undefined) {
      this.#turnEndMs = nowMs + MAX_TURN_MS;
      setImmediate(() => (this.#turnEndMs = undefined));
    }
    return nowMs < this.#turnEndMs ? nowMs + this.#limitMs : undefined;
  }

  /** Whether what was looked for came. */
  note(hasCome: boolean): void {
    this.#vain = hasCome ? 0 : this.#vain + 1;
  }
}
