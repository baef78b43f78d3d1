/**
 * Inodes of which this client was told that they have no extended attributes, under its lease (client/leases/cache-lease.ts):
 * `ls -l` asks for several of each file, which seldom has any.
 */
import { LRUCache } from 'lru-cache';
import type { AttributeCache, AttributeTicket } from './attribute-cache.js';
import { LRU_ENTRY_BYTES } from './cache-budget.js';
import type { CacheKeeper, CacheLease, Revocation } from '../leases/cache-lease.js';

export class XattrCache implements CacheKeeper {
  readonly #lease: CacheLease;
  readonly #attributes: AttributeCache;
  readonly #none: LRUCache<number, true>;
  /** Inodes that were asked about, and had some; only worth knowing so that nobody asks for nothing again. */
  readonly #some: LRUCache<number, true>;

  /** @param maxBytes memory for what is kept; a quarter of it for inodes that have some, which are few */
  constructor(lease: CacheLease, attributes: AttributeCache, maxBytes: number) {
    this.#lease = lease;
    const sizeCalculation = (): number => LRU_ENTRY_BYTES;
    this.#none = new LRUCache({ maxSize: Math.ceil((maxBytes * 3) / 4), sizeCalculation });
    this.#some = new LRUCache({ maxSize: Math.ceil(maxBytes / 4), sizeCalculation });
    this.#attributes = attributes;
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#none.calculatedSize + this.#some.calculatedSize;
  }

  /** Whether the inode is known to have no extended attributes. */
  hasNone(inode: number): boolean {
    return this.#lease.isAlive && this.#none.has(inode);
  }

  /** A reply says that the inode has none. */
  none(ticket: AttributeTicket, inode: number): void {
    if (this.#attributes.mayKeep(ticket, inode)) this.#none.set(inode, true);
  }

  /** Whether it is worth asking if the inode has any. */
  isUnknown(inode: number): boolean {
    return this.#lease.isAlive && !this.#none.has(inode) && !this.#some.has(inode);
  }

  /** A reply says that the inode has some. */
  some(inode: number): void {
    this.#some.set(inode, true);
  }

  /** This client gives the inode one, or tries to. */
  changed(inode: number): void {
    this.#none.delete(inode);
  }

  async drop({ inodes }: Revocation): Promise<void> {
    for (const { inode } of inodes) {
      this.#none.delete(inode);
      this.#some.delete(inode);
    }
  }

  async dropAll(): Promise<void> {
    this.#none.clear();
    this.#some.clear();
  }
}
