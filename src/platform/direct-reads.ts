/**
 * Large reads past the page cache (O_DIRECT, open(2)), by a thread of libuv's pool. The disk writes straight to the caller's
 * memory, which is used again and again, where the page cache takes memory that nobody has touched before, and copies it.
 *
 * The kernel wants such a read aligned, in memory and in the file: what is read is what was asked for, and the rest of the
 * blocks at both ends.
 */
import { PAGE_BYTES as BLOCK_BYTES } from './aligned-buffers.js';
import { DirectDescriptor } from './direct-descriptor.js';
import { codeOf } from './file-error-text.js';
import { readFully } from './positional-read.js';

/** Memory that a read takes besides what it is to bring: for its beginning in memory, and for both ends in the file. */
export const DIRECT_SLACK_BYTES = 3 * BLOCK_BYTES;

/** A second descriptor of a file, which goes past the page cache. */
export class DirectlyReadFile {
  readonly #descriptor: DirectDescriptor;

  private constructor(descriptor: DirectDescriptor) {
    this.#descriptor = descriptor;
  }

  /** As DirectDescriptor.open. */
  static async open(descriptor: number): Promise<DirectlyReadFile | undefined> {
    const direct = await DirectDescriptor.open(descriptor, 'read');
    return direct && new DirectlyReadFile(direct);
  }

  /**
   * `length` bytes from `position` on, less only at the end of the file: a part of `memory`, which has DIRECT_SLACK_BYTES more.
   * Undefined where the file system takes no such read after all. Rejects with the system's error.
   */
  async read(memory: Buffer, length: number, position: number): Promise<Buffer | undefined> {
    const start = this.#descriptor.bytesToPage(memory);
    const skip = position % BLOCK_BYTES;
    const blocks = Math.ceil((skip + length) / BLOCK_BYTES);
    const target = memory.subarray(start, start + blocks * BLOCK_BYTES);
    try {
      const count = await readFully(this.#descriptor.fd, target, position - skip);
      return target.subarray(skip, Math.min(count, skip + length));
    } catch (error) {
      if (codeOf(error) === 'EINVAL') return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#descriptor.close();
  }
}
