/**
 * Large reads past the page cache (O_DIRECT, open(2)), by a thread of libuv's pool. The disk writes straight to the caller's
 * memory, which is used again and again, where the page cache takes memory that nobody has touched before, and copies it.
 *
 * The kernel wants such a read aligned, in memory and in the file: what is read is what was asked for, and the rest of the
 * blocks at both ends.
 */
import { close, constants, open } from 'node:fs';
import { promisify } from 'node:util';
import { codeOf } from './file-error-text.js';
import { readFully } from './positional-read.js';

/** A multiple of every disk's and every file system's block that is in use. */
const BLOCK_BYTES = 4096;
/** Memory that a read takes besides what it is to bring: for its beginning in memory, and for both ends in the file. */
export const DIRECT_SLACK_BYTES = 3 * BLOCK_BYTES;

const openAsync = promisify(open);
const closeAsync = promisify(close);

/** A second descriptor of a file, which goes past the page cache. */
export class DirectlyReadFile {
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
  static async open(descriptor: number): Promise<DirectlyReadFile | undefined> {
    if (process.platform !== 'linux') return undefined;
    try {
      const { default: koffi } = await import('koffi');
      // By its descriptor: the file may have another name by now, or none.
      const flags = constants.O_RDONLY | constants.O_DIRECT;
      const direct = await openAsync(`/proc/self/fd/${descriptor}`, flags);
      return new DirectlyReadFile(direct, memory => koffi.address(memory));
    } catch {
      // Whatever stands in the way, the page cache does it too.
      return undefined;
    }
  }

  /**
   * `length` bytes from `position` on, less only at the end of the file: a part of `memory`, which has DIRECT_SLACK_BYTES more.
   * Undefined where the file system takes no such read after all. Rejects with the system's error.
   */
  async read(memory: Buffer, length: number, position: number): Promise<Buffer | undefined> {
    const start = (BLOCK_BYTES - Number(this.#addressOf(memory) % BigInt(BLOCK_BYTES))) % BLOCK_BYTES;
    const skip = position % BLOCK_BYTES;
    const blocks = Math.ceil((skip + length) / BLOCK_BYTES);
    const target = memory.subarray(start, start + blocks * BLOCK_BYTES);
    try {
      const count = await readFully(this.#descriptor, target, position - skip);
      return target.subarray(skip, Math.min(count, skip + length));
    } catch (error) {
      if (codeOf(error) === 'EINVAL') return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await closeAsync(this.#descriptor);
  }
}
