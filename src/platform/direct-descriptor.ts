/**
 * A second descriptor of an open file, by which reads and writes go past the page cache (O_DIRECT, open(2)). The kernel wants them
 * aligned, in memory and in the file.
 */
import { close, constants, open } from 'node:fs';
import { promisify } from 'node:util';
import { PAGE_BYTES } from './aligned-buffers.js';

const openAsync = promisify(open);
const closeAsync = promisify(close);

export class DirectDescriptor {
  /** The system's number. */
  readonly fd: number;
  readonly #addressOf: (memory: Buffer) => bigint;

  private constructor(fd: number, addressOf: (memory: Buffer) => bigint) {
    this.fd = fd;
    this.#addressOf = addressOf;
  }

  /**
   * Undefined where there is no such thing: without /proc, on a file system without O_DIRECT, or with a libc that koffi does not
   * know. Never rejects.
   */
  static async open(descriptor: number, use: 'read' | 'write'): Promise<DirectDescriptor | undefined> {
    if (process.platform !== 'linux') return undefined;
    try {
      // Not loaded before it is needed: it takes 30 ms.
      const { default: koffi } = await import('koffi');
      // By its descriptor: the file may have another name by now, or none.
      const access = use === 'read' ? constants.O_RDONLY : constants.O_WRONLY;
      const fd = await openAsync(`/proc/self/fd/${descriptor}`, access | constants.O_DIRECT);
      return new DirectDescriptor(fd, memory => koffi.address(memory));
    } catch {
      // Whatever stands in the way, the page cache does it too.
      return undefined;
    }
  }

  /** Bytes from the beginning of `memory` to the first page in it; 0 when it begins at one. */
  bytesToPage(memory: Buffer): number {
    return (PAGE_BYTES - Number(this.#addressOf(memory) % BigInt(PAGE_BYTES))) % PAGE_BYTES;
  }

  async close(): Promise<void> {
    await closeAsync(this.fd);
  }
}
