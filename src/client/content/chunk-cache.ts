/** Blocks of chunks kept in memory. Chunks never change, so what is here is true for ever (docs/decisions/01). */
import { LRUCache } from 'lru-cache';
import { assert } from '../../protocol/errors.js';
import { payloadBytes, slicePayload } from '../../platform/payload.js';
import type { Payload } from '../../protocol/frame.js';
import { MAX_CHUNK_BYTES } from '../../protocol/limits.js';
import {
  BUFFER_BYTES,
  LARGE_KEY_BYTES,
  LRU_ENTRY_BYTES,
  stringCost,
  type CacheBudget,
} from '../caches/cache-budget.js';
import type { ChunkReader } from './chunk-reader.js';
import type { ReadableChunk } from './readable-chunk.js';

/** What is fetched and kept at once: large enough that the round trip does not count. */
export const CACHE_BLOCK_BYTES = 1 << 20;
/**
 * The same of a chunk whose bytes are all over the file. Its reader comes back for the next piece when he has been to all
 * other chunks, so the blocks of all of them have to have room at once; 16 pieces of 4 KiB share a round trip.
 */
export const SCATTERED_BLOCK_BYTES = 64 << 10;
const BLOCKS_PER_CHUNK = MAX_CHUNK_BYTES / CACHE_BLOCK_BYTES;
const SCATTERED_BLOCKS_PER_CHUNK = MAX_CHUNK_BYTES / SCATTERED_BLOCK_BYTES;
/** Of both sizes, and rounded up to a power of two. */
const KEYS_PER_CHUNK = 2 * SCATTERED_BLOCKS_PER_CHUNK;

/**
 * A block of at most so many bytes is kept as a string of latin1: a Buffer of its own would cost three hundred bytes more, and
 * a slice would keep all of the buffer from the network that it lies in.
 */
const MAX_PACKED_BYTES = 4096;
/** A block may keep this part more memory than it has bytes; otherwise it is copied. */
const MAX_WASTE = 1 / 4;

/** Bytes as they are kept. */
type Kept = Payload | string;

export type BlockBytes = typeof CACHE_BLOCK_BYTES | typeof SCATTERED_BLOCK_BYTES;

export class ChunkCache {
  readonly #reader: ChunkReader;
  /** The key of a chunk's block (keyOf) → its bytes */
  readonly #blocks: LRUCache<number, Kept>;
  readonly #budget: CacheBudget | undefined;
  /** same key → the read under way, shared by all who want the block */
  readonly #reading = new Map<number, Promise<Payload>>();

  /**
   * @param maxBytes memory for what is kept, besides what is being read
   * @param budget that of all caches: while they hold more than they may, this one gives way
   */
  constructor(reader: ChunkReader, maxBytes: number, budget?: CacheBudget) {
    this.#reader = reader;
    this.#budget = budget;
    this.#blocks = new LRUCache<number, Kept>({ maxSize: maxBytes, sizeCalculation: costOf });
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#blocks.calculatedSize;
  }

  /** A chunk that was written just now, of at most a block: it may soon be read. The bytes are copied. */
  keep(chunk: number, payload: Payload): void {
    assert(payloadBytes(payload) <= CACHE_BLOCK_BYTES, 'it is no more than a block');
    this.#keep(keyOf(chunk, 0, CACHE_BLOCK_BYTES), payload, true);
  }

  /** Bytes of a chunk if they are at hand. */
  kept(chunk: number, offset: number, length: number): Payload | undefined {
    return (
      this.#keptIn(CACHE_BLOCK_BYTES, chunk, offset, length) ??
      this.#keptIn(SCATTERED_BLOCK_BYTES, chunk, offset, length)
    );
  }

  /** Bytes of a chunk; whole blocks are fetched and kept. Rejects as ChunkReader.read does. */
  async read(
    location: ReadableChunk,
    offset: number,
    length: number,
    blockBytes: BlockBytes = CACHE_BLOCK_BYTES,
  ): Promise<Payload> {
    const first = Math.floor(offset / blockBytes);
    const last = Math.floor((offset + length - 1) / blockBytes);
    if (first === last) {
      const block = await this.#block(location, first, blockBytes);
      return slicePayload(block, offset - first * blockBytes, length);
    }
    const wanted: Promise<Payload>[] = [];
    for (let block = first; block <= last; block += 1) wanted.push(this.#block(location, block, blockBytes));
    const blocks = await Promise.all(wanted);
    return slicePayload(blocks.flat(), offset - first * blockBytes, length);
  }

  /** Fetches small chunks, of at most a block, in as few requests as may be. Never rejects. */
  async prefetch(locations: readonly ReadableChunk[]): Promise<void> {
    const missing = locations.filter(({ chunk, length }) => {
      assert(length <= CACHE_BLOCK_BYTES, 'it is no more than a block');
      const key = keyOf(chunk, 0, CACHE_BLOCK_BYTES);
      return !this.#blocks.has(key) && !this.#reading.has(key);
    });
    const together = this.#reader.readWhole(missing);
    const reading = missing.map(async location => {
      const key = keyOf(location.chunk, 0, CACHE_BLOCK_BYTES);
      return await this.#share(key, async () => {
        const bytes = (await together).get(location.chunk);
        // By itself, to hear why it is not among them.
        if (!bytes) return await this.#fetch(location, 0, CACHE_BLOCK_BYTES, key);
        this.#keep(key, bytes);
        return bytes;
      });
    });
    await Promise.allSettled(reading);
  }

  #keptIn(blockBytes: BlockBytes, chunk: number, offset: number, length: number): Payload | undefined {
    const first = Math.floor(offset / blockBytes);
    const blocks: Payload[] = [];
    for (let block = first; block * blockBytes < offset + length; block += 1) {
      // Reading a block does not make it younger: the kernel keeps the pages that it was read into, and a program that copies
      // a tree which does not fit twice would otherwise push out each file just before it reads it.
      const kept = this.#blocks.peek(keyOf(chunk, block, blockBytes));
      if (!kept) return undefined;
      blocks.push(unpacked(kept));
    }
    return slicePayload(blocks.flat(), offset - first * blockBytes, length);
  }

  async #block(location: ReadableChunk, block: number, blockBytes: BlockBytes): Promise<Payload> {
    const key = keyOf(location.chunk, block, blockBytes);
    const kept = this.#blocks.get(key);
    if (kept) return unpacked(kept);
    return await this.#share(
      key,
      async () => await this.#fetch(location, block * blockBytes, blockBytes, key),
    );
  }

  /** Reads a block, unless that is under way. */
  async #share(key: number, read: () => Promise<Payload>): Promise<Payload> {
    let reading = this.#reading.get(key);
    if (!reading) {
      reading = read().finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return await reading;
  }

  async #fetch(location: ReadableChunk, offset: number, most: number, key: number): Promise<Payload> {
    const length = Math.min(most, location.length - offset);
    assert(length > 0, 'a block is read inside its chunk');
    const bytes = await this.#reader.read(location, offset, length);
    this.#keep(key, bytes);
    return bytes;
  }

  /** @param isLent the bytes belong to somebody else */
  #keep(key: number, bytes: Payload, isLent = false): void {
    this.#blocks.set(key, compact(bytes, isLent));
    while (this.#blocks.size > 0 && this.#budget?.isExceeded === true) this.#blocks.pop();
  }
}

/** The bytes in memory that holds little else. */
function compact(bytes: Payload, isLent: boolean): Kept {
  const length = payloadBytes(bytes);
  if (length <= MAX_PACKED_BYTES) return Buffer.concat(bytes).toString('latin1');
  const isTight = heldBytes(bytes) <= length * (1 + MAX_WASTE);
  return isTight && !isLent ? bytes : [ownCopy(bytes, length)];
}

/** What the pieces keep in memory: all of each buffer in which one of them lies. */
function heldBytes(bytes: Payload): number {
  let sum = 0;
  for (const buffer of new Set(bytes.map(piece => piece.buffer))) sum += buffer.byteLength;
  return sum;
}

function ownCopy(bytes: Payload, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const piece of bytes) {
    copy.set(piece, at);
    at += piece.length;
  }
  return copy;
}

function unpacked(kept: Kept): Payload {
  return typeof kept === 'string' ? [Buffer.from(kept, 'latin1')] : kept;
}

function costOf(kept: Kept): number {
  const entryBytes = LRU_ENTRY_BYTES + LARGE_KEY_BYTES;
  if (typeof kept === 'string') return entryBytes + stringCost(kept.length);
  return entryBytes + kept.length * BUFFER_BYTES + heldBytes(kept);
}

function keyOf(chunk: number, block: number, blockBytes: BlockBytes): number {
  const first = blockBytes === CACHE_BLOCK_BYTES ? 0 : BLOCKS_PER_CHUNK;
  const key = chunk * KEYS_PER_CHUNK + first + block;
  assert(Number.isSafeInteger(key), 'chunk ids stay below 2^42');
  return key;
}
