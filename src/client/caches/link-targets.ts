/**
 * Targets of symbolic links, under the lease (client/leases/cache-lease.ts). A link's target never changes, so what is kept is
 * true as long as the inode is the same link: its owner asks the attributes for that.
 */
import { LRUCache } from 'lru-cache';
import type { CacheKeeper, CacheLease, Revocation } from '../leases/cache-lease.js';
import { LRU_ENTRY_BYTES, stringCost } from './cache-budget.js';

export class LinkTargets implements CacheKeeper {
  readonly #lease: CacheLease;
  /** inode → target, as latin1: a Buffer costs some 300 bytes more */
  readonly #targets: LRUCache<number, string>;

  /** @param maxBytes memory for all of them */
  constructor(lease: CacheLease, maxBytes: number) {
    this.#lease = lease;
    this.#targets = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: target => LRU_ENTRY_BYTES + stringCost(target.length),
    });
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#targets.calculatedSize;
  }

  get(inode: number): Buffer | undefined {
    const target = this.#lease.isAlive ? this.#targets.get(inode) : undefined;
    return target === undefined ? undefined : Buffer.from(target, 'latin1');
  }

  /**
   * This client made the link, or was told its target.
   * @param ticket the lease's, from before the request
   */
  keep(ticket: number, inode: number, target: Uint8Array): void {
    if (!this.#lease.mayKeep(ticket, inode)) return;
    this.#targets.set(inode, Buffer.from(target).toString('latin1'));
  }

  async drop({ inodes }: Revocation): Promise<void> {
    for (const { inode } of inodes) this.#targets.delete(inode);
  }

  async dropAll(): Promise<void> {
    this.#targets.clear();
  }
}
