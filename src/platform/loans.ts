/** Memory that is lent for as long as an answer is under way, and used again after that. */

/** Large buffers of one size: on many machines the first touch of a page costs more than the copy into it. */
export class BufferPool {
  readonly bufferBytes: number;
  readonly #free: Buffer[] = [];
  readonly #maxFree: number;

  /** @param maxBytes the most that is kept for later */
  constructor(bufferBytes: number, maxBytes: number) {
    this.bufferBytes = bufferBytes;
    this.#maxFree = Math.floor(maxBytes / bufferBytes);
  }

  /** A buffer whose content is of no meaning; the one used last, which the processor may still have at hand. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bufferBytes);
  }

  /** Gives a buffer back that nobody looks at, or writes to, any more. */
  give(buffer: Buffer): void {
    if (this.#free.length < this.#maxFree) this.#free.push(buffer);
  }
}

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
