/**
 * The waiting requests for locks, in the order of arrival.
 *
 * A request that only earlier requests stand in the way of, not a lock, lets them go first, so that readers who keep
 * coming do not keep a writer out; but for a short time only. A local file system has no such rule, and programs are
 * right not to expect it: one that holds a read lock may wait for a child that asks for another.
 */
import { DfsError } from '../../protocol/errors.js';
import { ownerKey, type LockTable, type SessionLock } from './lock-table.js';

/** How long a request lets earlier ones go first. */
const COURTESY_MS = 500;
/** Requests of one session that may wait at once. */
const MAX_WAITERS = 4096;

export type LockAnswer = { readonly granted: boolean; readonly pauseMs: number };

/** The reply that a waiting request is going to get. */
export interface Poll {
  resolve(answer: LockAnswer): void;
  reject(error: DfsError): void;
}

export interface Waiter {
  readonly wanted: SessionLock;
  /** The client's number of the request. */
  readonly request: number;
  /** False for one that only waits until it is known who holds what, after a restart. */
  readonly isBlocking: boolean;
  readonly sinceMs: number;
  /** Monotonic ms at which the client was last heard to want it. */
  askedMs: number;
  poll: Poll | undefined;
}

export class LockQueue {
  readonly #table: LockTable;
  /** inode → who waits, first come first */
  readonly #byInode = new Map<number, Waiter[]>();
  /** session → number of the request → who waits */
  readonly #bySession = new Map<number, Map<number, Waiter>>();
  /** owner key → its POSIX requests that wait */
  readonly #byOwner = new Map<string, Set<Waiter>>();

  constructor(table: LockTable) {
    this.#table = table;
  }

  get isEmpty(): boolean {
    return this.#byInode.size === 0;
  }

  get inodes(): number[] {
    return [...this.#byInode.keys()];
  }

  find(session: number, request: number): Waiter | undefined {
    return this.#bySession.get(session)?.get(request);
  }

  of(session: number): Waiter[] {
    return [...(this.#bySession.get(session)?.values() ?? [])];
  }

  on(inode: number): readonly Waiter[] {
    return this.#byInode.get(inode) ?? [];
  }

  /** ENOLCK when too many requests of the session wait. */
  add(waiter: Waiter): void {
    const { inode, session, kind } = waiter.wanted;
    const ofSession = this.#bySession.get(session) ?? new Map<number, Waiter>();
    if (ofSession.size >= MAX_WAITERS) {
      throw new DfsError('ENOLCK', `${MAX_WAITERS} requests of this client wait for locks already`);
    }
    this.#bySession.set(session, ofSession.set(waiter.request, waiter));
    this.#byInode.set(inode, [...this.on(inode), waiter]);
    if (kind !== 'posix') return;
    const key = ownerKey(waiter.wanted);
    this.#byOwner.set(key, (this.#byOwner.get(key) ?? new Set()).add(waiter));
  }

  remove(waiter: Waiter): void {
    const { inode, session } = waiter.wanted;
    const ofSession = this.#bySession.get(session);
    ofSession?.delete(waiter.request);
    if (ofSession?.size === 0) this.#bySession.delete(session);
    const left = this.on(inode).filter(each => each !== waiter);
    if (left.length > 0) this.#byInode.set(inode, left);
    else this.#byInode.delete(inode);
    const key = ownerKey(waiter.wanted);
    const ofOwner = this.#byOwner.get(key);
    ofOwner?.delete(waiter);
    if (ofOwner?.size === 0) this.#byOwner.delete(key);
  }

  /** Whether a request that came at `sinceMs` should let one of `earlier` go first. */
  isCourteous(
    wanted: SessionLock,
    sinceMs: number,
    earlier: readonly Waiter[],
    monotonicMs: number,
  ): boolean {
    if (monotonicMs - sinceMs >= COURTESY_MS) return false;
    return earlier.some(({ wanted: other }) => areRivals(wanted, other));
  }

  /**
   * Whether waiting for this POSIX lock would never end: who holds it waits, perhaps by way of others, for a lock of
   * the one who asks (fcntl(2) EDEADLK). What processes wait for besides is not known here.
   */
  closesCycle(wanted: SessionLock): boolean {
    const own = ownerKey(wanted);
    const seen = new Set<string>();
    const next = [...this.#table.ownersInTheWay(wanted)];
    for (let key = next.pop(); key !== undefined; key = next.pop()) {
      if (key === own) return true;
      if (seen.has(key)) continue;
      seen.add(key);
      for (const waiter of this.#byOwner.get(key) ?? []) {
        next.push(...this.#table.ownersInTheWay(waiter.wanted));
      }
    }
    return false;
  }
}

/** Whether two requests for the same inode cannot both be granted. */
function areRivals(a: SessionLock, b: SessionLock): boolean {
  return (
    a.kind === b.kind &&
    (a.type === 'write' || b.type === 'write') &&
    a.start <= b.end &&
    b.start <= a.end &&
    ownerKey(a) !== ownerKey(b)
  );
}
