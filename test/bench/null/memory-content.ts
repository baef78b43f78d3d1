/** The content of a file in memory: blocks that grow with what is written to them; a hole is a block that is not there. */
import type { Payload } from '../../../src/protocol/frame.js';

const BLOCK_BYTES = 1 << 20;
const SMALLEST_BYTES = 4096;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

export class MemoryContent {
  /** block number → its bytes, as far as they were written; the rest is zero */
  #blocks: (Buffer | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory. */
  get allocated(): number {
    return this.#blocks.reduce((sum, block) => sum + (block?.length ?? 0), 0);
  }

  write(offset: number, data: Uint8Array): void {
    for (let taken = 0; taken < data.length;) {
      const at = offset + taken;
      const from = at % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - from, data.length - taken);
      this.#block(Math.floor(at / BLOCK_BYTES), from, from + count).set(
        data.subarray(taken, taken + count),
        from,
      );
      taken += count;
    }
    this.#size = Math.max(this.#size, offset + data.length);
  }

  /** Fewer bytes than `length` at the end. */
  read(offset: number, length: number): Payload {
    const end = Math.min(this.#size, offset + length);
    const pieces: Buffer[] = [];
    for (let at = offset; at < end;) {
      const from = at % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - from, end - at);
      const block = this.#blocks[Math.floor(at / BLOCK_BYTES)] ?? ZEROS.subarray(0, 0);
      const there = block.subarray(from, from + count);
      if (there.length > 0) pieces.push(there);
      if (there.length < count) pieces.push(ZEROS.subarray(0, count - there.length));
      at += count;
    }
    return pieces;
  }

  resize(size: number): void {
    if (size < this.#size) {
      this.#blocks.length = Math.ceil(size / BLOCK_BYTES);
      this.#blocks.at(-1)?.fill(0, size - (this.#blocks.length - 1) * BLOCK_BYTES);
    }
    this.#size = size;
  }

  /** The block with room for its bytes up to `to`, of which those from `from` on are about to be written. */
  #block(number: number, from: number, to: number): Buffer {
    const block = this.#blocks[number];
    if (block && block.length >= to) return block;
    let room = SMALLEST_BYTES;
    while (room < to) room *= 2;
    const isCovered = from === 0 && to === room;
    const larger = isCovered ? Buffer.allocUnsafeSlow(room) : Buffer.alloc(room);
    if (block && !isCovered) larger.set(block);
    this.#blocks[number] = larger;
    return larger;
  }
}
