/**
 * Inodes that other clients have changed of late, and so are likely to change again. Why the kernel may keep nothing of them is in
 * invalidator.ts.
 *
 * Directories are an exception: the kernel asks for the attributes of each directory of a path whenever it walks there. One that nobody
 * changes for a while, though its attributes are asked for again and again, may be kept after all.
 */
import type { Clock } from '../../platform/clock.js';
import { isDirectory } from '../../protocol/file-mode.js';

/** An inode that somebody else changed this long ago is likely to be changed again. */
const CONTENDED_MS = 2000;
/** A directory's attributes are kept when they were asked for so often since it changed, and it changed so long ago: longer than a turn. */
const OFTEN = 64;
const UNCHANGED_MS = 50;

/** Another client changed an inode. */
interface ChangeElsewhere {
  /** Monotonic ms. */
  readonly atMs: number;
  /** How often its attributes were asked for since. */
  asked: number;
}

export class ContendedInodes {
  readonly #clock: Clock;
  /** inode → its last change; the latest come last, and old ones are dropped */
  readonly #changes = new Map<number, ChangeElsewhere>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Another client changed the inode. */
  noteChange(inode: number): void {
    const nowMs = this.#clock.monotonicMs();
    // The latest comes last.
    this.#changes.delete(inode);
    this.#changes.set(inode, { atMs: nowMs, asked: 0 });
    for (const [oldest, { atMs }] of this.#changes) {
      if (nowMs - atMs < CONTENDED_MS) break;
      this.#changes.delete(oldest);
    }
  }

  /** Whether others change the inode these days. */
  has(inode: number): boolean {
    const change = this.#changes.get(inode);
    return change !== undefined && this.#clock.monotonicMs() - change.atMs < CONTENDED_MS;
  }

  /**
   * Whether the kernel may keep the attributes that it is told now. Of a directory it has taken up those that it was told since the last
   * change, for nothing was invalidated meanwhile. So an answer that it does not take up leaves it with what was true until then.
   */
  mayKeepAttributes(inode: number, mode: number): boolean {
    if (!this.has(inode)) return true;
    const change = isDirectory(mode) ? this.#changes.get(inode) : undefined;
    if (!change) return false;
    change.asked += 1;
    return change.asked > OFTEN && this.#clock.monotonicMs() - change.atMs > UNCHANGED_MS;
  }
}
