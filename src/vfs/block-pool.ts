/**
 * Memory for written data that is used again and again: on many machines the first touch of a page costs more than
 * the copy into it.
 */
export const POOL_BLOCK_BYTES = 128 << 10;

export class BlockPool {
  readonly #free: Buffer[] = [];
  readonly #maxFree: number;

  /** @param maxBytes the most that is kept for later */
  constructor(maxBytes: number) {
    this.#maxFree = Math.floor(maxBytes / POOL_BLOCK_BYTES);
  }

  /** A buffer with room for at least `bytes`, up to POOL_BLOCK_BYTES; its content is of no meaning. */
  take(bytes: number): Buffer {
    if (bytes <= POOL_BLOCK_BYTES / 2) return Buffer.allocUnsafeSlow(bytes);
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(POOL_BLOCK_BYTES);
  }

  /** Gives buffers back that nobody looks at any more. */
  give(blocks: readonly Buffer[]): void {
    for (const block of blocks) {
      if (block.length === POOL_BLOCK_BYTES && this.#free.length < this.#maxFree) this.#free.push(block);
    }
  }
}
