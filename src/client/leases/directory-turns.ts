/**
 * When this client takes its turn in a directory in which others change names, too (the server's side is
 * metadata/leases/write-turns.ts): in its turn it changes names ahead of the server. It makes dozens of changes in the time of one that
 * the server has to tell the others before it answers.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import type { HeldInodes } from './held-inodes.js';

/** Directories that are remembered. */
const MAX_DIRECTORIES = 1024;
/** Who looks for a name so shortly after a change is about to make the next one. */
const CHANGING_MS = 50;

export interface DirectoryTurnsOptions {
  readonly clock: Clock;
  readonly held: HeldInodes;
  /** Asks for a directory, unless that was refused just now. Never rejects. */
  readonly acquire: (directory: number) => Promise<unknown>;
}

export class DirectoryTurns {
  readonly #options: DirectoryTurnsOptions;
  /** directory that others change, too → monotonic ms at which this client last changed a name in it */
  readonly #changedMs = new LRUCache<number, number>({ max: MAX_DIRECTORIES });

  constructor(options: DirectoryTurnsOptions) {
    this.#options = options;
  }

  /** The server changed names in the directory for this client, and did not give it the directory. */
  noteRefused(directory: number): void {
    const { clock, held } = this.#options;
    if (!held.has(directory)) this.#changedMs.set(directory, clock.monotonicMs());
  }

  /** Whether `take` is to be called before names in the directory are changed or looked for. */
  isContested(directory: number): boolean {
    return this.#changedMs.has(directory);
  }

  /** Whether `take` may wait for its turn when a name is looked for. */
  mayDelayLookup(directory: number): boolean {
    const { clock, held } = this.#options;
    const changedMs = this.#changedMs.get(directory);
    return changedMs !== undefined && !held.has(directory) && clock.monotonicMs() - changedMs <= CHANGING_MS;
  }

  /** As `take` for a change, if it need not wait; returns whether it was done. */
  takeNow(directory: number): boolean {
    const { clock, held } = this.#options;
    if (!this.#changedMs.has(directory)) return true;
    if (!held.has(directory)) return false;
    this.#changedMs.set(directory, clock.monotonicMs());
    return true;
  }

  /**
   * Waits for this client's turn, if it is about to change names in the directory. Never rejects.
   * @param isChange false: it looks for one
   */
  async take(directory: number, isChange: boolean): Promise<void> {
    const { clock, acquire } = this.#options;
    const isHere = isChange ? this.takeNow(directory) : !this.mayDelayLookup(directory);
    if (isHere) return;
    if (isChange) this.#changedMs.set(directory, clock.monotonicMs());
    await acquire(directory);
  }
}
