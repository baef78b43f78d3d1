/** Blocks of chunks kept in memory. Chunks never change, so what is here is true for ever (DESIGN decision 1). */
import { LRUCache } from 'lru-cache';
import { assert } from '../protocol/errors.js';
import { payloadBytes, slicePayload, type Payload } from '../protocol/frame.js';
import { MAX_CHUNK_BYTES } from '../protocol/limits.js';
import type { ChunkLocation } from '../protocol/types.js';
import type { ChunkReader } from './chunk-reader.js';

/** What is fetched and kept at once: large enough that the round trip does not count. */
export const CACHE_BLOCK_BYTES = 1 << 20;
const BLOCKS_PER_CHUNK = MAX_CHUNK_BYTES / CACHE_BLOCK_BYTES;

export class ChunkCache {
  readonly #reader: ChunkReader;
  /** chunk · BLOCKS_PER_CHUNK + block → its bytes */
  readonly #blocks: LRUCache<number, Payload>;
  /** same key → the read under way, shared by all who want the block */
  readonly #reading = new Map<number, Promise<Payload>>();

  /** @param maxBytes the most that is kept, besides what is being read */
  constructor(reader: ChunkReader, maxBytes: number) {
    this.#reader = reader;
    this.#blocks = new LRUCache<number, Payload>({ maxSize: maxBytes, sizeCalculation: payloadBytes });
  }

  /** A chunk that was written just now, of at most a block: it may soon be read. The bytes are copied. */
  keep(chunk: number, payload: Payload): void {
    assert(payloadBytes(payload) <= CACHE_BLOCK_BYTES, 'it is no more than a block');
    this.#blocks.set(keyOf(chunk, 0), [Buffer.concat(payload)]);
  }

  /** Whether every byte of the range is at hand. */
  has(chunk: number, offset: number, length: number): boolean {
    const last = blockOf(offset + length - 1);
    for (let block = blockOf(offset); block <= last; block += 1) {
      if (!this.#blocks.has(keyOf(chunk, block))) return false;
    }
    return true;
  }

  /** Bytes of a chunk; whole blocks are fetched and kept. Rejects as ChunkReader.read does. */
  async read(location: ChunkLocation, offset: number, length: number): Promise<Payload> {
    const first = blockOf(offset);
    const last = blockOf(offset + length - 1);
    if (first === last) {
      const block = await this.#block(location, first);
      return slicePayload(block, offset - first * CACHE_BLOCK_BYTES, length);
    }
    const wanted: Promise<Payload>[] = [];
    for (let block = first; block <= last; block += 1) wanted.push(this.#block(location, block));
    const blocks = await Promise.all(wanted);
    return slicePayload(blocks.flat(), offset - first * CACHE_BLOCK_BYTES, length);
  }

  async #block(location: ChunkLocation, block: number): Promise<Payload> {
    const key = keyOf(location.chunk, block);
    const kept = this.#blocks.get(key);
    if (kept) return kept;
    let reading = this.#reading.get(key);
    if (!reading) {
      reading = this.#fetch(location, block, key).finally(() => this.#reading.delete(key));
      this.#reading.set(key, reading);
    }
    return await reading;
  }

  async #fetch(location: ChunkLocation, block: number, key: number): Promise<Payload> {
    const offset = block * CACHE_BLOCK_BYTES;
    const length = Math.min(CACHE_BLOCK_BYTES, location.length - offset);
    assert(length > 0, 'a block is read inside its chunk');
    const bytes = await this.#reader.read(location, offset, length);
    this.#blocks.set(key, bytes);
    return bytes;
  }
}

function blockOf(offset: number): number {
  return Math.floor(offset / CACHE_BLOCK_BYTES);
}

function keyOf(chunk: number, block: number): number {
  const key = chunk * BLOCKS_PER_CHUNK + block;
  assert(Number.isSafeInteger(key), 'chunk ids stay below 2^47');
  return key;
}
