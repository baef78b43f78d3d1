/**
 * What a mounted DFS can do, as its users see it: the FUSE drivers, and the commands that move files. POSIX semantics
 * on inodes; every method rejects with a DfsError that carries the errno of the POSIX page named there.
 */
import { ATTRIBUTES_BYTES, LRU_ENTRY_BYTES } from '../client/caches/cache-budget.js';
import type { Rights } from '../protocol/export-commands.js';
import type { CacheKeeper } from '../client/leases/cache-lease.js';
import type { ClusterControl } from '../client/cluster-control.js';
import type { ListedInode } from '../client/namespace/list.js';
import type { Loans } from '../platform/loans.js';
import type { Payload } from '../protocol/frame.js';
import type { PackedNames } from '../protocol/packed-names.js';
import type { FileSystemState } from '../protocol/take-over.js';
import type { Attributes, Caller, Lock, PrivilegeLoss, TimeOrNow } from '../protocol/types.js';

/** The fields of setattr that are given are changed; the others stay. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly atime?: TimeOrNow;
  readonly mtime?: TimeOrNow;
  /** How setuid, setgid and capabilities go, when whoever does it lacks CAP_FSETID. */
  readonly privilegeLoss?: PrivilegeLoss;
}

/** Who owns what is created, and its permission bits. */
export interface Creation {
  /** Permission bits; for mknod with the file type. */
  readonly mode: number;
  /** Permissions that are not given unless the directory has a default ACL (acl(5)); none when left out. */
  readonly umask?: number;
  readonly uid: number;
  readonly gid: number;
}

/** A number by which an open file is known, as a file descriptor is. */
export type FileHandle = number;

/** A range of an open file that an owner locks, or another has locked. */
export type FileLock = Omit<Lock, 'inode'>;

export interface DirectoryEntry {
  readonly name: Buffer;
  readonly attributes: Attributes;
}

export interface DirectoryPage {
  readonly entries: readonly DirectoryEntry[];
  /** The directory's parent, for `..`. */
  readonly parent: number;
  readonly isLast: boolean;
}

/** One page of a directory's names, for a kernel that asks for no attributes. */
export interface NamesPage {
  readonly names: PackedNames;
  /** Attributes of an entry's inode, as far as they are known at the moment at which this is called. */
  readonly attributesOf: (inode: number) => Attributes | undefined;
  /** The directory's parent, for `..`. */
  readonly parent: number;
  readonly isLast: boolean;
}

export interface Statfs {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly inodes: number;
  readonly liveNodes: number;
}

export type { CacheKeeper, Revocation } from '../client/leases/cache-lease.js';

/** What of its replies the file system allows to be kept, by those who can be told to drop it again. */
/** An entry of a cache with an inode's attributes costs so many bytes. */
export const TOLD_BYTES = LRU_ENTRY_BYTES + ATTRIBUTES_BYTES;

export interface KeepingLease {
  /** Memory for what the keeper notes of the inodes that its kernel knows. */
  readonly nodeBytes: number;
  /** Taken before a request is made. */
  ticket(): number;
  /** Whether what the reply says of names in the directory may be kept until it is revoked. */
  mayKeepNames(ticket: number, directory: number): boolean;
  /** The same for an inode's attributes. */
  mayKeepAttributes(ticket: number, inode: number): boolean;
  /**
   * The same for its content, by who opens it; false also when reading it would move its access time, which has to be seen.
   * @param openFlags those of open(2)
   */
  mayKeepContent(ticket: number, inode: number, openFlags: number): boolean;
  /** The same for a directory's listing. */
  mayKeepListing(ticket: number, directory: number): boolean;
}

export interface WriteOptions {
  /** O_APPEND; as the handle was opened when left out. */
  readonly isAppend?: boolean | undefined;
  /** As for AttributeChanges. */
  readonly privilegeLoss?: PrivilegeLoss | undefined;
}

/** fallocate(2)'s modes (<linux/falloc.h>), as far as they are known here. */
export const FallocateFlag = { keepSize: 1, punchHole: 2, zeroRange: 16 } as const;

/** How a file system changes hands from one process to another (VfsOptions.taken). */
export interface FileSystemHandOver {
  /** Everything that programs were told is done is committed, as far as servers answer. Never rejects. */
  settled(): Promise<void>;
  /**
   * Stops using the session, so that another process may go on with it by what is returned. Undefined while something is under way that
   * may change anything. Nobody may ask for anything meanwhile.
   */
  suspend(): FileSystemState | undefined;
  /** Goes on after `suspend`: no other process has used the session. */
  goOn(): void;
  /** Closes every connection for good; the session goes on with another process. */
  leave(): Promise<void>;
}

/**
 * What can be answered at once, from what this client knows and may decide alone. Undefined or false: it cannot, and nothing has
 * changed. An answer at once costs a third of the same by a promise, which passes through a dozen functions.
 */
export interface ImmediateAnswers {
  lookup(parent: number, name: Uint8Array): Attributes | 'absent' | undefined;
  getattr(inode: number): Attributes | undefined;
  names(inode: number, after: Uint8Array): NamesPage | undefined;
  /** Whether the inode has no such extended attribute. */
  lacksXattr(inode: number, name: Uint8Array): boolean;
  /**
   * Creates a file that is not there.
   * @param caller who may be refused it; undefined: as the file system itself
   */
  create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    openFlags: number,
    caller: Caller | undefined,
  ): { readonly handle: FileHandle; readonly attributes: Attributes } | undefined;
  /** Writes where `offset` says, or with `isAppend` at the end, whatever the handle was opened with. Throws as FileSystem.write rejects. */
  write(handle: FileHandle, offset: number, data: Uint8Array, isAppend: boolean): boolean;
  /** Throws as FileSystem.flush rejects. */
  flush(handle: FileHandle, lockOwner: string): boolean;
}

export interface FileSystem {
  /** Left out where nothing is answered at once; made anew by each call. */
  readonly immediate?: ImmediateAnswers | undefined;
  readonly cluster: ClusterControl;
  /** What this machine may do; undefined: everything. Others may decide that while the file system is in use. */
  readonly rights: Rights | undefined;

  /**
   * The same file system, its handles included, as a user of this machine sees it, who may be refused (EACCES, EPERM); root too,
   * where the machine's rights say so. Undefined: as the client itself, to which nothing is refused of what this machine may do. What
   * is done by handle is not asked about again, as POSIX has it.
   */
  as(caller: Caller | undefined): FileSystem;

  /**
   * Lets `keeper` keep what it is told: every change by another client is told to it, and waits for it. Changes made
   * through this file system are not told to it, for it sees them pass. Rejects as any request does.
   */
  keepCaches(keeper: CacheKeeper): Promise<KeepingLease>;
  /** The keeper keeps nothing any more. */
  endCaches(keeper: CacheKeeper): void;

  /**
   * The inode at the end of a path, walked in one round trip.
   * @param names the path's names
   * @param from where the walk starts; the root when left out
   * @param followLinks follow symbolic links, the last name's too (absolute targets start at `from`); otherwise links
   *   before the last name end the walk with ENOTDIR, as a kernel driver, which walks itself, expects
   */
  resolve(names: readonly Uint8Array[], from?: number, followLinks?: boolean): Promise<Attributes>;
  lookup(parent: number, name: Uint8Array): Promise<Attributes>;
  getattr(inode: number): Promise<Attributes>;
  setattr(inode: number, changes: AttributeChanges): Promise<Attributes>;
  readlink(inode: number): Promise<Buffer>;
  mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes>;
  mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes>;
  symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<Attributes>;
  /** @param replace also onto the name of another file, as rename(2) does it; EEXIST otherwise */
  link(inode: number, parent: number, name: Uint8Array, replace?: boolean): Promise<Attributes>;
  unlink(parent: number, name: Uint8Array): Promise<void>;
  rmdir(parent: number, name: Uint8Array): Promise<void>;
  /**
   * @param flags RenameFlag bits, as for renameat2(2)
   * @param whiteoutOwner owner of what RenameFlag.whiteout leaves; root when left out
   */
  rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
    whiteoutOwner?: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<void>;

  /**
   * open(2) with O_CREAT: creates a regular file, or opens the one that is there (EEXIST when `exclusive`).
   * @param openFlags the other flags of open(2); O_TRUNC empties an existing file
   * @param privilegeLoss as for AttributeChanges, when an existing file is emptied
   */
  create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }>;
  /** open(2) with O_TMPFILE: a regular file without a name, to which `link` may give one. */
  tmpfile(
    directory: number,
    creation: Creation,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }>;
  /** open(2) of an existing regular file. */
  open(inode: number, openFlags: number, privilegeLoss?: PrivilegeLoss): Promise<FileHandle>;
  /** The inode behind a handle; EBADF. */
  inodeOf(handle: FileHandle): number;
  /**
   * Up to `length` bytes at `offset`, fewer only at the end of the file. The pieces must not be changed.
   * @param loans what the pieces may be borrowed by; without it they are the caller's
   */
  read(handle: FileHandle, offset: number, length: number, loans?: Loans): Promise<Payload>;
  /**
   * lseek(2) with SEEK_DATA or SEEK_HOLE: the first offset at or after `offset` where there is data, or a hole (the end of
   * the file counts as one). ENXIO at or beyond the end, or when no data follows.
   */
  seek(handle: FileHandle, offset: number, wanted: 'data' | 'hole'): Promise<number>;
  /**
   * fallocate(2).
   * @param mode FallocateFlag bits; EOPNOTSUPP for other ones. Nothing is reserved: ENOSPC only when the cluster has not
   *   as much room at this moment
   */
  fallocate(
    handle: FileHandle,
    mode: number,
    offset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<void>;
  /**
   * copy_file_range(2), without moving a byte. Returns how many bytes were copied; fewer than `length` where the source
   * ends. EOPNOTSUPP when the caller had better copy what little there is by reading and writing.
   */
  copyRange(
    source: FileHandle,
    offset: number,
    target: FileHandle,
    targetOffset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<number>;
  /**
   * Writes `data`, whose memory the caller may use again afterwards. Returns the bytes taken: always all. An error of
   * an earlier write that was discovered later is told once, here or by `flush` or `fsync`.
   * @param offset when appending only where the caller takes the end of the file to be: the data goes to the real end,
   *   behind what other clients append at the same time
   */
  write(handle: FileHandle, offset: number, data: Uint8Array, options?: WriteOptions): Promise<number>;
  /**
   * What close(2) does: everything written is committed, so that every client that opens the file sees it, and the
   * POSIX locks of `lockOwner` on the file are released.
   */
  flush(handle: FileHandle, lockOwner?: string): Promise<void>;
  /** fsync(2): everything written is on stable storage on as many nodes as the goal says. */
  fsync(handle: FileHandle): Promise<void>;
  /**
   * The last close(2): gives the handle back, and releases the flock of `flockOwner` and every fcntl(2) lock that was taken
   * by the handle and not given back (F_OFD_SETLK).
   */
  release(handle: FileHandle, flockOwner?: string): Promise<void>;

  /**
   * flock(2), or fcntl(2) F_SETLK; with `wait` F_SETLKW: locks a range over all clients. EAGAIN, EDEADLK, ENOLCK, and
   * EINTR when `signal` comes before the lock. Who has the lock sees everything that was written before others gave it
   * up. A client that was away for so long that its locks were given to others answers EIO on the handles that were
   * open then.
   */
  lock(handle: FileHandle, lock: FileLock, wait: boolean, signal?: AbortSignal): Promise<void>;
  /** Unlocks a range, after everything written has been committed. */
  unlock(handle: FileHandle, lock: Omit<FileLock, 'type' | 'pid'>): Promise<void>;
  /** fcntl(2) F_GETLK: a lock that stands in the way of `lock`; the pid is 0 for a process of another client. */
  testLock(handle: FileHandle, lock: FileLock): Promise<FileLock | undefined>;
  /**
   * A directory was listed, or a symbolic link read, by a program: its access time moves if this mount's rule says so. What is
   * read by handle counts by itself, unless that was opened with O_NOATIME.
   */
  accessed(inode: number): void;
  /** syncfs(2): everything written through this client, by anybody, is on stable storage. */
  syncfs(): Promise<void>;
  /** fsync(2) of a directory: every change that was acknowledged is on stable storage. */
  fsyncDirectory(inode: number): Promise<void>;

  /**
   * One page of a directory in name order, without `.` and `..`; `after` is the last name of the page before.
   * @param limit the most entries; as many as go into one reply when left out
   */
  readdirPage(inode: number, after: Uint8Array, limit?: number): Promise<DirectoryPage>;
  /**
   * Names behind `after`, in name order, without `.` and `..`, as many as are there at once. Their attributes are not asked for; those of
   * directories mostly come along.
   */
  readNames(inode: number, after: Uint8Array): Promise<NamesPage>;
  /** All of a directory's entries in name order, without `.` and `..`. */
  readdir(inode: number): AsyncIterable<DirectoryEntry>;
  /** Every entry that is no directory below `root`, in path order; with `recursive` false only the directory's own entries. */
  list(root: number, recursive: boolean): AsyncIterable<ListedInode>;
  statfs(): Promise<Statfs>;

  getxattr(inode: number, name: Uint8Array): Promise<Buffer>;
  listxattr(inode: number): Promise<Buffer[]>;
  /**
   * @param flags XattrFlag bits, as for setxattr(2)
   * @param stripSetgid whoever sets an access ACL is not in the file's group, so that setgid goes
   */
  setxattr(
    inode: number,
    name: Uint8Array,
    value: Uint8Array,
    flags: number,
    stripSetgid?: boolean,
  ): Promise<void>;
  removexattr(inode: number, name: Uint8Array): Promise<void>;

  /** Undefined where another process cannot go on with it. */
  readonly handOver?: FileSystemHandOver | undefined;

  /** Commits everything written by anybody through this client, and ends the session; nothing after `leave`. May be called twice. */
  close(): Promise<void>;
}
