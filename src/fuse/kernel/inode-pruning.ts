/**
 * Asks the kernel to forget inodes that it has not asked about for long, when it knows more of them than the mount has memory
 * for (FUSE_NOTIFY_PRUNE, which drops names and inodes that nobody uses; a FORGET then comes for each).
 *
 * The kernel keeps what is open, a program's working directory, and directories of which it knows names. It also keeps
 * everything where it is older than the request. So the table may grow beyond its share, at a thirtieth of what the same
 * inode costs the kernel.
 */
import type { KnownInodes } from './known-inodes.js';

/** Inodes that the kernel is asked to forget at a time. */
const BATCH = 2048;
/** After so many new inodes the kernel is asked again, if the last time did not help. */
const PATIENCE = BATCH / 2;

export interface PruningOptions {
  readonly known: KnownInodes;
  /** Memory for the table. */
  readonly limitBytes: number;
  /** Asks the kernel to forget these. Never rejects. */
  readonly prune: (inodes: readonly number[]) => Promise<void>;
}

export class InodePruning {
  readonly #options: PruningOptions;
  readonly #limit: number;
  #isUnderWay = false;
  /** New inodes since the kernel was asked last. */
  #added = PATIENCE;

  constructor(options: PruningOptions) {
    this.#options = options;
    this.#limit = options.known.roomWithin(options.limitBytes) - BATCH;
  }

  /** The table has a new inode. */
  added(): void {
    this.#added += 1;
    if (this.#options.known.size <= this.#limit || this.#isUnderWay || this.#added < PATIENCE) return;
    this.#added = 0;
    void this.#prune();
  }

  async #prune(): Promise<void> {
    this.#isUnderWay = true;
    await this.#options.prune(this.#options.known.oldest(BATCH));
    this.#isUnderWay = false;
  }
}
