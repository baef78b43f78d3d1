/**
 * When inodes were changed last: exactly for the newest changes, and of all others the latest moment at which they may have been
 * changed. Two generations, so that the memory is bounded and nothing is forgotten at once.
 */

/** Inodes of a generation, by default: two of them take some 2 MiB. */
const GENERATION = 16_384;

export class RecentChanges {
  /** inode → when it was changed last */
  #newer = new Map<number, number>();
  #older = new Map<number, number>();
  /** No change in `#older` is younger. */
  #olderUntil = 0;
  /** What is in neither was changed no later than this. */
  #forgottenUntil = 0;
  readonly #generation: number;

  /** @param generation how many inodes are remembered exactly, at the least */
  constructor(generation = GENERATION) {
    this.#generation = generation;
  }

  /** @param now grows with each call */
  note(inode: number, now: number): void {
    if (this.#newer.size >= this.#generation && !this.#newer.has(inode)) {
      this.#forgottenUntil = this.#olderUntil;
      this.#olderUntil = now;
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(inode, now);
  }

  /** Every inode may have changed. */
  noteAll(now: number): void {
    this.#newer = new Map();
    this.#older = new Map();
    this.#olderUntil = now;
    this.#forgottenUntil = now;
  }

  /** When the inode was changed last, or a later moment. */
  latest(inode: number): number {
    return this.#newer.get(inode) ?? this.#older.get(inode) ?? this.#forgottenUntil;
  }
}
