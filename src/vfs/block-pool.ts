/** Memory for written data. */
import { BufferPool } from '../platform/buffer-pool.js';
import { giveBody, keepBody } from '../platform/request-memory.js';

export const POOL_BLOCK_BYTES = 128 << 10;

export class BlockPool {
  readonly #blocks: BufferPool;

  /** @param maxBytes the most that is kept for later */
  constructor(maxBytes: number) {
    this.#blocks = new BufferPool(POOL_BLOCK_BYTES, Math.floor(maxBytes / POOL_BLOCK_BYTES));
  }

  /** A buffer with room for at least `bytes`, up to POOL_BLOCK_BYTES; its content is of no meaning. */
  take(bytes: number): Buffer {
    if (bytes <= POOL_BLOCK_BYTES / 2) return Buffer.allocUnsafeSlow(bytes);
    return this.#blocks.take();
  }

  /** The memory of `data` itself, to be given back as a buffer of `take` is; undefined where it belongs to somebody else. */
  keep(data: Uint8Array): Buffer | undefined {
    return keepBody(data);
  }

  /** Gives buffers back that nobody looks at any more. */
  give(blocks: readonly Buffer[]): void {
    for (const block of blocks)
      if (!giveBody(block) && block.length === POOL_BLOCK_BYTES) this.#blocks.give(block);
  }
}
