/**
 * Which session caches which inode (docs/decisions/05). Before a change is acknowledged, every other session that may
 * cache what was changed has said that it dropped it, or has no lease any more.
 *
 * The argument, step by step:
 *
 * 1. Requests run one after the other, and a request that reads an inode, or a name in it, notes its session here while
 *    it runs (traced-transaction.ts). So when a change runs, whoever has read what it changes stands here.
 * 2. The change's session waits, after the commit and before its reply, until each of them has answered a `revoke`. What
 *    is noted between the change and that moment only makes for one message too many.
 * 3. Who is told to drop an inode is taken off the list at once, and the message stays unanswered (revocations.ts) until it is
 *    answered: the next change of the same inode, by anybody, waits for it as well.
 * 4. A reply that was computed before the change may reach its client after the `revoke`: replies wait for the disk, for
 *    other revocations, or are repeated from memory. The client therefore keeps nothing of a reply whose request was
 *    under way when a `revoke` for it came (client/leases/cache-lease.ts). Nothing here depends on the order of frames.
 * 5. A client that does not answer has its lease renewed no more, and loses it (LEASE_MS by its clock) long before this
 *    server takes it for lost (SILENT_CLIENT_MS after it was renewed), and ends its session: what it still sends is
 *    refused. One whose connection is closed has no lease left much sooner (absence.ts); its session goes on, since it has
 *    nothing that anybody waits for. A client that was away is told to drop everything before the first change that might
 *    concern it is acknowledged.
 * 6. After a restart nothing is known of what sessions cache: each that did cache (its record says so) counts as caching
 *    everything, until it is back and has dropped it all, or its lease must have run out.
 * 7. A request that is answered from memory may have been executed just before its connection broke, when nobody had
 *    waited for its revocations yet: it waits for every message that is under way.
 *
 * 8. A change is there for those who ask the server as soon as it is committed, which is before it is acknowledged. Who is told
 *    of it could tell somebody who still answers from what he cached. So a reply that tells of inodes about which messages
 *    are under way waits for those, too; and a message is about everything that changed together with what it tells.
 * 9. Where one session alone has to hear of a change, it is told at once what came of it, as if it had asked and waited (8), and stands
 *    here as who has read that. What is told is as it was when the message left: what anybody changes before that, the session
 *    itself too, takes it out of the message. Replies that left before tell nothing newer, those that leave later arrive later.
 */
import type { Clock, Timer } from '../../platform/clock.js';
import { Counts } from '../../platform/counts.js';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import { LEASE_MS, MAX_LEASED_INODES, SILENT_CLIENT_MS } from '../../protocol/limits.js';
import type { Peer } from '../peer.js';
import { Absence } from './absence.js';
import { CachedInodes } from './cached-inodes.js';
import type { ChangeTrace, InodeChange } from './change-trace.js';
import type { Claim, ExclusiveLeases } from './exclusive-leases.js';
import { LeaseHolder, type RevocationMessage } from './lease-holder.js';
import { tellNews } from './news.js';
import { Revocations, type ClientCalls } from './revocations.js';

/** A session that leaves a message unanswered for longer than this has its lease renewed no more. */
const ANSWER_PATIENCE_MS = 5000;

/** A session that could not be ended (the disk is full, …) is tried again after this. */
const FENCE_RETRY_MS = 100;
/** How often the connection of a session is looked at that others wait for. */
const ABSENCE_CHECK_MS = 250;
const DEFAULT_LEASE_BYTES = 192 << 20;

export class LeaseTable {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #revocations: Revocations;
  readonly #absence: Absence;
  /** session → what it holds */
  readonly #holders = new Map<number, LeaseHolder>();
  readonly #cached = new CachedInodes();
  /** session → the timer that looks whether its lease has run out */
  readonly #timers = new Map<number, Timer>();
  readonly #exclusive: ExclusiveLeases;
  readonly #isOpenElsewhere: (session: number, inode: number) => boolean;
  readonly #fence: (session: number) => Promise<void>;
  readonly #memoryBytes: number;
  readonly #leaseMs: number;
  /** session → recalls to which it owes an answer for too long: its lease is renewed no more */
  readonly #blamed = new Counts<number>();
  #isClosed = false;

  /**
   * @param exclusive who has which inode to himself, and so may cache it as well
   * @param isOpenElsewhere whether another session than that has the inode open
   * @param fence ends a session whose lease ran out while others waited for it, so that what its client still sends is
   *   refused, and calls end() here
   * @param memoryBytes for knowing what clients cache; beyond that, who caches most has to drop it
   * @param leaseMs how long a lease lasts; LEASE_MS at the most
   */
  constructor(
    clock: Clock,
    log: Logger,
    exclusive: ExclusiveLeases,
    isOpenElsewhere: (session: number, inode: number) => boolean,
    fence: (session: number) => Promise<void>,
    memoryBytes = DEFAULT_LEASE_BYTES,
    leaseMs = LEASE_MS,
  ) {
    this.#leaseMs = leaseMs;
    this.#exclusive = exclusive;
    this.#isOpenElsewhere = isOpenElsewhere;
    this.#memoryBytes = memoryBytes;
    this.#clock = clock;
    this.#absence = new Absence(clock);
    this.#log = log;
    this.#revocations = new Revocations(clock, log);
    this.#fence = fence;
  }

  /** A session of an earlier process may cache anything. */
  presume(session: number): void {
    const holder = new LeaseHolder(session, this.#leaseEnd());
    this.#holders.set(session, holder);
    this.#absence.attend(session, undefined);
    this.#clear(holder);
  }

  /**
   * The session may cache, from now on or for longer. Returns the lease in ms, or 0 when it must not be renewed because
   * the session owes an answer.
   */
  renew(session: number): number {
    const nowMs = this.#clock.monotonicMs();
    let holder = this.#holders.get(session);
    if (!holder) this.#holders.set(session, (holder = new LeaseHolder(session, 0)));
    const [oldest] = holder.messages;
    // One that cannot be told, or was presumed, is not to blame: it will be told when it is connected.
    const isOverdue = oldest !== undefined && nowMs - oldest.queuedMs > ANSWER_PATIENCE_MS;
    if (nowMs >= holder.leaseEndMs) this.#expire(holder);
    else if ((isOverdue && this.callsOf(session)) || this.#blamed.has(session)) return 0;
    holder.leaseEndMs = this.#leaseEnd();
    return this.#leaseMs;
  }

  /** The session comes back; what it was told by its last connection counts as not heard. */
  disconnect(session: number): void {
    this.#revocations.disconnect(session);
  }

  /** The session is asked by `calls` from now on. One that was there before drops everything first. */
  connect(session: number, peer: Peer, calls: ClientCalls, isResumed: boolean): void {
    this.#revocations.connect(session, calls);
    this.#absence.attend(session, peer);
    const holder = this.#holders.get(session);
    if (holder && isResumed) this.#clear(holder);
  }

  /** How the session is asked; undefined while it has no connection. */
  callsOf(session: number): ClientCalls | undefined {
    return this.#revocations.callsOf(session);
  }

  /** The session caches nothing (any more). */
  release(session: number): void {
    const holder = this.#holders.get(session);
    if (!holder) return;
    this.#expire(holder);
    this.#holders.delete(session);
  }

  /** The session has ended. */
  end(session: number): void {
    this.release(session);
    this.#blamed.delete(session);
    this.#revocations.disconnect(session);
    this.#absence.end(session);
  }

  /** Whether somebody who may cache the inode was told of a change to it, or to drop everything, and has not answered. */
  isAwaited(inode: number): boolean {
    return this.#revocations.clearing.size > 0 || this.#revocations.isAbout(inode);
  }

  /** Whether the session may cache. */
  isHolder(session: number): boolean {
    return this.#holders.has(session);
  }

  /** What notes the reads of a session; undefined for one that caches nothing. */
  reader(session: number | undefined): ((inode: number) => void) | undefined {
    const holder = session === undefined ? undefined : this.#holders.get(session);
    if (!holder) return undefined;
    return inode => this.#note(holder, inode);
  }

  /**
   * Tells every session but `by` to drop what was changed. Resolves when all have answered; undefined when there is
   * nobody to wait for.
   */
  revoke(by: number | undefined, trace: ChangeTrace): Promise<unknown> | undefined {
    if (this.#isClosed || (trace.inodes.size === 0 && !trace.isRepeated)) return undefined;
    const waiting = new Set<RevocationMessage>();
    const own = by === undefined ? undefined : this.#holders.get(by)?.draft;
    for (const [inode, change] of trace.inodes) {
      own?.dropNews(inode);
      this.#revokeInode(by, inode, change, waiting);
    }
    this.#tellNews(by, trace, waiting);
    const { clearing } = this.#revocations;
    for (const holder of trace.isRepeated ? this.#holders.values() : clearing)
      for (const message of holder.messages) waiting.add(message);
    // Who sees a part of the change, sees all of it, and so does everybody after him.
    if (trace.inodes.size > 1 || clearing.size > 0)
      for (const message of waiting)
        for (const inode of trace.inodes.keys()) this.#revocations.note(message, inode);
    return this.#answers(waiting, by);
  }

  /**
   * Resolves when the sessions but `by` that cached one of these inodes have heard of the changes that were made so far; undefined
   * when there is nobody to wait for. Before that, a client that learns of the change could tell the others, which do not see it yet.
   * A session that owes an answer about one of them itself does not wait: before it answers, it may have to tell the server what
   * it has open (client/opens/open-inodes.ts).
   */
  heard(by: number | undefined, inodes: readonly number[]): Promise<unknown> | undefined {
    if (!this.#revocations.hasUnanswered) return undefined;
    const waiting = new Set<RevocationMessage>();
    for (const inode of inodes) for (const message of this.#revocations.about(inode)) waiting.add(message);
    const owing = [...this.#revocations.clearing, ...[...waiting].map(({ holder }) => holder)];
    const isOwing = owing.some(({ session }) => session === by);
    return isOwing ? undefined : this.#answers(waiting, by);
  }

  /**
   * Gives the session the inode to itself, if nobody else may cache it, or is about to hear of it.
   * @param claim of the request with which it is given
   * @param isTurn see ExclusiveLeases.mayGive
   */
  tryGive(session: number, inode: number, claim: Claim, isTurn = false): boolean {
    const own = this.#holders.get(session);
    if (!own || this.#isClosed || this.#clock.monotonicMs() >= own.leaseEndMs) return false;
    if (!this.#exclusive.mayGive(session, inode, claim, isTurn)) return false;
    if (this.#revocations.isAbout(inode)) return false;
    for (const clearing of this.#revocations.clearing) if (clearing !== own) return false;
    if (this.#cached.isElsewhere(own, inode)) return false;
    // What others have open is shared, unless they write it in turns: their kernels read it without asking.
    if (!isTurn && this.#isOpenElsewhere(session, inode)) return false;
    if (!this.#exclusive.give(session, inode)) return false;
    this.#cached.delete(own, inode);
    return true;
  }

  /** The session has the inode no longer to itself, and may go on caching it. */
  share(session: number, inode: number): void {
    this.#exclusive.take(session, inode);
    const holder = this.#holders.get(session);
    if (holder) this.#note(holder, inode);
  }

  /**
   * Every other session than `by` drops what it caches of the inode, which has not changed. Resolves when all have.
   * @param leftAt of a directory: see InodeChange
   */
  async dropElsewhere(by: number, inode: number, leftAt: number | undefined): Promise<void> {
    const waiting = new Set<RevocationMessage>();
    // No version of it that a client knows is overtaken by this one.
    const unchanged = { version: 0, isDirectory: leftAt !== undefined, names: [], record: undefined, leftAt };
    this.#revokeInode(by, inode, unchanged, waiting);
    await this.#answers(waiting, by);
  }

  /** Resolves when the sessions but `by` have answered; undefined when there is nobody to wait for. */
  #answers(waiting: ReadonlySet<RevocationMessage>, by: number | undefined): Promise<unknown> | undefined {
    const others = [...waiting].filter(message => message.holder.session !== by);
    if (others.length === 0) return undefined;
    for (const { holder } of others) this.#watch(holder);
    return Promise.all(others.map(async message => await message.answered));
  }

  /** The session owes the answer to one recall more for too long, or to one less. */
  blame(session: number, change: 1 | -1): void {
    if (change > 0) this.#blamed.add(session);
    else this.#blamed.take(session);
  }

  /** Whether the session's client has been without a connection for so long that nothing is left of its lease. */
  isGone(session: number): boolean {
    return this.#absence.isGone(session);
  }

  /** Notes whose connection is closed, and lets go of those that are gone. Called each second. */
  look(): void {
    for (const holder of this.#holders.values()) {
      if (this.#absence.isGone(holder.session)) this.#expire(holder);
    }
  }

  /** What is known of the sessions' caches costs so much memory. */
  get usedBytes(): number {
    return this.#cached.usedBytes;
  }

  /** Lets go of everybody who waits. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#revocations.close();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const holder of this.#holders.values()) this.#expire(holder);
  }

  #leaseEnd(): number {
    return this.#clock.monotonicMs() + SILENT_CLIENT_MS;
  }

  #note(holder: LeaseHolder, inode: number): void {
    if (holder.inodes.has(inode)) {
      holder.noteRead(inode);
      return;
    }
    if (holder.inodes.size >= MAX_LEASED_INODES) this.#clear(holder);
    if (this.usedBytes >= this.#memoryBytes) this.#clearLargest();
    this.#cached.add(holder, inode);
  }

  /** Who caches most drops it all. */
  #clearLargest(): void {
    let largest: LeaseHolder | undefined;
    for (const holder of this.#holders.values()) {
      if (!largest || holder.inodes.size > largest.inodes.size) largest = holder;
    }
    if (!largest) return;
    this.#log.info({ session: largest.session, inodes: largest.inodes.size }, 'a session caches too much');
    this.#clear(largest);
  }

  #revokeInode(
    by: number | undefined,
    inode: number,
    change: InodeChange,
    waiting: Set<RevocationMessage>,
  ): void {
    for (const holder of this.#cached.holders(inode)) {
      if (holder.session !== by) waiting.add(this.#tell(holder, inode, change));
    }
    const owner = this.#exclusive.holderOf(inode);
    const holder = owner === undefined || owner === by ? undefined : this.#holders.get(owner);
    if (holder) waiting.add(this.#tell(holder, inode, change));
    for (const message of this.#revocations.about(inode)) waiting.add(message);
  }

  /** What came of the change goes with the message, if that is to one session alone (9). */
  #tellNews(by: number | undefined, trace: ChangeTrace, waiting: ReadonlySet<RevocationMessage>): void {
    const holders = new Set([...waiting].map(({ holder }) => holder));
    for (const holder of holders) if (holder.session === by) holders.delete(holder);
    const [holder, another] = holders;
    const message = holder?.draft;
    if (!holder || another || !message || !waiting.has(message)) return;
    if (message.isEverything || this.#revocations.clearing.size > 0) return;
    tellNews(
      message,
      trace,
      directory => holder.inodes.has(directory),
      inode => {
        if (this.#exclusive.holderOf(inode) !== undefined) return false;
        this.#note(holder, inode);
        return true;
      },
    );
  }

  /** Puts the change into the holder's next message. */
  #tell(holder: LeaseHolder, inode: number, change: InodeChange): RevocationMessage {
    const message = this.#revocations.draft(holder);
    if (message.isEverything) return message;
    if (holder.put(message, inode, change)) this.#cached.delete(holder, inode);
    this.#revocations.note(message, inode);
    if (message.isTooLong) this.#makeEverything(holder, message);
    return message;
  }

  /** The holder is to drop everything. */
  #clear(holder: LeaseHolder): void {
    this.#makeEverything(holder, this.#revocations.draft(holder));
  }

  #makeEverything(holder: LeaseHolder, message: RevocationMessage): void {
    this.#revocations.makeEverything(holder, message);
    this.#cached.deleteAll(holder);
  }

  /** The session has no lease any more: whatever it had, it answers from it no longer. */
  #expire(holder: LeaseHolder): void {
    this.#cached.deleteAll(holder);
    this.#revocations.settleAll(holder);
    this.#timers.get(holder.session)?.cancel();
    this.#timers.delete(holder.session);
  }

  /** Who waits for the holder goes on when its session has ended. Never rejects. */
  async #fenceOff(holder: LeaseHolder): Promise<void> {
    try {
      await this.#fence(holder.session);
      this.#expire(holder);
    } catch (error) {
      this.#log.error(
        { session: holder.session, reason: toDfsError(error).message },
        'a session did not end',
      );
      this.#watch(holder);
    }
  }

  /** Sees to it that nobody waits for a holder that is gone, nor for any holder for longer than its lease lasts. */
  #watch(holder: LeaseHolder): void {
    if (this.#timers.has(holder.session) || holder.messages.size === 0 || this.#isClosed) return;
    const leftMs = Math.max(FENCE_RETRY_MS, holder.leaseEndMs - this.#clock.monotonicMs());
    const timer = this.#clock.setTimer(
      Math.min(leftMs, ABSENCE_CHECK_MS),
      () => {
        this.#timers.delete(holder.session);
        if (this.#holders.get(holder.session) !== holder) return;
        if (this.#absence.isGone(holder.session)) {
          this.#expire(holder);
          return;
        }
        if (holder.messages.size === 0) return;
        if (this.#clock.monotonicMs() < holder.leaseEndMs) {
          this.#watch(holder);
          return;
        }
        this.#log.warn({ session: holder.session }, 'the lease of a session that does not answer ran out');
        void this.#fenceOff(holder);
      },
      true,
    );
    this.#timers.set(holder.session, timer);
  }
}
