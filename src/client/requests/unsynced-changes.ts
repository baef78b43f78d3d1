/**
 * Changes that the metadata server has answered and may still lose with its power: it puts each on stable storage within
 * a second. A session that is resumed names them, and the server says which of them are gone.
 */
import type { Clock } from '../../platform/clock.js';
import { MAX_UNSYNCED_CHANGES } from '../../protocol/limits.js';
import type { SessionState } from '../../protocol/take-over.js';

/** The server puts every change on stable storage within a second of its answer; the rest is for slow clocks and disks. */
const UNSYNCED_MS = 5000;

/** What some changes have changed. */
export interface ChangedInodes {
  /** Directories in which names changed. */
  readonly directories: readonly number[];
  /** Everything else that has other attributes or another content. */
  readonly inodes: readonly number[];
}

interface UnsyncedChange extends ChangedInodes {
  readonly answeredMs: number;
  /** How many changes were answered up to it. */
  readonly answers: number;
}

export class UnsyncedChanges {
  readonly #clock: Clock;
  /** sequence → what the server may lose with its power; the oldest first */
  readonly #changes = new Map<number, UnsyncedChange>();
  #answers = 0;

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

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): SessionState['unsynced'] {
    return [...this.#changes].map(([sequence, { directories, inodes }]) => ({
      sequence,
      directories: [...directories],
      inodes: [...inodes],
    }));
  }

  /** A change was answered. */
  add(sequence: number, { directories, inodes }: ChangedInodes): void {
    if (directories.length === 0 && inodes.length === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [oldest, { answeredMs }] of this.#changes) {
      const isOld = answeredMs < nowMs - UNSYNCED_MS;
      if (!isOld && this.#changes.size < MAX_UNSYNCED_CHANGES) break;
      this.#changes.delete(oldest);
    }
    this.#answers += 1;
    this.#changes.set(sequence, { directories, inodes, answeredMs: nowMs, answers: this.#answers });
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

  /** The server lost these with its power. Returns what they had changed. */
  lose(sequences: readonly number[]): ChangedInodes {
    const directories = new Set<number>();
    const inodes = new Set<number>();
    for (const sequence of sequences) {
      const change = this.#changes.get(sequence);
      this.#changes.delete(sequence);
      for (const directory of change?.directories ?? []) directories.add(directory);
      for (const inode of change?.inodes ?? []) inodes.add(inode);
    }
    return { directories: [...directories], inodes: [...inodes] };
  }
}
