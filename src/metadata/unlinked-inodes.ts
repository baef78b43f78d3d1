/**
 * Inodes that lost their last name a moment ago. Opening a path is one act for POSIX (rename(): "a link named new
 * shall remain visible to other threads throughout the renaming operation"), but takes two requests: a client that
 * looked the name up just before may be about to open the inode. So it lives on for a moment. In memory only: after a
 * restart the rest of them is found as orphans are.
 */
const GRACE_MS = 2000;

export class UnlinkedInodes {
  /** inode → when its grace ends, in monotonic ms; in that order */
  readonly #dueMs = new Map<number, number>();

  add(inode: number, nowMs: number): void {
    this.#dueMs.set(inode, nowMs + GRACE_MS);
  }

  delete(inode: number): void {
    this.#dueMs.delete(inode);
  }

  has(inode: number): boolean {
    return this.#dueMs.has(inode);
  }

  /** Takes out at most `limit` inodes whose grace is over. */
  takeDue(nowMs: number, limit: number): number[] {
    const due: number[] = [];
    for (const [inode, dueMs] of this.#dueMs) {
      if (dueMs > nowMs || due.length === limit) break;
      due.push(inode);
    }
    for (const inode of due) this.#dueMs.delete(inode);
    return due;
  }
}
