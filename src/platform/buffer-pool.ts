/**
 * Large buffers of one size that are used again and again: on many machines the first touch of a page costs more than the
 * copy into it.
 */
export class BufferPool {
  readonly bufferBytes: number;
  readonly #free: Buffer[] = [];
  readonly #maxFree: number;

  /** @param maxFree buffers that are kept for later: a burst must not hold on to its memory for ever */
  constructor(bufferBytes: number, maxFree: number) {
    this.bufferBytes = bufferBytes;
    this.#maxFree = maxFree;
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
