/** The node's free space, and whether it suffices for another chunk. */
import type { Clock } from '../platform/clock.js';
import type { Disk, DiskSpace } from '../platform/disk.js';

/** Kept free, so that drops can be noted and segments compacted when the disk is full: this, or 1 % if that is less. */
const RESERVE_BYTES = 64 << 20;
const RESERVE_FRACTION = 0.01;
/** A measurement older than this is made again. Other programs write to the same disk. */
const MAX_AGE_MS = 1000;

/** A node's room as it tells others. */
export interface NodeSpace {
  /** What the node holds and what it could still take: nodes that share a file system do not count each other's bytes. */
  readonly totalBytes: number;
  /** What it could still take, without the reserve. */
  readonly freeBytes: number;
}

export class FreeSpace {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #clock: Clock;
  #measured: DiskSpace = { totalBytes: 0, availableBytes: 0 };
  #measuredAtMs = -Infinity;
  #writtenSinceBytes = 0;
  #measuring: Promise<void> | undefined;

  constructor(disk: Disk, directory: string, clock: Clock) {
    this.#disk = disk;
    this.#directory = directory;
    this.#clock = clock;
  }

  /** Whether `bytes` fit above the reserve. */
  async hasRoomFor(bytes: number): Promise<boolean> {
    if (this.#clock.monotonicMs() - this.#measuredAtMs > MAX_AGE_MS) await this.measure();
    return bytes <= this.#freeBytes();
  }

  /** Counts bytes that were written since the last measurement. */
  noteWritten(bytes: number): void {
    this.#writtenSinceBytes += bytes;
  }

  /** @param usedBytes what the node's segments take */
  async report(usedBytes: number): Promise<NodeSpace> {
    await this.measure();
    return {
      totalBytes: usedBytes + this.#measured.availableBytes,
      freeBytes: Math.max(0, this.#freeBytes()),
    };
  }

  /** Asks the file system; those who ask meanwhile share the answer. */
  async measure(): Promise<void> {
    this.#measuring ??= this.#measure().finally(() => (this.#measuring = undefined));
    await this.#measuring;
  }

  async #measure(): Promise<void> {
    const writtenBefore = this.#writtenSinceBytes;
    this.#measured = await this.#disk.space(this.#directory);
    this.#measuredAtMs = this.#clock.monotonicMs();
    this.#writtenSinceBytes -= writtenBefore;
  }

  #freeBytes(): number {
    const { totalBytes, availableBytes } = this.#measured;
    const reserve = Math.min(RESERVE_BYTES, Math.floor(totalBytes * RESERVE_FRACTION));
    return availableBytes - reserve - this.#writtenSinceBytes;
  }
}
