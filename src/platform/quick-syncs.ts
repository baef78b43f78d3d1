/**
 * Whether a file is synced on the main thread. Where a disk takes 0.2 ms, to wake a thread for it and to be woken by it takes as long
 * again, and on few processors longer; where it takes longer, everybody else would wait for it.
 */

/** Syncs that take less than this are quick, by their mean. */
const QUICK_MS = 1;
/** The mean of a disk of which nothing is known. */
const UNKNOWN_MS = 4;
/** How much of the mean a sync is. */
const WEIGHT = 1 / 16;
/** One that takes as long as this is reason enough. */
const SLOW_MS = 20;
/** After slow ones so many are left to threads before they are judged again. */
const SPARED = 1000;
/** With more than this to be written the time is that of the writing. */
const SMALL_BYTES = 256 << 10;

export class QuickSyncs {
  #meanMs = UNKNOWN_MS;
  #sparedLeft = 0;

  /** @param unsyncedBytes what was written since the last sync */
  mayBeAtOnce(unsyncedBytes: number): boolean {
    return unsyncedBytes <= SMALL_BYTES && this.#sparedLeft === 0 && this.#meanMs < QUICK_MS;
  }

  /** A sync of so few bytes that it might have been done at once took so long. */
  note(unsyncedBytes: number, wasAtOnce: boolean, tookMs: number): void {
    if (unsyncedBytes > SMALL_BYTES) return;
    this.#sparedLeft = Math.max(this.#sparedLeft - 1, 0);
    this.#meanMs += (tookMs - this.#meanMs) * WEIGHT;
    if (!wasAtOnce || (tookMs < SLOW_MS && this.#meanMs < QUICK_MS)) return;
    this.#meanMs = UNKNOWN_MS;
    this.#sparedLeft = SPARED;
  }
}
