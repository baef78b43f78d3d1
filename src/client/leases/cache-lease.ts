/**
 * This client's lease: whether what it was told may be kept, and answered from again (docs/decisions/05; the server's
 * side, and the whole argument, is metadata/leases/lease-table.ts).
 *
 *     none ──granted──► dropping everything ──► alive ──renewed──► alive ──ran out──► dropping everything ──► none
 *
 * A reply may be kept only if no `revoke` of what it tells came while its request was under way, for it may tell what
 * was before; nor may one whose request began without a lease. So a request takes a ticket when it begins, and shows it
 * when its reply is there. Whatever is kept was kept under the lease from its first moment on.
 */
import type { Clock, Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { RequestOf } from '../../protocol/command.js';
import type { revoke } from '../../protocol/session-commands.js';
import { RecentChanges } from './recent-changes.js';

export type Revocation = RequestOf<typeof revoke>;

/** Somebody who keeps what this client was told. */
export interface CacheKeeper {
  /** Resolves when nothing of it will be answered from the cache any more. Never rejects. */
  drop(revocation: Revocation): Promise<void>;
  /** The same for everything. Never rejects. */
  dropAll(): Promise<void>;
  /** The attributes of an inode alone, without waiting for others; left out where there are none. Never rejects. */
  dropAttributes?(inode: number): Promise<void>;
  /** What it keeps costs so much memory; left out where a cache counts itself (cache-budget.ts). */
  readonly usedBytes?: number;
}

export class CacheLease {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #keepers = new Set<CacheKeeper>();
  /** Grows with every revocation, and whenever the lease begins or ends. */
  #now = 0;
  /** When inodes, or names in them, were revoked. */
  readonly #revoked = new RecentChanges();
  #untilMs = Number.NEGATIVE_INFINITY;
  #state: 'none' | 'beginning' | 'alive' = 'none';
  #timer: Timer | undefined;
  #isWanted = false;
  #beginning: Promise<void> = Promise.resolve();

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether the server is to be asked for a lease. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  want(): void {
    this.#isWanted = true;
  }

  get isAlive(): boolean {
    return this.#state === 'alive' && this.#clock.monotonicMs() < this.#untilMs;
  }

  /** `keeper` is told from now on what to drop. */
  addKeeper(keeper: CacheKeeper): void {
    this.#keepers.add(keeper);
  }

  removeKeeper(keeper: CacheKeeper): void {
    this.#keepers.delete(keeper);
  }

  /** Taken when a request begins. */
  ticket(): number {
    return this.#now;
  }

  /** Whether what a reply says of the inode, or of a name in it, may be kept; asked when the reply is there. */
  mayKeep(ticket: number, inode: number): boolean {
    return this.isAlive && ticket >= this.#revoked.latest(inode);
  }

  /**
   * The server granted or renewed the lease.
   * @param sentMs when the request for it was sent: the lease is counted from there
   */
  grant(sentMs: number, leaseMs: number): void {
    const untilMs = sentMs + leaseMs;
    if (leaseMs <= 0 || untilMs <= this.#clock.monotonicMs()) return;
    if (this.#state === 'alive' && !this.isAlive) this.lose();
    this.#untilMs = Math.max(this.#untilMs, untilMs);
    this.#schedule();
    if (this.#state === 'none') this.#beginning = this.#begin();
  }

  /**
   * Resolves when the lease that was granted last has begun, or is over: nothing is dropped for its sake any more. Never
   * rejects.
   */
  async begun(): Promise<void> {
    await this.#beginning;
  }

  /** Drops everything; answers come from the server alone until the lease is granted again. Never rejects. */
  lose(): void {
    if (this.#state === 'alive') {
      this.#log.warn(
        {},
        'the lease ran out; nothing is answered from caches until the metadata server is back',
      );
    }
    this.#state = 'none';
    this.#untilMs = Number.NEGATIVE_INFINITY;
    this.#timer?.cancel();
    this.#timer = undefined;
    void this.#dropAll();
  }

  /** Carries out what the server revokes; resolves when it is done. Never rejects. */
  async revoke(revocation: Revocation): Promise<void> {
    if (revocation.everything) {
      await this.#dropAll();
      return;
    }
    this.#now += 1;
    for (const { inode } of revocation.inodes) this.#revoked.note(inode, this.#now);
    for (const { parent } of revocation.names) this.#revoked.note(parent, this.#now);
    for (const inode of revocation.directories) this.#revoked.note(inode, this.#now);
    for (const { directory } of revocation.left ?? []) this.#revoked.note(directory, this.#now);
    await this.#drop(revocation);
  }

  /** What is kept of these inodes' attributes is not true. */
  async dropFalse(inodes: Revocation['inodes']): Promise<void> {
    await this.#drop({ inodes, names: [], directories: [], everything: false });
  }

  /** Something that is kept is not true. */
  async dropEverything(): Promise<void> {
    await this.#dropAll();
  }

  /** May be called twice. */
  close(): void {
    this.#isWanted = false;
    this.#state = 'none';
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  async #begin(): Promise<void> {
    this.#state = 'beginning';
    await this.#dropAll();
    if (this.#state !== 'beginning') return;
    // Requests that began in between may have been executed before the server noted them for this lease.
    this.#now += 1;
    this.#overtakeAll();
    this.#state = 'alive';
  }

  async #drop(revocation: Revocation): Promise<void> {
    await Promise.all([...this.#keepers].map(async keeper => await keeper.drop(revocation)));
  }

  async #dropAll(): Promise<void> {
    this.#now += 1;
    this.#overtakeAll();
    await Promise.all([...this.#keepers].map(async keeper => await keeper.dropAll()));
  }

  #overtakeAll(): void {
    this.#revoked.noteAll(this.#now);
  }

  #schedule(): void {
    this.#timer?.cancel();
    const leftMs = Math.max(0, this.#untilMs - this.#clock.monotonicMs());
    this.#timer = this.#clock.setTimer(
      leftMs,
      () => {
        this.#timer = undefined;
        if (this.#clock.monotonicMs() < this.#untilMs) this.#schedule();
        else this.lose();
      },
      true,
    );
  }
}
