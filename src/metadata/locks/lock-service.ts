/**
 * flock(2) and fcntl(2) locks over all clients. No transactions: everything is in memory.
 *
 * A request that must wait is kept for some seconds, then answered with `waiting`, and keeps its place for when it is
 * asked again. A session has one connection at a time by which it may lock and unlock: the one on which it was last
 * resumed, when the client named its locks. So no earlier request can change that list.
 *
 * The locks of a session go when it ends, and sooner when its connection closes and it does not come back within
 * LOST_CONNECTION_MS: the death of its process looks like that. The loss is recorded before another session
 * is given the locks, so that a client that does come back learns of it, also if this server has been restarted since.
 */
import { sleep, type Clock, type Timer } from '../../platform/clock.js';
import { Counts } from '../../platform/counts.js';
import { DfsError } from '../../protocol/errors.js';
import { LOCK_POLL_MS, LOST_CONNECTION_MS } from '../../protocol/limits.js';
import type { cancellock, lock, testlock, unlock } from '../../protocol/lock-commands.js';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import type { Lock } from '../../protocol/types.js';
import type { Peer } from '../peer.js';
import type { SessionTable } from '../session-table.js';
import { LockQueue, type LockAnswer, type Waiter } from './lock-queue.js';
import { LockTable, type SessionLock } from './lock-table.js';

/** How often is looked whose time has come. */
const TICK_MS = 250;
/** How long a request that nobody asks for keeps its place. */
const PLACE_KEPT_MS = 10_000;
/** Requests of one session that are kept; beyond, they ask again. A connection carries 512 requests of all sorts. */
const MAX_POLLS = 128;
/** When such a one asks again. */
const ASK_AGAIN_MS = 250;

interface Attachment {
  readonly peer: Peer | undefined;
  /** When its connection was found closed. */
  closedMs: number | undefined;
}

export class LockService {
  readonly #clock: Clock;
  readonly #sessions: SessionTable;
  readonly #table = new LockTable();
  readonly #queue = new LockQueue(this.#table);
  /** session → the connection by which it locks */
  readonly #attachments = new Map<number, Attachment>();
  /** Sessions whose locks were let go while their clients were away, and that have not accepted it yet. */
  readonly #forfeited = new Set<number>();
  /** session → its requests that are kept */
  readonly #polls = new Counts<number>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(clock: Clock, sessions: SessionTable) {
    this.#clock = clock;
    this.#sessions = sessions;
  }

  /** Answers `lock`. */
  async lock(request: RequestOf<typeof lock>, peer: Peer | undefined): Promise<LockAnswer> {
    const wanted = this.#wanted(request, peer);
    const waiting = this.#queue.find(wanted.session, request.request);
    if (waiting) {
      // Those in the way may be others than when it came.
      if (waiting.wanted.kind === 'posix' && !this.#isGrace && this.#queue.closesCycle(waiting.wanted)) {
        this.#drop(waiting, deadlock());
        throw deadlock();
      }
      return await this.#poll(waiting);
    }
    this.#giveUpOtherFlock(wanted);
    const monotonicMs = this.#clock.monotonicMs();
    const earlier = request.wait ? this.#queue.on(wanted.inode) : [];
    if (!this.#isGrace) {
      const lets = this.#queue.isCourteous(wanted, monotonicMs, earlier, monotonicMs);
      if (!lets && this.#table.tryLock(wanted)) {
        // A write lock that became a read lock lets others in.
        this.#advance(wanted.inode);
        return { granted: true, pauseMs: 0 };
      }
      if (!request.wait) throw notFree();
      if (wanted.kind === 'posix' && this.#queue.closesCycle(wanted)) throw deadlock();
    }
    const waiter: Waiter = {
      wanted,
      request: request.request,
      isBlocking: request.wait,
      sinceMs: monotonicMs,
      askedMs: monotonicMs,
      poll: undefined,
    };
    this.#queue.add(waiter);
    this.#schedule();
    return await this.#poll(waiter);
  }

  /** Answers `cancellock`. */
  cancel(request: RequestOf<typeof cancellock>, peer: Peer | undefined): ReplyOf<typeof cancellock> {
    const wanted = this.#wanted(request, peer);
    const waiter = this.#queue.find(wanted.session, request.request);
    if (!waiter) return { granted: this.#table.holds(wanted) };
    this.#drop(waiter, new DfsError('EINTR', 'the request for the lock was taken back'));
    return { granted: false };
  }

  /** Answers `unlock`. */
  unlock(request: RequestOf<typeof unlock>, peer: Peer | undefined): void {
    const session = this.#sessions.get(request.session);
    // Its locks went with it.
    if (!session) return;
    session.heardMs = this.#clock.monotonicMs();
    this.#requireAttached(session.id, peer);
    this.#table.unlock(request);
    this.#advance(request.inode);
  }

  /** Answers `testlock`. */
  async test(request: RequestOf<typeof testlock>): Promise<ReplyOf<typeof testlock>> {
    const deadlineMs = this.#clock.monotonicMs() + LOCK_POLL_MS;
    while (this.#isGrace && this.#clock.monotonicMs() < deadlineMs) await sleep(this.#clock, TICK_MS);
    if (this.#isGrace || this.#isClosed) return { known: false, conflict: null };
    const { session, lock: range } = request;
    const conflict = this.#table.conflict({ ...range, session });
    if (!conflict) return { known: true, conflict: null };
    const { session: holder, pid, ...rest } = conflict;
    return { known: true, conflict: { ...rest, pid: holder === session ? pid : 0 } };
  }

  /**
   * A session's client is there, on this connection, with these locks, and no others. Returns false when its locks
   * were let go; they stay so, and so does this answer until the client comes without locks.
   */
  resume(session: number, peer: Peer | undefined, locks: readonly Lock[]): boolean {
    this.#attachments.set(session, { peer, closedMs: undefined });
    const changed = this.#table.releaseSession(session);
    if (locks.length === 0) this.#forfeited.delete(session);
    else if (!this.#forfeited.has(session) && !this.#takeOver(session, locks)) this.#forfeited.add(session);
    for (const inode of changed) this.#advance(inode);
    return !this.#forfeited.has(session);
  }

  /** What was forfeited while an earlier process ran, or is about to be released by releaseForfeited(). */
  forfeit(session: number): void {
    this.#forfeited.add(session);
  }

  /** Lets go what was forfeited, unless the client has come back and accepted that by itself. */
  releaseForfeited(session: number): void {
    if (this.#forfeited.has(session)) this.#release(session);
  }

  /** Sessions with locks or waiting requests whose connection has been closed for LOST_CONNECTION_MS. */
  abandoned(): number[] {
    const monotonicMs = this.#clock.monotonicMs();
    const abandoned: number[] = [];
    for (const [session, attachment] of this.#attachments) {
      if (attachment.peer?.isClosed !== true) continue;
      attachment.closedMs ??= monotonicMs;
      if (monotonicMs - attachment.closedMs < LOST_CONNECTION_MS) continue;
      if (this.#table.holdsAny(session) || this.#queue.of(session).length > 0) abandoned.push(session);
    }
    return abandoned;
  }

  /** A session has ended. */
  end(session: number): void {
    this.#attachments.delete(session);
    this.#forfeited.delete(session);
    this.#release(session);
  }

  /** Answers everybody who waits. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    const reason = new DfsError('ESHUTDOWN', 'the metadata server shuts down');
    for (const inode of this.#queue.inodes) {
      for (const waiter of this.#queue.on(inode)) this.#drop(waiter, reason);
    }
  }

  /** Lets go what a session holds, and what it waits for. */
  #release(session: number): void {
    const reason = new DfsError('ESTALE', `the metadata server has let go the locks of session ${session}`);
    for (const waiter of this.#queue.of(session)) this.#drop(waiter, reason);
    for (const inode of this.#table.releaseSession(session)) this.#advance(inode);
  }

  /** Clients of an earlier process have not said yet what they hold. */
  get #isGrace(): boolean {
    return !this.#sessions.areAllResumed;
  }

  /** ESTALE for a session that has ended. */
  #wanted(request: { session: number; lock: Lock }, peer: Peer | undefined): SessionLock {
    const { id } = this.#sessions.require(request.session, this.#clock.monotonicMs());
    this.#requireAttached(id, peer);
    const { start, end } = request.lock;
    if (start > end) throw new DfsError('EINVAL', 'a lock ends before it begins');
    return { ...request.lock, session: id };
  }

  #requireAttached(session: number, peer: Peer | undefined): void {
    const attachment = this.#attachments.get(session);
    if (attachment && attachment.peer === peer) return;
    throw new DfsError('ESHUTDOWN', `session ${session} is on another connection now`);
  }

  /** All or none. Returns false when another session holds something of it. */
  #takeOver(session: number, locks: readonly Lock[]): boolean {
    if (locks.every(each => this.#table.tryLock({ ...each, session }))) return true;
    this.#table.releaseSession(session);
    return false;
  }

  /**
   * flock(2): "Converting a lock is not guaranteed to be atomic: the existing lock is first removed, and then a new
   * lock is established. Between these two steps, a pending lock request by another process may be granted".
   */
  #giveUpOtherFlock(wanted: SessionLock): void {
    if (wanted.kind !== 'flock') return;
    const held = this.#table.flockType(wanted);
    if (held === undefined || held === wanted.type) return;
    this.#table.unlock(wanted);
    this.#advance(wanted.inode);
  }

  /** Grants what can be granted, in the order of arrival. */
  #advance(inode: number): void {
    if (this.#isGrace) return;
    const monotonicMs = this.#clock.monotonicMs();
    const before: Waiter[] = [];
    let isSettled = true;
    for (const waiter of this.#queue.on(inode)) {
      const { wanted, sinceMs } = waiter;
      const lets = waiter.isBlocking && this.#queue.isCourteous(wanted, sinceMs, before, monotonicMs);
      if (!lets && this.#grant(waiter)) {
        // It may have freed something for those before it: a write lock that became a read lock.
        isSettled = before.length === 0 && isSettled;
        continue;
      }
      if (!waiter.isBlocking) this.#drop(waiter, notFree());
      else before.push(waiter);
    }
    if (!isSettled) this.#advance(inode);
  }

  #grant(waiter: Waiter): boolean {
    try {
      if (!this.#table.tryLock(waiter.wanted)) return false;
    } catch (error) {
      if (!(error instanceof DfsError)) throw error;
      this.#drop(waiter, error);
      return true;
    }
    this.#queue.remove(waiter);
    waiter.poll?.resolve({ granted: true, pauseMs: 0 });
    return true;
  }

  #drop(waiter: Waiter, reason: DfsError): void {
    this.#queue.remove(waiter);
    waiter.poll?.reject(reason);
  }

  /** Keeps a waiting request for LOCK_POLL_MS. */
  async #poll(waiter: Waiter): Promise<LockAnswer> {
    const { session } = waiter.wanted;
    waiter.askedMs = this.#clock.monotonicMs();
    waiter.poll?.resolve({ granted: false, pauseMs: 0 });
    waiter.poll = undefined;
    if (this.#polls.get(session) >= MAX_POLLS) return { granted: false, pauseMs: ASK_AGAIN_MS };
    this.#polls.add(session);
    let timer: Timer | undefined;
    try {
      return await new Promise<LockAnswer>((resolve, reject) => {
        const poll = { resolve, reject };
        waiter.poll = poll;
        timer = this.#clock.setTimer(LOCK_POLL_MS, () => {
          if (waiter.poll === poll) waiter.poll = undefined;
          waiter.askedMs = this.#clock.monotonicMs();
          resolve({ granted: false, pauseMs: 0 });
        });
      });
    } finally {
      timer?.cancel();
      this.#polls.take(session);
    }
  }

  #schedule(): void {
    if (this.#timer || this.#isClosed || this.#queue.isEmpty) return;
    this.#timer = this.#clock.setTimer(
      TICK_MS,
      () => {
        this.#timer = undefined;
        this.#tick();
        this.#schedule();
      },
      true,
    );
  }

  #tick(): void {
    const monotonicMs = this.#clock.monotonicMs();
    for (const inode of this.#queue.inodes) {
      for (const waiter of this.#queue.on(inode)) {
        if (waiter.poll || monotonicMs - waiter.askedMs < PLACE_KEPT_MS) continue;
        this.#drop(waiter, new DfsError('ETIMEDOUT', 'nobody asked for the lock any more'));
      }
      this.#advance(inode);
    }
  }
}

function notFree(): DfsError {
  return new DfsError('EAGAIN', 'the range is locked by somebody else');
}

function deadlock(): DfsError {
  return new DfsError('EDEADLK', 'who holds the lock waits for a lock of the one who asks');
}
