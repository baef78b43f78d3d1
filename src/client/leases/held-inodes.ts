/**
 * The inodes that this client has to itself: it changes them, and answers its programs, before the metadata server knows
 * (the server's side, and why nobody sees an old state, is metadata/leases/exclusive-leases.ts).
 *
 * What was not used for long is forgotten here and left with the server, which costs no message: should somebody else want it, the
 * recall is answered at once.
 */
import { Counts } from '../../platform/counts.js';
import { inodesOf, MAX_INODE_RANGES, toRanges, type InodeRange } from '../../protocol/inode-ranges.js';
import type { CacheLease } from './cache-lease.js';
import { RecentChanges } from './recent-changes.js';

/** Inodes of a generation: two of them take some 5 MiB. */
const GENERATION = 65_536;

export class HeldInodes {
  readonly #lease: CacheLease;
  /** Used a short while ago, and longer ago. */
  #newer = new Set<number>();
  #older = new Set<number>();
  /** inode → recalls of it that are not answered: a server that is started anew meanwhile has to know that it waits for them */
  readonly #returning = new Counts<number>();
  /** Grows with every recall. */
  #now = 0;
  /** When inodes were recalled. */
  readonly #recalled = new RecentChanges();

  constructor(lease: CacheLease) {
    this.#lease = lease;
  }

  /** Taken when a request begins. */
  ticket(): number {
    return this.#now;
  }

  /** Whether an answer to a request from then may give the inode: it was not recalled since, and is not on its way back. */
  mayGive(ticket: number, inode: number): boolean {
    return ticket >= this.#recalled.latest(inode) && !this.#returning.has(inode);
  }

  /** Whether this client may change the inode without asking. */
  has(inode: number): boolean {
    if (!this.#lease.isAlive) return false;
    if (this.#newer.has(inode)) return true;
    if (!this.#older.has(inode)) return false;
    this.add(inode);
    return true;
  }

  /** The inode was made here, or given. */
  add(inode: number): void {
    if (this.#newer.size >= GENERATION) {
      this.#older = this.#newer;
      this.#newer = new Set();
    }
    this.#newer.add(inode);
  }

  /**
   * The server gave these; what was recalled since the request began is left out.
   * @param ticket taken when the request began
   */
  give(ticket: number, ranges: readonly InodeRange[]): void {
    for (const inode of inodesOf(ranges, GENERATION)) {
      if (this.mayGive(ticket, inode)) this.add(inode);
    }
  }

  /**
   * The server takes these back, and answers to requests that are under way give them no more. They count as held, for the server,
   * until `returned`.
   */
  recall(ranges: readonly InodeRange[]): number[] {
    const inodes = [...inodesOf(ranges, GENERATION)];
    this.#now += 1;
    for (const inode of inodes) {
      this.#recalled.note(inode, this.#now);
      this.#newer.delete(inode);
      this.#older.delete(inode);
      this.#returning.add(inode);
    }
    return inodes;
  }

  /** What was acknowledged of these, which were recalled, is committed. */
  returned(inodes: readonly number[]): void {
    for (const inode of inodes) this.#returning.take(inode);
  }

  /** All but so many inodes go back, as in `recall`; those used last are kept. */
  keep(count: number): { readonly kept: readonly InodeRange[]; readonly recalled: readonly number[] } {
    const all = new Set([...this.#older, ...this.#newer]);
    this.#overtakeAll();
    this.#newer = new Set(count > 0 ? [...all].slice(-count) : []);
    this.#older = new Set();
    const kept = this.#shortened();
    const recalled = [...all].filter(inode => !this.#newer.has(inode));
    for (const inode of recalled) this.#returning.add(inode);
    return { kept, recalled };
  }

  /** What a server that was started anew has to know. */
  declare(): InodeRange[] {
    this.#shortened(MAX_INODE_RANGES - this.#returning.size);
    return toRanges(new Set([...this.#older, ...this.#newer, ...this.#returning.keys()])).slice(
      0,
      MAX_INODE_RANGES,
    );
  }

  /** The server takes only so many ranges: the rest is forgotten here. */
  #shortened(most = MAX_INODE_RANGES): InodeRange[] {
    const ranges = toRanges(new Set([...this.#older, ...this.#newer]));
    if (ranges.length <= most) return ranges;
    const told = ranges.slice(0, Math.max(0, most));
    this.#newer = new Set(inodesOf(told, GENERATION));
    this.#older = new Set();
    return told;
  }

  /** Nothing is this client's alone any more, nor will be by an answer to a request that is under way. */
  clear(): void {
    this.#overtakeAll();
    this.#newer = new Set();
    this.#older = new Set();
  }

  #overtakeAll(): void {
    this.#now += 1;
    this.#recalled.noteAll(this.#now);
  }
}
