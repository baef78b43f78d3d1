/** What one run of a request reads and changes, in a TracedTransaction, as far as leases are concerned. */
import { DfsError } from '../../protocol/errors.js';
import type { Claim, ExclusiveLeases } from './exclusive-leases.js';

/** The request reads what other sessions have to themselves. It has changed nothing, and runs again once that is recalled. */
export class HeldElsewhere extends DfsError {
  readonly inodes: readonly number[];

  constructor(inodes: readonly number[]) {
    super('EDEADLK', 'another client has what is asked for to itself, and is asked to give it back');
    this.inodes = inodes;
  }
}

/**
 * What becomes of a request that reads what another session has to itself. `stop`: it ends at once, before it has changed
 * anything. `gather`: it changes nothing, and goes on, so that all of it is recalled together. `ignore`: the server's own work on
 * what nobody can use any more.
 */
export type AtConflict = 'stop' | 'gather' | 'ignore';

export interface ReadingOptions {
  readonly exclusive: ExclusiveLeases;
  readonly claim: Claim;
  readonly atConflict: AtConflict;
  /** The session that asks; 0 for none. */
  readonly session: number;
  /** Whether what a client synced of the inode is still to be committed in its place (intents/intent-logs.ts). */
  readonly isOwed: (inode: number, holder: number | undefined) => boolean;
  /** Told of what the session may cache from now on; undefined when it caches nothing. */
  readonly noteShared: ((inode: number) => void) | undefined;
}

export class Reading {
  readonly #options: ReadingOptions;
  readonly #elsewhere: number[] = [];
  /** What the session read that nobody has to himself. */
  readonly seen: number[] = [];
  /** Inodes that were made. */
  readonly made: number[] = [];

  constructor(options: ReadingOptions) {
    this.#options = options;
  }

  /** An inode, or a name in it, is read. HeldElsewhere */
  read(inode: number): void {
    const { exclusive, session, noteShared, atConflict } = this.#options;
    const holder = exclusive.holderOf(inode);
    const isOwed = this.#options.isOwed(inode, holder);
    // What it has to itself it may cache.
    if (holder === session && !isOwed) return;
    if ((holder === undefined && !isOwed) || atConflict === 'ignore') {
      noteShared?.(inode);
      this.seen.push(inode);
      return;
    }
    this.#elsewhere.push(inode);
    if (atConflict === 'stop') throw new HeldElsewhere(this.#elsewhere);
  }

  /** An inode is changed: until everybody has heard of that, it is given to nobody else. */
  change(inode: number): void {
    this.#options.claim.add(inode);
  }

  /** An inode is made. */
  make(inode: number): void {
    this.#options.claim.add(inode);
    this.made.push(inode);
    if (this.#options.exclusive.holderOf(inode) !== this.#options.session) this.#options.noteShared?.(inode);
  }

  /** HeldElsewhere when something that was read is recalled first. */
  finish(): void {
    if (this.#elsewhere.length > 0) throw new HeldElsewhere(this.#elsewhere);
  }
}
