/**
 * Which session has which inode to itself (docs: ARCHITECTURE.md, "How a client answers at once"). Such a session changes the inode,
 * and answers its programs, before this server knows of it (`batch`; the client's side is client/log/change-log.ts). Everybody
 * else's requests read the inode only after it was recalled.
 *
 *     shared ──changed or read by the only one who uses it──► exclusive ──somebody else's request reads it──► recalled ──► shared
 *
 * The argument, step by step:
 *
 * 1. Requests run one after the other, and each inode that one reads, itself or a name in it, goes through a Reading
 *    (traced-transaction.ts). One that another session has to itself ends the request before it has changed anything;
 *    it is recalled, and the request runs again. So no request sees, or builds on, a state from before something that the
 *    holder has acknowledged.
 * 2. An inode is given only while no other session may cache it, no message about it is unanswered (lease-table.ts), and no
 *    request of another session is between reading or changing it and having told everybody (`Claim`). So nobody else has
 *    anything to drop, and nothing is on its way that the holder has not heard of. A request that waits for an
 *    inode claims it too: what was recalled for it stays free until it has run.
 * 3. The answer to a request tells what was given with it. A recall may overtake that answer; then the client does not take it
 *    (a ticket: client/leases/held-inodes.ts), and this server believes that it has more than it does.
 *    That is harmless: a recall of what it does not have is answered at once.
 * 4. What a session makes under a number that was reserved for it is its own from the reservation on.
 * 5. A holder that is gone (absence.ts) loses everything at once, on record first, and what it had acknowledged and not sent is
 *    refused from then on (`forfeit`): it is told so when it is back. One that is silent is fenced (lease-table.ts, 5).
 * 6. After a restart nothing is known: every session that may cache counts as having everything to itself (`presume`) until it has
 *    said what it has, or is gone. Requests of others wait for that.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { Counts } from '../../platform/counts.js';
import type { IntentLogs } from '../intents/intent-logs.js';
import { InodeOwners } from './inode-owners.js';

/** What the table may cost. 10⁶ inodes that were made one after the other take 3 MB. */
const DEFAULT_BYTES = 64 << 20;
/** An inode that was recalled is not given again for so long, so that two who fight over it share it instead. */
const DEFAULT_PAUSE_MS = 200;
/** Recalled inodes that are remembered. */
const MAX_RECALLED = 65_536;
/** A session that has changed something within this time is given what it reads, if nobody else uses it. */
const ACTIVE_MS = 2000;
const MAX_OWNERS = 65_535;
const NO_LOGS = { isOwed: () => false };

/** What one request reads and changes while it is under way: nobody else is given that meanwhile. */
export class Claim {
  readonly #counts: Counts<number>;
  readonly #inodes = new Set<number>();

  constructor(counts: Counts<number>) {
    this.#counts = counts;
  }

  has(inode: number): boolean {
    return this.#inodes.has(inode);
  }

  add(inode: number): void {
    if (this.#inodes.has(inode)) return;
    this.#inodes.add(inode);
    this.#counts.add(inode);
  }

  /** May be called twice. */
  release(): void {
    for (const inode of this.#inodes) this.#counts.take(inode);
    this.#inodes.clear();
  }
}

export class ExclusiveLeases {
  readonly #clock: Clock;
  readonly #logs: Pick<IntentLogs, 'isOwed'>;
  readonly #maxBytes: number;
  readonly #pauseMs: number;
  readonly #owners = new InodeOwners();
  /** session → its number in `#owners`, and back */
  readonly #numbers = new Map<number, number>();
  readonly #sessions: (number | undefined)[] = [undefined];
  readonly #freeNumbers: number[] = [];
  /** inode → claims of it */
  readonly #claims = new Counts<number>();
  /** inode → monotonic ms from which on it may be given again */
  readonly #pauses = new LRUCache<number, number>({ max: MAX_RECALLED });
  /** session → monotonic ms at which it last changed something */
  readonly #changedMs = new Map<number, number>();
  /** Sessions of an earlier process that may have anything to themselves. */
  readonly #presumed = new Set<number>();
  /** session → requests that it give back most of what it has, and that it has not answered */
  readonly #trimmed = new Counts<number>();
  /** Sessions that have lost what they had, and do not know it yet. */
  readonly #forfeited = new Set<number>();

  /** @param logs intent logs: an inode to which one is owed is given to nobody before that is replayed */
  constructor(
    clock: Clock,
    maxBytes = DEFAULT_BYTES,
    pauseMs = DEFAULT_PAUSE_MS,
    logs: Pick<IntentLogs, 'isOwed'> = NO_LOGS,
  ) {
    this.#clock = clock;
    this.#logs = logs;
    this.#pauseMs = pauseMs;
    this.#maxBytes = maxBytes;
  }

  /** What the table costs, in bytes. */
  get usedBytes(): number {
    return this.#owners.usedBytes;
  }

  /** Whether nothing more is given, for want of memory. */
  get isFull(): boolean {
    return this.usedBytes >= this.#maxBytes;
  }

  /** The session that has the inode to itself. */
  holderOf(inode: number): number | undefined {
    const number = this.#owners.get(inode);
    return number === 0 ? undefined : this.#sessions[number];
  }

  /** How many inodes the session has to itself. */
  countOf(session: number): number {
    return this.#owners.sizeOf(this.#numbers.get(session) ?? 0);
  }

  /** The session that has most. */
  largest(): number | undefined {
    let largest: number | undefined;
    for (const session of this.#numbers.keys())
      if (largest === undefined || this.countOf(session) > this.countOf(largest)) largest = session;
    return largest;
  }

  /** Every session that has something to itself. */
  holders(): number[] {
    return [...this.#numbers.keys()].filter(session => this.countOf(session) > 0);
  }

  /** A claim for one request. The caller releases it. */
  claim(): Claim {
    return new Claim(this.#claims);
  }

  /**
   * Whether the inode may be given, as far as is known here: nobody has it, wants it, or has wanted it just now.
   * @param isTurn those who want it take turns (write-turns.ts)
   */
  mayGive(session: number, inode: number, claim: Claim, isTurn = false): boolean {
    const others = this.#claims.get(inode) - (claim.has(inode) ? 1 : 0);
    // Not even to the session that has it, and is asked for it at this moment: it would take that for a new one.
    if (others > 0 || this.#trimmed.has(session)) return false;
    const holder = this.holderOf(inode);
    if (this.#logs.isOwed(inode, holder)) return false;
    if (holder !== undefined) return holder === session;
    if (this.isFull || this.#forfeited.has(session)) return false;
    const untilMs = isTurn ? undefined : this.#pauses.peek(inode);
    return untilMs === undefined || this.#clock.monotonicMs() >= untilMs;
  }

  /** The session has the inode to itself from now on; false when more sessions have something than there are numbers. */
  give(session: number, inode: number): boolean {
    const number = this.#numberOf(session);
    if (number === undefined) return false;
    this.#owners.set(inode, number);
    return true;
  }

  /** The session has the inode no longer to itself, if it had. */
  take(session: number, inode: number): void {
    const number = this.#numbers.get(session);
    if (number !== undefined && this.#owners.get(inode) === number) this.#owners.set(inode, 0);
  }

  /** The inode is no more. */
  delete(inode: number): void {
    this.#owners.set(inode, 0);
    this.#pauses.delete(inode);
  }

  /** The inode was recalled: nobody has it to himself for a while. */
  pause(inode: number): void {
    this.#pauses.set(inode, this.#clock.monotonicMs() + this.#pauseMs);
  }

  /** The session changes things now. */
  noteChange(session: number): void {
    this.#changedMs.set(session, this.#clock.monotonicMs());
  }

  /** Whether the session has changed something a short while ago. */
  isActive(session: number): boolean {
    const changedMs = this.#changedMs.get(session);
    return changedMs !== undefined && this.#clock.monotonicMs() - changedMs < ACTIVE_MS;
  }

  /** Sessions that have changed something a short while ago. */
  activeCount(): number {
    // Sessions that have ended are taken out, so that there are as many as there are clients.
    let count = 0;
    for (const session of this.#changedMs.keys()) if (this.isActive(session)) count += 1;
    return count;
  }

  /** A session of an earlier process may have anything to itself. */
  presume(session: number): void {
    this.#presumed.add(session);
  }

  /** Sessions of an earlier process that have not said what they have. */
  presumedBut(session: number): number[] {
    if (this.#presumed.size === 0) return [];
    return [...this.#presumed].filter(other => other !== session);
  }

  /** Whether others than the session may have anything to themselves. */
  isUnsure(session: number): boolean {
    return this.#presumed.size > (this.#presumed.has(session) ? 1 : 0);
  }

  /** Whether the session is of an earlier process, and has not said what it has to itself. */
  isPresumed(session: number): boolean {
    return this.#presumed.has(session);
  }

  /** Whether the session may have anything to itself, or has something. */
  mayHold(session: number): boolean {
    return this.#presumed.has(session) || this.countOf(session) > 0;
  }

  /**
   * A session of an earlier process says what it has, which is only believed once. Returns whether it still has what it had
   * before its connection broke.
   */
  resume(session: number, inodes: Iterable<number>): boolean {
    if (this.#presumed.delete(session)) for (const inode of inodes) this.give(session, inode);
    return !this.#forfeited.has(session);
  }

  /** What it had it has no more, and does not know it yet; what it still sends of that is refused. */
  forfeit(session: number): void {
    this.#presumed.delete(session);
    this.#forfeited.add(session);
    this.#clear(session);
  }

  isForfeited(session: number): boolean {
    return this.#forfeited.has(session);
  }

  /** The session knows that it has nothing. */
  accept(session: number): void {
    this.#forfeited.delete(session);
  }

  /** The session is asked once more to give back most of what it has, or has answered once: meanwhile it is given nothing. */
  trimming(session: number, change: 1 | -1): void {
    if (change > 0) this.#trimmed.add(session);
    else this.#trimmed.take(session);
  }

  /** The session gives back all but what `isKept` says; returns what it gives back. */
  keepOnly(session: number, isKept: (inode: number) => boolean): number[] {
    return this.#owners.clear(this.#numbers.get(session) ?? 0, isKept);
  }

  /** The session has ended. */
  end(session: number): void {
    this.#presumed.delete(session);
    this.#forfeited.delete(session);
    this.#changedMs.delete(session);
    this.#clear(session);
  }

  #clear(session: number): void {
    const number = this.#numbers.get(session);
    if (number === undefined) return;
    this.#owners.clear(number);
    this.#numbers.delete(session);
    this.#sessions[number] = undefined;
    this.#freeNumbers.push(number);
  }

  /** Undefined when there are more sessions than can have something. */
  #numberOf(session: number): number | undefined {
    const known = this.#numbers.get(session);
    if (known !== undefined) return known;
    const number = this.#freeNumbers.pop() ?? this.#sessions.length;
    if (number > MAX_OWNERS) return undefined;
    this.#numbers.set(session, number);
    this.#sessions[number] = session;
    return number;
  }
}
