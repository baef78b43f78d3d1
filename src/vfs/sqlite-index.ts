/**
 * A SQLite database in WAL mode belongs to one mount at a time. Its processes share an index (`NAME-shm`, sqlite.org/walformat.html) by
 * mapping it, and mounts on two machines share no memory: each would see its own, and the database would be damaged. SQLite
 * says of network file systems that this is for the user to see to; here a second mount is refused.
 *
 * A process that is connected has a read lock on one byte of the index (UNIX_SHM_DMS in SQLite's os_unix.c). With the first such
 * lock a mount takes the whole index for itself, and with the last lock it gives it back. On another mount that lock is EAGAIN meanwhile,
 * and SQLite says "database is locked".
 */
import { LRUCache } from 'lru-cache';
import type { LockClient } from '../client/locks/lock-client.js';
import type { HeldLocks } from '../client/locks/held-locks.js';
import { Counts } from '../platform/counts.js';
import { MAX_FILE_BYTES } from '../protocol/limits.js';
import type { FileLock } from './file-system.js';

const SUFFIX = Buffer.from('-shm');
const LAST_BYTE = SUFFIX.at(-1);
/** The byte that says that a process is connected. */
const CONNECTED = 128;
/** Inodes that are remembered by their names. */
const MAX_INDEXES = 4096;
/**
 * One owner for all processes of a mount, of the kind that locks the whole file, which SQLite does not use. The kernel's owners are
 * hashes of 64 bits, of which this is none in practice.
 */
const MOUNT = '0';

export interface SqliteIndexesOptions {
  readonly locks: Pick<LockClient, 'lock' | 'unlock'>;
  readonly heldLocks: Pick<HeldLocks, 'owners'>;
}

export class SqliteIndexes {
  readonly #options: SqliteIndexesOptions;
  readonly #inodes = new LRUCache<number, true>({ max: MAX_INDEXES });
  /** inode → processes that are just connecting */
  readonly #connecting = new Counts<number>();

  constructor(options: SqliteIndexesOptions) {
    this.#options = options;
  }

  /** The indexes that are known. */
  state(): number[] {
    return [...this.#inodes.keys()];
  }

  restore(inodes: readonly number[]): void {
    for (const inode of inodes) this.#inodes.set(inode, true);
  }

  /** A program was told that the name leads to the inode. */
  found(name: Uint8Array, inode: number): void {
    if (name.at(-1) !== LAST_BYTE || name.length <= SUFFIX.length) return;
    if (SUFFIX.equals(name.subarray(-SUFFIX.length))) this.#inodes.set(inode, true);
  }

  /** Does `take`, which asks for a lock. EAGAIN when another mount has the index. */
  async locking(inode: number, { kind, start, end }: FileLock, take: () => Promise<void>): Promise<void> {
    const isConnecting = kind === 'posix' && start <= CONNECTED && end >= CONNECTED;
    if (!isConnecting || !this.#inodes.has(inode)) {
      await take();
      return;
    }
    this.#connecting.add(inode);
    try {
      const whole = { start: 0, end: MAX_FILE_BYTES, pid: 0 };
      await this.#options.locks.lock({ inode, kind: 'flock', owner: MOUNT, type: 'write', ...whole }, false);
      await take();
    } finally {
      this.#connecting.take(inode);
      await this.unlocked(inode);
    }
  }

  /** Something was unlocked: with the last lock of a process the index is free for other mounts. */
  async unlocked(inode: number): Promise<void> {
    const { locks, heldLocks } = this.#options;
    if (!this.#inodes.has(inode)) return;
    const isInUse =
      this.#connecting.has(inode) || heldLocks.owners(inode).some(({ owner }) => owner !== MOUNT);
    if (!isInUse) await locks.unlock(inode, 'flock', MOUNT);
  }
}
