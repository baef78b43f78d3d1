/**
 * Large writes past the page cache (O_DIRECT, open(2)), where that is faster. In a virtual machine the first touch of each page of
 * the cache can cost more than the disk takes to write it; where a disk is slow, the cache takes a burst that the disk cannot.
 * So both ways are measured while they are used.
 *
 * The kernel wants such a write aligned, in memory and in the file. Memory that is aligned just as the file is at its place
 * (platform/aligned-buffers.ts) is written from where it is. Of the rest, what lies on whole blocks is copied to aligned memory. The
 * ends, which share their blocks with what was written before and comes after, go through the cache.
 */
import { write } from 'node:fs';
import { promisify } from 'node:util';
import { PAGE_BYTES as BLOCK_BYTES } from './aligned-buffers.js';
import { BufferPool } from './buffer-pool.js';
import { DirectDescriptor } from './direct-descriptor.js';
import { codeOf } from './file-error-text.js';
import { payloadBytes, slicePayload } from './payload.js';

export type Way = 'direct' | 'cached';

/** Written at once. */
const PIECE_BYTES = 2 << 20;
/** Smaller writes are not worth a copy and a wait for the disk. */
export const MIN_DIRECT_BYTES = 512 << 10;
/** Measurements of each way before one is preferred. */
const TRIALS = 2;
/**
 * The other way is tried again with each so many writes: the cache seldom, which costs several times the processor time, and the disk more
 * often, lest one slow moment of it count for long.
 */
const RETRY_EVERY: Record<Way, number> = { direct: 64, cached: 512 };
/**
 * Past the cache a write may take so many times as long and still be preferred: the time through the cache is the processor's, twice, as
 * the kernel writes it to the disk later, and others need it.
 */
const PATIENCE = 2;
/** How much of the measured speed is the newest measurement's. */
const NEWEST_PART = 0.25;

/** Of what is written past the cache, a run of whole blocks has at least so many bytes. */
const MIN_ALIGNED_BYTES = 64 << 10;

/** Bytes of several pieces, counted from the first one's beginning. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

interface Part extends Range {
  /** The memory that may be written as it is, from its beginning. */
  readonly aligned?: Buffer;
}

const writeAsync = promisify(write);

/** Which of two ways is faster on a disk, by what was measured last. */
export class FasterWay {
  readonly #msPerByte: Record<Way, number> = { direct: 0, cached: 0 };
  readonly #count: Record<Way, number> = { direct: 0, cached: 0 };

  /** The way that the next write should go. */
  choose(): Way {
    const { direct, cached } = this.#count;
    if (Math.min(direct, cached) < TRIALS) return direct <= cached ? 'direct' : 'cached';
    const [faster, slower]: [Way, Way] =
      this.#msPerByte.direct <= PATIENCE * this.#msPerByte.cached
        ? ['direct', 'cached']
        : ['cached', 'direct'];
    return (direct + cached) % RETRY_EVERY[slower] === 0 ? slower : faster;
  }

  /** A write of so many bytes took so many ms. */
  note(way: Way, bytes: number, ms: number): void {
    const measured = ms / bytes;
    // The first one pays for memory that nobody has touched before.
    const isFirst = this.#count[way] < 2;
    this.#msPerByte[way] += (measured - this.#msPerByte[way]) * (isFirst ? 1 : NEWEST_PART);
    this.#count[way] += 1;
  }
}

/** Aligned memory, for as many writes at once as there are segments being written. */
const pool = new BufferPool(PIECE_BYTES + BLOCK_BYTES, 2);

/** A second descriptor of a file, which goes past the page cache. */
export class DirectFile {
  readonly #descriptor: DirectDescriptor;

  private constructor(descriptor: DirectDescriptor) {
    this.#descriptor = descriptor;
  }

  /** As DirectDescriptor.open. */
  static async open(descriptor: number): Promise<DirectFile | undefined> {
    const direct = await DirectDescriptor.open(descriptor, 'write');
    return direct && new DirectFile(direct);
  }

  /**
   * Writes those of the bytes that lie on whole blocks of the file. Returns what is left for the page cache, in order: all of it where
   * the file system takes no such write after all. Rejects with the system's error.
   */
  async write(pieces: readonly Buffer[], position: number): Promise<Range[]> {
    const left: Range[] = [];
    try {
      for (const part of this.#partsOf(pieces, position)) {
        const { from, to, aligned } = part;
        const end = aligned
          ? from + (await this.#writeOnce(aligned, 0, to - from, position + from))
          : await this.#writeCopied(pieces, part, position, left);
        if (end < to) left.push({ from: end, to });
      }
    } catch (error) {
      if (codeOf(error) !== 'EINVAL') throw error;
      return [{ from: 0, to: payloadBytes(pieces) }];
    }
    return left;
  }

  /** Cuts the pieces' bytes into those that may be written from where they are, and the others. */
  #partsOf(pieces: readonly Buffer[], position: number): Part[] {
    const parts: Part[] = [];
    let other = 0;
    let at = 0;
    const endOther = (): void => {
      if (at > other) parts.push({ from: other, to: at });
    };
    for (const piece of pieces) {
      const whole = piece.length - (piece.length % BLOCK_BYTES);
      if (
        whole >= MIN_ALIGNED_BYTES &&
        (position + at) % BLOCK_BYTES === 0 &&
        this.#descriptor.bytesToPage(piece) === 0
      ) {
        endOther();
        parts.push({ from: at, to: at + whole, aligned: piece });
        other = at + whole;
      }
      at += piece.length;
    }
    endOther();
    return parts;
  }

  /** Returns up to where it is written; what lies before the first whole block is added to `left`. */
  async #writeCopied(
    pieces: readonly Buffer[],
    { from, to }: Range,
    position: number,
    left: Range[],
  ): Promise<number> {
    const begin = from + ((BLOCK_BYTES - ((position + from) % BLOCK_BYTES)) % BLOCK_BYTES);
    const end = to - ((position + to) % BLOCK_BYTES);
    // A little, such as the head of a record, is not worth a wait for the disk.
    if (end - begin < MIN_ALIGNED_BYTES) return from;
    if (begin > from) left.push({ from, to: begin });
    const buffer = pool.take();
    const start = this.#descriptor.bytesToPage(buffer);
    try {
      for (let at = begin; at < end;) {
        const length = Math.min(PIECE_BYTES, end - at);
        let filled = start;
        for (const piece of slicePayload(pieces, at, length)) filled += piece.copy(buffer, filled);
        const written = await this.#writeOnce(buffer, start, length, position + at);
        at += written;
        if (written < length) return at;
      }
      return end;
    } finally {
      pool.give(buffer);
    }
  }

  /** Returns how much was written, in whole blocks: less on a disk that is about to be full, as the page cache's write finds out. */
  async #writeOnce(memory: Buffer, start: number, length: number, position: number): Promise<number> {
    const { bytesWritten } = await writeAsync(this.#descriptor.fd, memory, start, length, position);
    return bytesWritten - (bytesWritten % BLOCK_BYTES);
  }

  async close(): Promise<void> {
    await this.#descriptor.close();
  }
}
