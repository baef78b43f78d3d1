/**
 * The holders of locks. In memory only: after a restart each client names its locks when it resumes its session, and no
 * new lock is given until all clients have.
 */
import { conflictIn, isLocked, withRange, type LockRange } from '../../protocol/lock-ranges.js';
import { DfsError } from '../../protocol/errors.js';
import { MAX_DECLARED_LOCKS, MAX_LOCKS } from '../../protocol/limits.js';
import type { Lock, LockKind, LockType } from '../../protocol/types.js';

/** A lock with the session it belongs to. */
export interface SessionLock extends Lock {
  readonly session: number;
}

/** What one owner has locked of one file. */
interface Held {
  readonly session: number;
  readonly owner: string;
  pid: number;
  ranges: LockRange[];
}

/** owner key → what it holds */
type Holders = Map<string, Held>;

interface LockedInode {
  readonly flock: Holders;
  readonly posix: Holders;
}

/** Tells owners of all sessions apart. */
export function ownerKey({ session, owner }: { session: number; owner: string }): string {
  return `${session}/${owner}`;
}

export class LockTable {
  readonly #inodes = new Map<number, LockedInode>();
  /** session → inode → how many ranges it has locked there */
  readonly #bySession = new Map<number, Map<number, number>>();
  /** session → how many ranges it has locked */
  readonly #counts = new Map<number, number>();

  /** Locks what is asked for unless another owner's lock stands in the way; returns whether it did. ENOLCK. */
  tryLock(wanted: SessionLock): boolean {
    if (this.#holdersInTheWay(wanted).next().done !== true) return false;
    this.#set(wanted, wanted.type);
    return true;
  }

  /** Unlocks a range of what an owner has locked. ENOLCK when that would make too many ranges. */
  unlock(range: Omit<SessionLock, 'type' | 'pid'>): void {
    if (!this.#held(range)) return;
    this.#set({ ...range, pid: 0 }, 'unlock');
  }

  /** Whether the owner holds all of this, at this type. */
  holds(lock: SessionLock): boolean {
    return isLocked(this.#held(lock)?.ranges ?? [], lock.start, lock.end, lock.type);
  }

  /** The type of the flock that an owner has on an inode. */
  flockType(lock: Omit<SessionLock, 'type'>): LockType | undefined {
    return this.#held(lock)?.ranges[0]?.type;
  }

  /** A lock that stands in the way. */
  conflict(wanted: SessionLock): SessionLock | undefined {
    for (const { session, owner, pid, ranges } of this.#holdersInTheWay(wanted)) {
      const range = conflictIn(ranges, wanted.start, wanted.end, wanted.type);
      if (range) return { inode: wanted.inode, kind: wanted.kind, session, owner, pid, ...range };
    }
    return undefined;
  }

  /** The keys of the owners whose locks stand in the way. */
  *ownersInTheWay(wanted: SessionLock): Generator<string> {
    for (const holder of this.#holdersInTheWay(wanted)) yield ownerKey(holder);
  }

  /** Lets go everything that a session holds; returns the inodes on which it held something. */
  releaseSession(session: number): number[] {
    const inodes = [...(this.#bySession.get(session)?.keys() ?? [])];
    for (const inode of inodes) {
      const locked = this.#inodes.get(inode);
      if (!locked) continue;
      for (const holders of [locked.flock, locked.posix]) {
        for (const [key, held] of holders) if (held.session === session) holders.delete(key);
      }
      this.#forgetIfFree(inode, locked);
    }
    this.#bySession.delete(session);
    this.#counts.delete(session);
    return inodes;
  }

  holdsAny(session: number): boolean {
    return this.#bySession.has(session);
  }

  *#holdersInTheWay(wanted: SessionLock): Generator<Held> {
    const holders = this.#inodes.get(wanted.inode)?.[wanted.kind];
    if (!holders) return;
    const own = ownerKey(wanted);
    for (const [key, held] of holders) {
      if (key !== own && conflictIn(held.ranges, wanted.start, wanted.end, wanted.type)) yield held;
    }
  }

  #held(of: { inode: number; kind: LockKind; session: number; owner: string }): Held | undefined {
    return this.#inodes.get(of.inode)?.[of.kind].get(ownerKey(of));
  }

  #set(lock: Omit<SessionLock, 'type'>, type: LockType | 'unlock'): void {
    const { inode, kind, session, owner, pid, start, end } = lock;
    const old = this.#held(lock);
    const ranges = withRange(old?.ranges ?? [], start, end, type);
    const grown = ranges.length - (old?.ranges.length ?? 0);
    this.#count(session, inode, grown, type === 'unlock' ? MAX_DECLARED_LOCKS : MAX_LOCKS);
    let locked = this.#inodes.get(inode);
    if (!locked) this.#inodes.set(inode, (locked = { flock: new Map(), posix: new Map() }));
    if (ranges.length === 0) {
      locked[kind].delete(ownerKey(lock));
      this.#forgetIfFree(inode, locked);
    } else if (old) {
      old.ranges = ranges;
      if (type !== 'unlock') old.pid = pid;
    } else {
      locked[kind].set(ownerKey(lock), { session, owner, pid, ranges });
    }
  }

  #count(session: number, inode: number, grown: number, limit: number): void {
    if (grown === 0) return;
    const count = (this.#counts.get(session) ?? 0) + grown;
    if (grown > 0 && count > limit) {
      throw new DfsError('ENOLCK', `this client holds ${limit} locks already; let some go`);
    }
    let inodes = this.#bySession.get(session);
    if (!inodes) this.#bySession.set(session, (inodes = new Map()));
    const onInode = (inodes.get(inode) ?? 0) + grown;
    if (onInode > 0) inodes.set(inode, onInode);
    else inodes.delete(inode);
    if (count > 0) {
      this.#counts.set(session, count);
    } else {
      this.#counts.delete(session);
      this.#bySession.delete(session);
    }
  }

  #forgetIfFree(inode: number, locked: LockedInode): void {
    if (locked.flock.size === 0 && locked.posix.size === 0) this.#inodes.delete(inode);
  }
}
