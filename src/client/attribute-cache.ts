/**
 * Attributes that this client was told, kept under its lease (client/cache-lease.ts). What other clients change is
 * revoked; what this client changes comes with the reply: the attributes of everything that a request changed, the
 * directory's too, for which the kernel asks after each change in it.
 *
 * Replies may overtake each other. So a request takes a ticket when it begins, and its reply is kept only if no change
 * of the same inode by this client was answered in between; otherwise nothing is kept, and the next one asks.
 */
import { LRUCache } from 'lru-cache';
import type { Attributes } from '../protocol/types.js';
import type { CacheKeeper, CacheLease, Revocation } from './cache-lease.js';

/** Inodes whose last change is remembered; beyond that every request under way counts as overtaken. */
const MAX_REMEMBERED = 65_536;

export interface AttributeTicket {
  readonly lease: number;
  readonly own: number;
}

export class AttributeCache implements CacheKeeper {
  readonly #lease: CacheLease;
  readonly #kept: LRUCache<number, Attributes>;
  /** inode → when a change by this client was answered */
  readonly #changedAt = new Map<number, number>();
  #now = 0;
  #allChangedAt = 0;

  /** @param max inodes whose attributes are kept */
  constructor(lease: CacheLease, max: number) {
    this.#lease = lease;
    this.#kept = new LRUCache({ max });
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
    this.#allChangedAt = this.#now;
    this.#changedAt.clear();
    this.#kept.clear();
  }

  async drop({ inodes }: Revocation): Promise<void> {
    for (const { inode } of inodes) this.#kept.delete(inode);
  }

  async dropAll(): Promise<void> {
    this.#kept.clear();
  }

  /** Whether what a request told that began then is still true, as far as this client knows. */
  mayKeep({ lease, own }: AttributeTicket, inode: number): boolean {
    return (
      own >= this.#allChangedAt &&
      own >= (this.#changedAt.get(inode) ?? 0) &&
      this.#lease.mayKeep(lease, inode)
    );
  }

  #noteChange(inode: number): void {
    if (this.#changedAt.size >= MAX_REMEMBERED) this.changeUnknown();
    this.#now += 1;
    this.#changedAt.set(inode, this.#now);
    this.#kept.delete(inode);
  }
}
