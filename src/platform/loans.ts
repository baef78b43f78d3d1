/** Memory that is lent for as long as an answer is under way, and used again after that. */

import type { BufferPool } from './buffer-pool.js';

/** What one answer has borrowed. Who made it ends it when the answer is sent; whatever it borrowed means nothing then. */
export class Loans {
  readonly #borrowed: (() => void)[] = [];
  #isEnded = false;

  /** Gives `buffer` back to its pool at the end; at once if that has come. */
  add(pool: BufferPool, buffer: Buffer): void {
    if (this.#isEnded) pool.give(buffer);
    else this.#borrowed.push(() => pool.give(buffer));
  }

  /** May be called twice. */
  end(): void {
    this.#isEnded = true;
    for (const giveBack of this.#borrowed.splice(0)) giveBack();
  }
}
