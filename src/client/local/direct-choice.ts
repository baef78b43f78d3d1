/**
 * Which of the large reads in order go past the page cache: those of a fast disk, of bytes that are read for the first time. What
 * is read a second time is worth its place in the page cache; and where the disk is slow, the page cache costs little beside
 * it, reads further ahead, and serves several readers of the same bytes at once.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { MAX_CHUNK_BYTES } from '../../protocol/limits.js';

/** So much of a chunk is remembered as read when a read begins in it. */
const PIECE_BYTES = 1 << 20;
const PIECES_PER_CHUNK = MAX_CHUNK_BYTES / PIECE_BYTES;
/** Pieces that are remembered. */
const MAX_PIECES = 16_384;
/** A disk that takes longer is slow; the page cache alone takes up to 3 ms a MiB (docs/decisions/50). */
const SLOW_MS_PER_MIB = 3;
/** How much of the measured speed is the newest measurement's. */
const NEWEST_PART = 1 / 8;
/** Nothing goes past the cache for so long after the disk was slow. */
const REST_MS = 10_000;

export class DirectChoice {
  readonly #clock: Clock;
  /** Pieces that were read past the cache, by pieceOf. Requests of one reader overtake each other, so their end alone says little. */
  readonly #read = new LRUCache<number, true>({ max: MAX_PIECES });
  #msPerMib = 0;
  /** Monotonic ms. */
  #restsUntilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether bytes of a chunk should be read past the page cache that does not have them. */
  isWanted(chunk: number, offset: number): boolean {
    return this.isFast && !this.#read.has(pieceOf(chunk, offset));
  }

  /** Whether the disk is fast, as far as is known. */
  get isFast(): boolean {
    return this.#clock.monotonicMs() >= this.#restsUntilMs;
  }

  /** These bytes are being read past the cache. */
  noteRead(chunk: number, offset: number): void {
    this.#read.set(pieceOf(chunk, offset), true);
  }

  /**
   * What a read took.
   * @param atOnce how many were under way, itself included
   */
  noteTime(bytes: number, ms: number, atOnce: number): void {
    // One that took very long (the first one loads what it needs) does not make a disk slow; several do.
    const measured = Math.min(2 * SLOW_MS_PER_MIB, (ms / atOnce / bytes) * (1 << 20));
    this.#msPerMib += (measured - this.#msPerMib) * NEWEST_PART;
    if (this.#msPerMib < SLOW_MS_PER_MIB) return;
    this.#restsUntilMs = this.#clock.monotonicMs() + REST_MS;
    this.#msPerMib = 0;
  }
}

function pieceOf(chunk: number, offset: number): number {
  return chunk * PIECES_PER_CHUNK + Math.floor(offset / PIECE_BYTES);
}
