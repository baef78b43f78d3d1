/**
 * Locks of open files, and when a handle's last close releases them.
 *
 * The kernel names an owner with each lock: the process's descriptor table for fcntl(2) F_SETLK, the open file description
 * for F_OFD_SETLK and flock(2). FLUSH, which every close(2) sends, names the first kind. RELEASE names a flock's owner, but
 * says nothing of F_OFD_SETLK: for a file system that keeps its own locks Linux finds none to drop
 * (locks_remove_posix() in fs/locks.c). So the owners that lock by a handle are noted, and go with it. Those of the first
 * kind have been flushed by then, since a description lives as long as any descriptor table refers to it.
 */
import type { HeldLocks } from '../client/locks/held-locks.js';
import type { LockClient } from '../client/locks/lock-client.js';
import type { OpenFilesState } from '../protocol/take-over.js';
import type { LockKind } from '../protocol/types.js';
import type { FileHandle, FileLock } from './file-system.js';
import type { OpenFile } from './open-file.js';
import { SqliteIndexes } from './sqlite-index.js';

/** An open file, as far as locks concern it. */
export type LockedFile = Pick<OpenFile, 'inode' | 'settledInTime' | 'settledWithin'>;

export interface HandleLocksOptions {
  /** Locks and unlocks for all programs of this client. */
  readonly locks: Pick<LockClient, 'lock' | 'unlock' | 'test'>;
  /** The locks that this client has. */
  readonly heldLocks: Pick<HeldLocks, 'owners'>;
  /** Learns what others wrote to an inode. */
  readonly refresh: (inode: number) => Promise<void>;
  /** How long a last close waits for servers that are away before it gives up what was written. */
  readonly timeoutMs: number;
}

export class HandleLocks {
  readonly #options: HandleLocksOptions;
  /** inode → owner of POSIX or OFD locks → the handles by which it locked */
  readonly #owners = new Map<number, Map<string, Set<FileHandle>>>();
  /** inode → locks on it that a last close is releasing, which close(2) does not wait for */
  readonly #going = new Map<number, Promise<unknown>>();

  readonly #indexes: SqliteIndexes;

  constructor(options: HandleLocksOptions) {
    this.#options = options;
    this.#indexes = new SqliteIndexes(options);
  }

  /** What a successor of this process has to know (protocol/take-over.ts). */
  state(): Pick<OpenFilesState, 'lockOwners' | 'sqliteIndexes'> {
    const lockOwners = [...this.#owners].flatMap(([inode, owners]) =>
      [...owners].map(([owner, handles]) => ({ inode, owner, handles: [...handles] })),
    );
    return { lockOwners, sqliteIndexes: this.#indexes.state() };
  }

  restore({ lockOwners, sqliteIndexes }: Pick<OpenFilesState, 'lockOwners' | 'sqliteIndexes'>): void {
    for (const { inode, owner, handles } of lockOwners)
      for (const handle of handles) this.#locked(handle, inode, 'posix', owner);
    this.#indexes.restore(sqliteIndexes);
  }

  /** A program was told that the name leads to the inode. */
  found(name: Uint8Array, inode: number): void {
    this.#indexes.found(name, inode);
  }

  /** As FileSystem.lock. */
  async lock(
    handle: FileHandle,
    file: LockedFile,
    lock: FileLock,
    wait: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { inode } = file;
    const { locks, refresh } = this.#options;
    // A write lock that becomes a read lock lets others read.
    if (lock.type === 'read') await file.settledInTime();
    await this.#settled(inode);
    await this.#indexes.locking(inode, lock, async () => await locks.lock({ inode, ...lock }, wait, signal));
    this.#locked(handle, inode, lock.kind, lock.owner);
    try {
      // What others wrote while they had the lock is to be seen from here on.
      await refresh(inode);
    } catch (error) {
      await locks.unlock(inode, lock.kind, lock.owner, lock.start, lock.end);
      throw error;
    }
  }

  /** As FileSystem.unlock. */
  async unlock(file: LockedFile, { kind, owner, start, end }: Omit<FileLock, 'type' | 'pid'>): Promise<void> {
    await file.settledInTime();
    await this.#options.locks.unlock(file.inode, kind, owner, start, end);
    await this.#indexes.unlocked(file.inode);
  }

  /** As FileSystem.testLock. */
  async test({ inode }: LockedFile, lock: FileLock): Promise<FileLock | undefined> {
    await this.#settled(inode);
    return await this.#options.locks.test({ inode, ...lock });
  }

  /** Whether anybody has locked the inode through this client. */
  isLocked(inode: number): boolean {
    return this.#options.heldLocks.owners(inode).length > 0;
  }

  /** Whether nobody has locked the inode through this client, or has asked to, so that `flushed` has nothing to do. */
  isIdle(inode: number): boolean {
    return !this.isLocked(inode) && !this.#owners.has(inode);
  }

  /** Unlocks everything that an owner has locked with fcntl(2), as each close(2) of a process does. */
  async flushed(inode: number, owner: string): Promise<void> {
    this.#forget(inode, owner);
    await this.#options.locks.unlock(inode, 'posix', owner);
    await this.#indexes.unlocked(inode);
  }

  /**
   * The last close(2) of a handle: unlocks what it locked, once what was written under the locks is committed. Undefined when
   * it locked nothing. A lock of the same file that is asked for from now on waits until this is over.
   * @param flockOwner the kernel's, if the handle had a flock
   */
  released(handle: FileHandle, file: LockedFile, flockOwner: string | undefined): Promise<void> | undefined {
    const { inode } = file;
    const posixOwners = this.#takeOwners(handle, inode);
    if (flockOwner === undefined && posixOwners.length === 0) return undefined;
    const earlier = this.#going.get(inode);
    const going = this.#release(earlier, file, posixOwners, flockOwner);
    // The next owner only wants it to be over; the handle's release reports what went wrong.
    const over = going.catch(() => undefined);
    this.#going.set(inode, over);
    return going.finally(() => {
      if (this.#going.get(inode) === over) this.#going.delete(inode);
    });
  }

  /** Resolves when no last close of before is still releasing locks of the inode. Never rejects. */
  async #settled(inode: number): Promise<void> {
    await this.#going.get(inode);
  }

  /** An owner has asked for a lock by this handle. */
  #locked(handle: FileHandle, inode: number, kind: LockKind, owner: string): void {
    if (kind === 'flock') return;
    const owners = this.#owners.get(inode) ?? new Map<string, Set<FileHandle>>();
    this.#owners.set(inode, owners.set(owner, (owners.get(owner) ?? new Set()).add(handle)));
  }

  async #release(
    earlier: Promise<unknown> | undefined,
    file: LockedFile,
    posixOwners: readonly string[],
    flockOwner: string | undefined,
  ): Promise<void> {
    const { inode } = file;
    await earlier;
    try {
      // Under the next owner's lock nothing may land that was written under this one.
      await file.settledWithin(this.#options.timeoutMs);
    } finally {
      await Promise.all([
        ...posixOwners.map(async owner => await this.#options.locks.unlock(inode, 'posix', owner)),
        ...(flockOwner === undefined ? [] : [this.#options.locks.unlock(inode, 'flock', flockOwner)]),
      ]);
      await this.#indexes.unlocked(inode);
    }
  }

  /** The owners that locked by this handle. */
  #takeOwners(handle: FileHandle, inode: number): string[] {
    const owners = this.#owners.get(inode);
    if (!owners) return [];
    const taken = [...owners].filter(([, handles]) => handles.has(handle)).map(([owner]) => owner);
    for (const owner of taken) this.#forget(inode, owner);
    return taken;
  }

  #forget(inode: number, owner: string): void {
    const owners = this.#owners.get(inode);
    if (owners?.delete(owner) === true && owners.size === 0) this.#owners.delete(inode);
  }
}
