/**
 * Attributes that this client was told, kept under its lease (client/leases/cache-lease.ts). What other clients change is
 * revoked; what this client changes comes with the reply: the attributes of everything that a request changed, the
 * directory's too, for which the kernel asks after each change in it.
 *
 * Replies may overtake each other. So a request takes a ticket when it begins, and its reply is kept only if no change
 * of the same inode by this client was answered in between; otherwise nothing is kept, and the next one asks.
 */
import { LRUCache } from 'lru-cache';
import type { Attributes } from '../../protocol/types.js';
import { ATTRIBUTES_BYTES, LRU_ENTRY_BYTES } from './cache-budget.js';
import type { CacheKeeper, CacheLease, Revocation } from '../leases/cache-lease.js';
import { RecentChanges } from '../leases/recent-changes.js';

export interface AttributeTicket {
  readonly lease: number;
  readonly own: number;
}

export class AttributeCache implements CacheKeeper {
  readonly #lease: CacheLease;
  readonly #kept: LRUCache<number, Attributes>;
  /** When changes by this client were answered. */
  readonly #changes = new RecentChanges();
  #now = 0;

  /** @param maxBytes memory for what is kept */
  constructor(lease: CacheLease, maxBytes: number) {
    this.#lease = lease;
    this.#kept = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: () => LRU_ENTRY_BYTES + ATTRIBUTES_BYTES,
    });
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#kept.calculatedSize;
  }

  /** Taken when a request begins. */
  ticket(): AttributeTicket {
    return { lease: this.#lease.ticket(), own: this.#now };
  }

  get(inode: number): Attributes | undefined {
    return this.#lease.isAlive ? this.#kept.get(inode) : undefined;
  }

  /** A reply told these, and changed nothing. */
  keep(ticket: AttributeTicket, attributes: Attributes): void {
    if (this.mayKeep(ticket, attributes.inode)) this.#kept.set(attributes.inode, attributes);
  }

  /** A request of this client changed these inodes, and `gone` are no more. */
  change(ticket: AttributeTicket, changed: readonly Attributes[], gone: readonly number[]): void {
    for (const attributes of changed) {
      const { inode } = attributes;
      const isNewest = this.mayKeep(ticket, inode);
      this.#noteChange(inode);
      if (isNewest) this.#kept.set(inode, attributes);
    }
    for (const inode of gone) this.#noteChange(inode);
  }

  /** A request of this client changed nobody knows what. */
  changeUnknown(): void {
    this.#now += 1;
    this.#changes.noteAll(this.#now);
    this.#kept.clear();
  }

  async drop({ inodes, news }: Revocation): Promise<void> {
    for (const { inode } of inodes) this.#kept.delete(inode);
    if (news && this.#lease.isAlive)
      for (const attributes of news.attributes) this.#kept.set(attributes.inode, attributes);
  }

  async dropAll(): Promise<void> {
    this.#kept.clear();
  }

  /** Whether what a request told that began then is still true, as far as this client knows. */
  mayKeep({ lease, own }: AttributeTicket, inode: number): boolean {
    return own >= this.#changes.latest(inode) && this.#lease.mayKeep(lease, inode);
  }

  #noteChange(inode: number): void {
    this.#now += 1;
    this.#changes.note(inode, this.#now);
    this.#kept.delete(inode);
  }
}
