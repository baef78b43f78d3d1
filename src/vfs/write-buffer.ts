/**
 * Written bytes of one file that no chunk holds yet: sorted slices that do not overlap. What is written again is
 * changed in place; what follows a slice makes it longer, up to a whole chunk.
 */
import { assert } from '../protocol/errors.js';
import { POOL_BLOCK_BYTES, type BlockPool } from './block-pool.js';

const MIN_BLOCK_BYTES = 4096;
/** Slices packed into one chunk, so that a commit stays well below the limit of a `blocks` request. */
export const MAX_SLICES_PER_CHUNK = 1024;

/** A run of written bytes. Every block but the last is full. */
export class Slice {
  #offset: number;
  length = 0;
  readonly blocks: Buffer[] = [];
  /** Bytes of the last block that are in use. */
  #tailUsed = 0;

  constructor(offset: number) {
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  /** The bytes belong `by` bytes further on in the file than was thought. */
  move(by: number): void {
    this.#offset += by;
  }

  get end(): number {
    return this.offset + this.length;
  }

  /** Copies `data`, or keeps its memory, which must not be changed any more then. */
  append(data: Uint8Array, pool: BlockPool): void {
    let at = 0;
    const isFull = this.#tailUsed === (this.blocks.at(-1)?.length ?? 0);
    const kept = isFull ? pool.keep(data) : undefined;
    if (kept) {
      this.blocks.push(kept);
      this.#tailUsed = kept.length;
      this.length += kept.length;
      return;
    }
    while (at < data.length) {
      let tail = this.blocks.at(-1);
      if (!tail || this.#tailUsed === tail.length) {
        // Doubling keeps a file written in tiny pieces from owning a large block for each, and from having many.
        const wanted = Math.max(data.length - at, this.length, MIN_BLOCK_BYTES);
        tail = pool.take(Math.min(wanted, POOL_BLOCK_BYTES));
        this.blocks.push(tail);
        this.#tailUsed = 0;
      }
      const taken = Math.min(tail.length - this.#tailUsed, data.length - at);
      tail.set(data.subarray(at, at + taken), this.#tailUsed);
      this.#tailUsed += taken;
      this.length += taken;
      at += taken;
    }
  }

  /** @param at bytes from the slice's start; `data` ends inside the slice */
  overwrite(at: number, data: Uint8Array): void {
    let skip = at;
    let from = 0;
    for (const block of this.blocks) {
      if (from === data.length) return;
      if (skip >= block.length) {
        skip -= block.length;
        continue;
      }
      const taken = Math.min(block.length - skip, data.length - from);
      block.set(data.subarray(from, from + taken), skip);
      from += taken;
      skip = 0;
    }
  }

  /** Keeps the first `length` bytes; the memory of the rest is not used again, since it may be on its way to a data node. */
  shorten(length: number): void {
    assert(length > 0 && length <= this.length, 'a slice is shortened to a part of itself');
    this.length = length;
    let left = length;
    for (const [index, block] of this.blocks.entries()) {
      if (left <= block.length) {
        this.blocks.length = index + 1;
        this.#tailUsed = left;
        return;
      }
      left -= block.length;
    }
  }

  /** A copy of bytes of this slice: its memory may be used for something else before the reader has looked. */
  copy(at: number, length: number): Buffer {
    const copied = Buffer.allocUnsafe(length);
    let skip = at;
    let filled = 0;
    for (const block of this.blocks) {
      if (filled === length) break;
      if (skip >= block.length) {
        skip -= block.length;
        continue;
      }
      const taken = Math.min(block.length - skip, length - filled);
      block.copy(copied, filled, skip, skip + taken);
      filled += taken;
      skip = 0;
    }
    return copied;
  }

  /** The slice's bytes as views on its own memory. */
  payload(): Buffer[] {
    return this.blocks.map((block, index) =>
      index === this.blocks.length - 1 ? block.subarray(0, this.#tailUsed) : block,
    );
  }
}

export class WriteBuffer {
  readonly #pool: BlockPool;
  readonly #maxSliceBytes: number;
  #slices: Slice[] = [];
  #bytes = 0;

  /** @param maxSliceBytes a slice that has grown to this is full */
  constructor(pool: BlockPool, maxSliceBytes: number) {
    this.#pool = pool;
    this.#maxSliceBytes = maxSliceBytes;
  }

  get slices(): readonly Slice[] {
    return this.#slices;
  }

  /** Bytes in all slices together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Where the last slice ends; 0 when there is none. */
  get end(): number {
    return this.#slices.at(-1)?.end ?? 0;
  }

  /** Whether there is as much as should be packed into chunks at once. */
  get isWorthPacking(): boolean {
    return this.#bytes >= 2 * this.#maxSliceBytes || this.#slices.length >= MAX_SLICES_PER_CHUNK;
  }

  /** Takes a copy of `data`, or its memory (BlockPool.keep). Returns by how many bytes the buffer grew, and the slice that became full, if one did. */
  write(offset: number, data: Uint8Array): { readonly grewBytes: number; readonly isSliceFull: boolean } {
    let grewBytes = 0;
    let isSliceFull = false;
    let at = offset;
    let rest = data;
    while (rest.length > 0) {
      const next = firstAfter(this.#slices, at);
      const slice = this.#slices[next - 1];
      if (slice && slice.end > at) {
        const taken = Math.min(slice.end - at, rest.length);
        slice.overwrite(at - slice.offset, rest.subarray(0, taken));
        at += taken;
        rest = rest.subarray(taken);
        continue;
      }
      const room = (this.#slices[next]?.offset ?? Number.POSITIVE_INFINITY) - at;
      const isAppend = slice !== undefined && slice.end === at && slice.length < this.#maxSliceBytes;
      const grown = isAppend ? slice : new Slice(at);
      if (!isAppend) this.#slices.splice(next, 0, grown);
      const taken = Math.min(room, rest.length, this.#maxSliceBytes - grown.length);
      grown.append(rest.subarray(0, taken), this.#pool);
      if (grown.length === this.#maxSliceBytes) isSliceFull = true;
      grewBytes += taken;
      at += taken;
      rest = rest.subarray(taken);
    }
    this.#bytes += grewBytes;
    return { grewBytes, isSliceFull };
  }

  /** Drops what lies at or behind `size`; returns how many bytes that were. */
  cut(size: number): number {
    const before = this.#bytes;
    this.#slices = cutSlices(this.#slices, size);
    this.#bytes = bytesOf(this.#slices);
    return before - this.#bytes;
  }

  /** Takes the full slices out, each a chunk of its own. */
  takeFull(): Slice[][] {
    const full = this.#slices.filter(slice => slice.length === this.#maxSliceBytes);
    this.#slices = this.#slices.filter(slice => slice.length < this.#maxSliceBytes);
    for (const slice of full) this.#bytes -= slice.length;
    return full.map(slice => [slice]);
  }

  /** Takes everything out, packed into chunks in file order. */
  takeAll(): Slice[][] {
    const chunks: Slice[][] = [];
    let current: Slice[] = [];
    let bytes = 0;
    for (const slice of this.#slices) {
      if (
        current.length > 0 &&
        (bytes + slice.length > this.#maxSliceBytes || current.length >= MAX_SLICES_PER_CHUNK)
      ) {
        chunks.push(current);
        current = [];
        bytes = 0;
      }
      current.push(slice);
      bytes += slice.length;
    }
    if (current.length > 0) chunks.push(current);
    this.#slices = [];
    this.#bytes = 0;
    return chunks;
  }
}

/** How many bytes the slices have together. */
export function bytesOf(slices: readonly Slice[]): number {
  return slices.reduce((sum, { length }) => sum + length, 0);
}

/** What of sorted slices lies before `size`. */
export function cutSlices(slices: readonly Slice[], size: number): Slice[] {
  const left = slices.filter(({ offset }) => offset < size);
  const last = left.at(-1);
  if (last && last.end > size) last.shorten(size - last.offset);
  return left;
}

/** The index of the first slice that starts after `offset`, in a sorted list. */
export function firstAfter(slices: readonly Slice[], offset: number): number {
  let low = 0;
  let high = slices.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const slice = slices[middle];
    if (slice && slice.offset <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
