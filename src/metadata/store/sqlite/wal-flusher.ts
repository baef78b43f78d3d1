/**
 * fsyncs SQLite's write-ahead log without blocking the event loop. SQLite's own fsync at commit would stop every
 * request for as long as the disk takes; this one runs on another thread while further transactions commit.
 */
import { close, fdatasync, fsync, open } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { DfsError, toDfsError } from '../../../protocol/errors.js';

const closeFile = promisify(close);
const syncFileData = promisify(fdatasync);
const syncFile = promisify(fsync);
const openFile = promisify(open);

/** Makes the names in the directory of `path` permanent. */
export async function syncDirectoryOf(path: string): Promise<void> {
  const descriptor = await openFile(dirname(path), 'r');
  try {
    await syncFile(descriptor);
  } finally {
    await closeFile(descriptor);
  }
}

export class WalFlusher {
  readonly #path: string;
  #descriptor: number | undefined;
  /** Commits so far, and how many of them are on stable storage. */
  #committed = 0;
  #flushed = 0;
  /** The fsync under way, and the one that waits for it to end. */
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failure: DfsError | undefined;

  /** @param path the log's file, which exists */
  constructor(path: string) {
    this.#path = path;
  }

  async open(): Promise<void> {
    this.#descriptor = await openFile(this.#path, 'r+');
    await syncDirectoryOf(this.#path);
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
    // The fsync under way may have begun before the last commit was written.
    this.#next ??= this.#runAfter(this.#running);
    await this.#next;
  }

  /** Closes the file; waits for an fsync under way. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#running, this.#next]);
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) await closeFile(descriptor);
  }

  async #runAfter(previous: Promise<void> | undefined): Promise<void> {
    await Promise.allSettled([previous]);
    this.#running = this.#next;
    this.#next = undefined;
    try {
      await this.#sync();
    } finally {
      if (this.#next === undefined) this.#running = undefined;
    }
  }

  async #sync(): Promise<void> {
    if (this.#failure) throw this.#failure;
    const committed = this.#committed;
    if (this.#descriptor === undefined) throw new DfsError('EIO', 'the metadata database is closed');
    try {
      await syncFileData(this.#descriptor);
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
