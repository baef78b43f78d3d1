/**
 * Large writes past the page cache (O_DIRECT, open(2)), where that is faster. In a virtual machine the first touch of each page of
 * the cache can cost more than the disk takes to write it; where a disk is slow, the cache takes a burst that the disk cannot.
 * So both ways are measured while they are used.
 *
 * The kernel wants such a write aligned, in memory and in the file. What lies on whole blocks is copied to aligned memory and goes
 * past the cache; the ends, which share their blocks with what was written before and comes after, go through it.
 */
import { close, constants, open, write } from 'node:fs';
import { promisify } from 'node:util';
import { BufferPool } from './buffer-pool.js';
import { codeOf } from './file-error-text.js';
import { slicePayload } from './payload.js';

/** A multiple of every disk's and every file system's block that is in use. */
const BLOCK_BYTES = 4096;
/** Written at once. */
const PIECE_BYTES = 2 << 20;
/** Smaller writes are not worth a copy and a wait for the disk. */
export const MIN_DIRECT_BYTES = 512 << 10;
/** Measurements of each way before one is preferred. */
const TRIALS = 2;
/** The other way is tried again with each so many writes. */
const RETRY_EVERY = 64;
/** How much of the measured speed is the newest measurement's. */
const NEWEST_PART = 0.25;

export type Way = 'direct' | 'cached';

const openAsync = promisify(open);
const closeAsync = promisify(close);
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
      this.#msPerByte.direct <= this.#msPerByte.cached ? ['direct', 'cached'] : ['cached', 'direct'];
    return (direct + cached) % RETRY_EVERY === 0 ? slower : faster;
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
  readonly #descriptor: number;
  readonly #addressOf: (memory: Buffer) => bigint;

  private constructor(descriptor: number, addressOf: (memory: Buffer) => bigint) {
    this.#descriptor = descriptor;
    this.#addressOf = addressOf;
  }

  /**
   * Undefined where there is no such thing: without /proc, on a file system without O_DIRECT, or with a libc that koffi does not
   * know. Never rejects.
   */
  static async open(descriptor: number): Promise<DirectFile | undefined> {
    if (process.platform !== 'linux') return undefined;
    try {
      // Not loaded before it is needed: it takes 30 ms.
      const { default: koffi } = await import('koffi');
      // By its descriptor: the file may have another name by now, or none.
      const flags = constants.O_WRONLY | constants.O_DIRECT;
      const direct = await openAsync(`/proc/self/fd/${descriptor}`, flags);
      return new DirectFile(direct, memory => koffi.address(memory));
    } catch {
      // Whatever stands in the way, the page cache does it too.
      return undefined;
    }
  }

  /**
   * Writes those of the bytes that lie on whole blocks of the file. Returns from where to where in the pieces' bytes; equal ends
   * for nothing, where the file system takes no such write after all. Rejects with the system's error.
   * @param bytes how many the pieces have
   */
  async write(
    pieces: readonly Buffer[],
    bytes: number,
    position: number,
  ): Promise<{ from: number; to: number }> {
    const from = (BLOCK_BYTES - (position % BLOCK_BYTES)) % BLOCK_BYTES;
    const end = bytes - ((position + bytes) % BLOCK_BYTES);
    if (end <= from) return { from, to: from };
    const buffer = pool.take();
    const start = (BLOCK_BYTES - Number(this.#addressOf(buffer) % BigInt(BLOCK_BYTES))) % BLOCK_BYTES;
    try {
      for (let at = from; at < end;) {
        const length = Math.min(PIECE_BYTES, end - at);
        let filled = start;
        for (const piece of slicePayload(pieces, at, length)) filled += piece.copy(buffer, filled);
        const { bytesWritten } = await writeAsync(this.#descriptor, buffer, start, length, position + at);
        // A disk that is about to be full: the page cache's write finds out.
        if (bytesWritten < length) return { from, to: at };
        at += length;
      }
      return { from, to: end };
    } catch (error) {
      if (codeOf(error) === 'EINVAL') return { from, to: from };
      throw error;
    } finally {
      pool.give(buffer);
    }
  }

  async close(): Promise<void> {
    await closeAsync(this.#descriptor);
  }
}
