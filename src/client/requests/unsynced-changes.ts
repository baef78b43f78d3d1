/**
 * Changes that the metadata server has answered and may still lose with its power: it puts each on stable storage within
 * a second. A session that is resumed names them, and the server says which of them are gone.
 */
import type { Clock } from '../../platform/clock.js';
import { DfsError } from '../../protocol/errors.js';
import { MAX_UNSYNCED_CHANGES } from '../../protocol/limits.js';

/** The server puts every change on stable storage within a second of its answer; the rest is for slow clocks and disks. */
const UNSYNCED_MS = 5000;

interface UnsyncedChange {
  /** The inodes that were changed; 0 for names. */
  readonly inodes: readonly number[];
  readonly answeredMs: number;
  /** How many changes were answered up to it. */
  readonly answers: number;
}

export class UnsyncedChanges {
  readonly #clock: Clock;
  /** sequence → what the server may lose with its power; the oldest first */
  readonly #changes = new Map<number, UnsyncedChange>();
  #answers = 0;
  /** Why names that were changed, as programs were told, are as they were before; until that was told. */
  #lostNames: DfsError | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#changes.size === 0;
  }

  /** How many changes were answered. */
  get answers(): number {
    return this.#answers;
  }

  sequences(): number[] {
    return [...this.#changes.keys()];
  }

  /** A change was answered; `inodes` are those that it changed, 0 for names. */
  add(sequence: number, inodes: readonly number[]): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [oldest, { answeredMs }] of this.#changes) {
      const isOld = answeredMs < nowMs - UNSYNCED_MS;
      if (!isOld && this.#changes.size < MAX_UNSYNCED_CHANGES) break;
      this.#changes.delete(oldest);
    }
    this.#answers += 1;
    this.#changes.set(sequence, { inodes, answeredMs: nowMs, answers: this.#answers });
  }

  /** These are on stable storage. */
  synced(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#changes.delete(sequence);
  }

  /** So many changes, counted from the first one that was answered (`answers`), are on stable storage. */
  syncedUpTo(answers: number): void {
    for (const [oldest, change] of this.#changes) {
      if (change.answers > answers) break;
      this.#changes.delete(oldest);
    }
  }

  /** The server lost these with its power. Returns the inodes that they had changed; names are told by `tellLostNames`. */
  lose(sequences: readonly number[]): number[] {
    const inodes = new Set<number>();
    for (const sequence of sequences) {
      const change = this.#changes.get(sequence);
      this.#changes.delete(sequence);
      for (const inode of change?.inodes ?? []) {
        if (inode === 0) this.#lostNames = lostWithPower();
        else inodes.add(inode);
      }
    }
    return [...inodes];
  }

  /** Names that were changed, as programs were told, are as they were before. */
  loseNames(reason: DfsError): void {
    this.#lostNames = reason;
  }

  /** EIO, once, when names were changed, as a program was told, and are as they were before. */
  tellLostNames(): void {
    const lost = this.#lostNames;
    this.#lostNames = undefined;
    if (lost) throw lost;
  }
}

function lostWithPower(): DfsError {
  return new DfsError(
    'EIO',
    'the metadata server lost its power before changes of names were on its disk; look what is there, and do them again',
  );
}
