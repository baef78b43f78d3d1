/**
 * fsyncs SQLite's write-ahead log without blocking the event loop. SQLite's own fsync at commit would stop every
 * request for as long as the disk takes; this one runs on another thread while further transactions commit.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile } from '../../../platform/disk.js';
import { SharedRun } from '../../../platform/shared-run.js';
import { DfsError, toDfsError } from '../../../protocol/errors.js';

export class WalFlusher {
  readonly #disk: Disk;
  readonly #path: string;
  #file: DiskFile | undefined;
  /** Commits so far, and how many of them are on stable storage. */
  #committed = 0;
  #flushed = 0;
  readonly #fsync = new SharedRun(async () => await this.#sync());
  #failure: DfsError | undefined;

  /** @param path the log's file, which exists */
  constructor(disk: Disk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  async open(): Promise<void> {
    this.#file = await this.#disk.open(this.#path, 'existing');
    // Makes the log's name permanent.
    await this.#disk.syncDirectory(dirname(this.#path));
  }

  /**
   * Set once an fsync has failed. What the kernel did with the pages is then unknown, and a second fsync would report
   * success for data that is lost; only a restart, which reads the log again, finds out.
   */
  get failure(): DfsError | undefined {
    return this.#failure;
  }

  get isFlushNeeded(): boolean {
    return this.#flushed < this.#committed;
  }

  /** Commits so far. */
  get commits(): number {
    return this.#committed;
  }

  /** Something was committed that is only in the page cache. */
  noteCommit(): void {
    this.#committed += 1;
  }

  /** Every commit noted before the call is on stable storage when it resolves. Callers that wait share an fsync. */
  async flush(): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (!this.isFlushNeeded) return;
    await this.#fsync.run();
  }

  /** Closes the file; waits for an fsync under way. */
  async close(): Promise<void> {
    await this.#fsync.settled();
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #sync(): Promise<void> {
    if (this.#failure) throw this.#failure;
    const committed = this.#committed;
    if (!this.#file) throw new DfsError('EIO', 'the metadata database is closed');
    try {
      await this.#file.datasync();
    } catch (error) {
      const reason = toDfsError(error).message;
      this.#failure = new DfsError(
        'EIO',
        `the metadata could not be put on stable storage (${reason}); check the disk and restart the metadata server`,
        { cause: error },
      );
      throw this.#failure;
    }
    this.#flushed = Math.max(this.#flushed, committed);
  }
}
