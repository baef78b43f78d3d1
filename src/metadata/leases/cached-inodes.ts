/** Which sessions may cache which inodes, from either side, and what it costs to know. */
import type { LeaseHolder } from './lease-holder.js';

/** What it costs to know that a session may cache an inode, measured with one session that caches it, and rounded up, */
const LEASE_BYTES = 100;
/** and what comes to it where several do: the Set of them. */
const SHARED_BYTES = 200;

export class CachedInodes {
  /** inode → who may cache it; mostly one */
  readonly #byInode = new Map<number, LeaseHolder | Set<LeaseHolder>>();
  #usedBytes = 0;

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Those who may cache the inode. Bears it that one of them is taken out meanwhile. */
  holders(inode: number): Iterable<LeaseHolder> {
    const known = this.#byInode.get(inode);
    if (known === undefined) return [];
    return known instanceof Set ? known : [known];
  }

  /** Whether anybody but this holder may cache the inode. */
  isElsewhere(holder: LeaseHolder, inode: number): boolean {
    const known = this.#byInode.get(inode);
    return known !== undefined && known !== holder;
  }

  /** The holder, which has not been noted for the inode, may cache it. */
  add(holder: LeaseHolder, inode: number): void {
    holder.inodes.add(inode);
    this.#usedBytes += LEASE_BYTES;
    const known = this.#byInode.get(inode);
    if (known === undefined) this.#byInode.set(inode, holder);
    else if (known instanceof Set) known.add(holder);
    else {
      this.#byInode.set(inode, new Set([known, holder]));
      this.#usedBytes += SHARED_BYTES;
    }
  }

  /** The holder caches nothing of the inode. */
  delete(holder: LeaseHolder, inode: number): void {
    if (holder.inodes.delete(inode)) this.#usedBytes -= LEASE_BYTES;
    const known = this.#byInode.get(inode);
    if (known === holder) this.#byInode.delete(inode);
    else if (known instanceof Set) {
      known.delete(holder);
      const [last] = known;
      if (known.size > 1 || !last) return;
      this.#byInode.set(inode, last);
      this.#usedBytes -= SHARED_BYTES;
    }
  }

  /** The holder caches nothing. */
  deleteAll(holder: LeaseHolder): void {
    for (const inode of holder.inodes) this.delete(holder, inode);
    holder.forgetReads();
  }
}
