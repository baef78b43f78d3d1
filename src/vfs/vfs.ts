/** POSIX on top of the client library (see FileSystem for what each method promises). */
import { constants } from 'node:fs';
import pLimit from 'p-limit';
import { LRUCache } from 'lru-cache';
import type { CacheKeeper, Revocation } from '../client/cache-lease.js';
import { Client } from '../client/client.js';
import { ExtentMap } from '../client/extent-map.js';
import type { Timer } from '../platform/clock.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { isRegularFile, ROOT_INODE } from '../protocol/file-mode.js';
import type { Payload } from '../protocol/frame.js';
import { MAX_DIRECTORY_PAGE, MAX_FILE_BYTES } from '../protocol/limits.js';
import {
  getattr,
  getxattr,
  link,
  list,
  listxattr,
  lookup,
  mkdir,
  mknod,
  nodes,
  put,
  readdir,
  readlink,
  removexattr,
  rename,
  rmdir,
  setattr,
  setxattr,
  statfs,
  symlink,
  sync,
  unlink,
  type NodeStatus,
} from '../protocol/metadata-commands.js';
import type { Attributes } from '../protocol/types.js';
import { BlockPool } from './block-pool.js';
import { DirtyBudget } from './dirty-budget.js';
import type {
  AttributeChanges,
  Creation,
  DirectoryEntry,
  DirectoryPage,
  FileHandle,
  FileLock,
  FileSystem,
  KeepingLease,
  ListedFile,
  Statfs,
} from './file-system.js';
import type { WriterSurroundings } from './file-writer.js';
import { OpenFile } from './open-file.js';
import { walk } from './path-walk.js';
import { ReadAhead } from './read-ahead.js';
import type { VfsOptions } from './vfs-options.js';

/** Chunks being stored at once: enough to keep every node and both directions of the network busy. */
const STORES_AT_ONCE = 8;
/** Written data does not wait longer than this before it is sent, whether or not a chunk is full. */
const MAX_DIRTY_AGE_MS = 500;
const DIRTY_CHECK_MS = 250;
/** Files whose extents are remembered after they are closed. */
const REMEMBERED_FILES = 4096;
/** No version that a file has (the first is 1), so that its content counts as changed. */
const LOST_VERSION = 0;
const CAPABILITY = Buffer.from('security.capability');

interface Handle {
  readonly file: OpenFile;
  readonly flags: number;
  readonly readAhead: ReadAhead;
  /** Failures of the file that this handle has been told of, or that are older than it. */
  toldFailures: number;
  /** Others may have had a lock of this client on the file: what the handle's user believes of it may be false. */
  hasLostLock: boolean;
}

export class Vfs implements FileSystem {
  readonly #client: Client;
  readonly #options: VfsOptions;
  readonly #shared: WriterSurroundings;
  /** handle → the open file behind it */
  readonly #handles = new Map<FileHandle, Handle>();
  /** inode → the file, while any handle has it open */
  readonly #files = new Map<number, OpenFile>();
  /** inode → its extents, as far as known */
  readonly #extents = new LRUCache<number, ExtentMap>({ max: REMEMBERED_FILES });
  /** Files that are being given back. */
  readonly #releasing = new Set<Promise<void>>();
  /** inode → flocks on it that are being released, which close(2) does not wait for */
  readonly #flocksGoing = new Map<number, Promise<unknown>>();
  readonly #keepers = new Set<CacheKeeper>();
  #nextHandle = 1;
  #dirtyTimer: Timer | undefined;
  #isClosed = false;

  private constructor(client: Client, options: VfsOptions) {
    this.#client = client;
    this.#options = options;
    this.#shared = {
      client,
      budget: new DirtyBudget(options.dirtyBytes, () => this.#sealAll(0)),
      pool: new BlockPool(options.dirtyBytes),
      clock: options.clock,
      goal: options.goal,
      chunkBytes: options.chunkBytes,
      storeLimit: pLimit(STORES_AT_ONCE),
      onLost: inode => void this.#dropLostWrites(inode),
    };
    client.session.lease.addKeeper({
      drop: async revocation => this.#drop(revocation),
      dropAll: async () => {
        for (const file of this.#files.values()) file.mayBeStale();
        this.#extents.forEach(extents => extents.clear());
      },
    });
  }

  /** Connects and begins a session. ECONNREFUSED, EHOSTUNREACH, EACCES, … when that fails. */
  static async open(options: VfsOptions): Promise<Vfs> {
    const vfs = new Vfs(await Client.open(options), options);
    vfs.#client.session.onLocksLost = inodes => vfs.#loseLocks(inodes);
    vfs.#scheduleDirtyCheck();
    return vfs;
  }

  async keepCaches(keeper: CacheKeeper): Promise<KeepingLease> {
    const { session } = this.#client;
    const { lease } = session;
    lease.addKeeper(keeper);
    this.#keepers.add(keeper);
    try {
      await session.beginCaching();
    } catch (error) {
      this.endCaches(keeper);
      throw error;
    }
    return {
      ticket: () => lease.ticket(),
      mayKeepNames: (ticket, directory) => lease.mayKeep(ticket, directory),
      // What is written but not committed gets other times and another size by being committed.
      mayKeepAttributes: (ticket, inode) =>
        lease.mayKeep(ticket, inode) && this.#files.get(inode)?.isDirty !== true,
      mayKeepContent: (ticket, inode) => lease.mayKeep(ticket, inode),
    };
  }

  endCaches(keeper: CacheKeeper): void {
    this.#client.session.lease.removeKeeper(keeper);
    this.#keepers.delete(keeper);
  }

  async resolve(names: readonly Uint8Array[], from = ROOT_INODE, followLinks = false): Promise<Attributes> {
    return this.#present(await walk(this.#client.session, names, from, followLinks));
  }

  async lookup(parent: number, name: Uint8Array): Promise<Attributes> {
    const { attributes } = await this.#client.session.ask(lookup, { parent, name });
    return this.#present(attributes);
  }

  async getattr(inode: number): Promise<Attributes> {
    const { attributes } = await this.#client.session.ask(getattr, { inode });
    return this.#present(attributes);
  }

  async setattr(inode: number, changes: AttributeChanges): Promise<Attributes> {
    if ((changes.size ?? 0) > MAX_FILE_BYTES) {
      throw new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
    }
    const file = this.#files.get(inode);
    const isContent = changes.size !== undefined || changes.mtime !== undefined;
    // What was written before must not be committed after: it would bring back the old size or time.
    if (file && isContent) await file.flush();
    const { attributes } = await this.#client.session.execute(setattr, { inode, ...changes });
    return this.#present(attributes);
  }

  async readlink(inode: number): Promise<Buffer> {
    const { target } = await this.#client.session.ask(readlink, { inode });
    return Buffer.from(target);
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    const { mode, uid, gid } = creation;
    const request = { parent, name, mode, uid, gid, rdev, open: false, exclusive: true };
    const { attributes } = await this.#client.session.execute(mknod, request);
    return attributes;
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    const { mode, uid, gid } = creation;
    const { attributes } = await this.#client.session.execute(mkdir, { parent, name, mode, uid, gid });
    return attributes;
  }

  async symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Omit<Creation, 'mode'>,
  ): Promise<Attributes> {
    const { uid, gid } = owner;
    const { attributes } = await this.#client.session.execute(symlink, { parent, name, target, uid, gid });
    return attributes;
  }

  async link(inode: number, parent: number, name: Uint8Array): Promise<Attributes> {
    const { attributes } = await this.#client.session.execute(link, { inode, parent, name });
    return this.#present(attributes);
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    const { inode, nlink } = await this.#client.session.execute(unlink, { parent, name });
    if (nlink === 0 && !this.#files.has(inode)) this.#extents.delete(inode);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    await this.#client.session.execute(rmdir, { parent, name });
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): Promise<void> {
    await this.#client.session.execute(rename, { parent, name, newParent, newName, flags });
  }

  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { goal, chunkBytes } = this.#options;
    const { session, grants } = this.#client;
    const { mode, uid, gid } = creation;
    const reply = await session.execute(put, {
      parent,
      name,
      mode,
      uid,
      gid,
      exclusive,
      count: grants.wanted(goal),
      goal,
      maxBytes: chunkBytes,
      exclude: this.#client.nodes.distrusted(),
    });
    grants.add(goal, reply.grants, reply.nodes);
    const { inode } = reply.attributes;
    if (!reply.created) {
      // Another handle's last close may have been on its way while `put` opened the file.
      const handle = await this.open(inode, openFlags);
      return { handle, attributes: await this.getattr(inode) };
    }
    session.noteOpen(inode);
    return { handle: this.#addHandle(reply.attributes, openFlags, true), attributes: reply.attributes };
  }

  async open(inode: number, openFlags: number): Promise<FileHandle> {
    const attributes = await this.#client.session.open(inode);
    if (!isRegularFile(attributes.mode)) {
      await this.#client.session.release(inode);
      throw new DfsError('EINVAL', 'only regular files are opened through DFS');
    }
    const handle = this.#addHandle(attributes, openFlags);
    if ((openFlags & constants.O_TRUNC) !== 0 && attributes.size > 0) await this.setattr(inode, { size: 0 });
    return handle;
  }

  inodeOf(handle: FileHandle): number {
    return this.#handle(handle).file.inode;
  }

  async read(handle: FileHandle, offset: number, length: number): Promise<Payload> {
    const { file, readAhead, flags } = this.#usableHandle(handle);
    if (accessMode(flags) === constants.O_WRONLY) throw new DfsError('EBADF', 'not open for reading');
    return await file.read(readAhead, offset, length);
  }

  async write(handle: FileHandle, offset: number, data: Uint8Array): Promise<number> {
    const open = this.#usableHandle(handle);
    if (accessMode(open.flags) === constants.O_RDONLY) throw new DfsError('EBADF', 'not open for writing');
    this.#tellFailure(open);
    await open.file.write(offset, data);
    return data.length;
  }

  async flush(handle: FileHandle, lockOwner?: string): Promise<void> {
    const open = this.#handle(handle);
    await open.file.flush();
    if (lockOwner !== undefined) await this.#client.locks.unlock(open.file.inode, 'posix', lockOwner);
    this.#tellFailure(open);
  }

  async fsync(handle: FileHandle): Promise<void> {
    const open = this.#usableHandle(handle);
    await open.file.fsync();
    this.#tellFailure(open);
  }

  async release(handle: FileHandle, flockOwner?: string): Promise<void> {
    const { file } = this.#handle(handle);
    this.#handles.delete(handle);
    const releasing = this.#release(file, flockOwner);
    this.#releasing.add(releasing);
    try {
      await releasing;
    } finally {
      this.#releasing.delete(releasing);
    }
  }

  async lock(handle: FileHandle, lock: FileLock, wait: boolean, signal?: AbortSignal): Promise<void> {
    const { file } = this.#usableHandle(handle);
    const { inode } = file;
    // A write lock that becomes a read lock lets others read.
    if (lock.type === 'read') await file.flush();
    await this.#flocksGoing.get(inode);
    await this.#client.locks.lock({ inode, ...lock }, wait, signal);
    try {
      // What others wrote while they had the lock is to be seen from here on.
      await this.getattr(inode);
    } catch (error) {
      await this.#client.locks.unlock(inode, lock.kind, lock.owner, lock.start, lock.end);
      throw error;
    }
  }

  async unlock(
    handle: FileHandle,
    { kind, owner, start, end }: Omit<FileLock, 'type' | 'pid'>,
  ): Promise<void> {
    const { file } = this.#handle(handle);
    await file.flush();
    await this.#client.locks.unlock(file.inode, kind, owner, start, end);
  }

  async testLock(handle: FileHandle, lock: FileLock): Promise<FileLock | undefined> {
    const { inode } = this.#handle(handle).file;
    await this.#flocksGoing.get(inode);
    return await this.#client.locks.test({ inode, ...lock });
  }

  async #release(file: OpenFile, flockOwner: string | undefined): Promise<void> {
    if (flockOwner === undefined) await file.flush();
    else await this.#releaseFlock(file, flockOwner);
    file.handles -= 1;
    if (file.handles === 0) {
      this.#files.delete(file.inode);
      // Of a lock that was granted while another thread closed the file, nobody else would hear again.
      await this.#client.locks.unlockAll(file.inode);
    }
    await this.#client.session.release(file.inode);
  }

  async fsyncDirectory(_inode: number): Promise<void> {
    await this.#client.session.ask(sync, {});
  }

  async readdirPage(inode: number, after: Uint8Array, limit = MAX_DIRECTORY_PAGE): Promise<DirectoryPage> {
    const request = { inode, after, limit: Math.min(limit, MAX_DIRECTORY_PAGE) };
    const page = await this.#client.session.ask(readdir, request);
    const entries = page.entries.map(({ name, attributes }) => ({
      name: Buffer.from(name),
      attributes: this.#present(attributes),
    }));
    return { entries, parent: page.parent, isLast: page.end };
  }

  async *readdir(inode: number): AsyncGenerator<DirectoryEntry> {
    let after: Uint8Array = new Uint8Array();
    for (;;) {
      const page = await this.readdirPage(inode, after);
      yield* page.entries;
      const last = page.entries.at(-1);
      if (page.isLast || !last) return;
      after = last.name;
    }
  }

  async *list(root: number, recursive: boolean): AsyncGenerator<ListedFile> {
    let after: Uint8Array[] = [];
    for (;;) {
      const request = { root, after, limit: MAX_DIRECTORY_PAGE, recursive };
      const page = await this.#client.session.ask(list, request);
      for (const { path, attributes } of page.entries) {
        yield { path: path.map(name => Buffer.from(name)), attributes: this.#present(attributes) };
      }
      const last = page.entries.at(-1);
      if (page.end || !last) return;
      after = last.path;
    }
  }

  async statfs(): Promise<Statfs> {
    return await this.#client.session.ask(statfs, {});
  }

  async getxattr(inode: number, name: Uint8Array): Promise<Buffer> {
    const isCapability = CAPABILITY.equals(name);
    const file = isCapability ? this.#files.get(inode) : undefined;
    if (file?.hasNoCapability) throw new DfsError('ENODATA', 'the file has no capabilities');
    const { lease } = this.#client.session;
    const ticket = lease.ticket();
    try {
      const { value } = await this.#client.session.ask(getxattr, { inode, name });
      return Buffer.from(value);
    } catch (error) {
      if (file && hasCode(error, 'ENODATA') && lease.ticket() === ticket) file.hasNoCapability = true;
      throw error;
    }
  }

  async listxattr(inode: number): Promise<Buffer[]> {
    const { names } = await this.#client.session.ask(listxattr, { inode });
    return names.map(name => Buffer.from(name));
  }

  async setxattr(inode: number, name: Uint8Array, value: Uint8Array, flags: number): Promise<void> {
    const file = this.#files.get(inode);
    if (file) file.hasNoCapability = false;
    await this.#client.session.execute(setxattr, { inode, name, value, flags });
    if (file) file.hasNoCapability = false;
  }

  async removexattr(inode: number, name: Uint8Array): Promise<void> {
    await this.#client.session.execute(removexattr, { inode, name });
  }

  async nodes(): Promise<NodeStatus[]> {
    const reply = await this.#client.session.ask(nodes, {});
    return reply.nodes;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#dirtyTimer?.cancel();
    // All at once, so that a server that is away is waited for once.
    const released = await Promise.allSettled(
      [...this.#handles].map(async ([number, open]) => {
        await this.release(number);
        this.#tellFailure(open);
      }),
    );
    await Promise.allSettled(this.#releasing);
    await this.#client.close();
    const failure = released.find(result => result.status === 'rejected');
    if (failure) throw toDfsError(failure.reason);
  }

  /** Another client changed these. */
  #drop(revocation: Revocation): void {
    for (const { inode, version } of revocation.inodes) {
      this.#files.get(inode)?.mayBeStale();
      // A reply that tells an older version is not taken over any more.
      this.#extents.get(inode)?.overtake(version);
    }
  }

  /** Written data could not be stored: who kept it must not go on showing it. */
  async #dropLostWrites(inode: number): Promise<void> {
    const lost = {
      inodes: [{ inode, version: LOST_VERSION }],
      names: [],
      directories: [],
      everything: false,
    };
    await Promise.all([...this.#keepers].map(async keeper => await keeper.drop(lost)));
  }

  #present(attributes: Attributes): Attributes {
    return this.#files.get(attributes.inode)?.present(attributes) ?? attributes;
  }

  #addHandle(attributes: Attributes, flags: number, isNew = false): FileHandle {
    const { inode } = attributes;
    let file = this.#files.get(inode);
    if (!file) {
      const extents = this.#extents.get(inode) ?? new ExtentMap();
      this.#extents.set(inode, extents);
      file = new OpenFile(attributes, isNew, extents, this.#shared);
      this.#files.set(inode, file);
    }
    file.note(attributes);
    file.handles += 1;
    const handle = this.#takeNumber();
    this.#handles.set(handle, {
      file,
      flags,
      readAhead: new ReadAhead(this.#options.readAheadBytes),
      toldFailures: file.failures,
      hasLostLock: false,
    });
    return handle;
  }

  /** Handles fit 31 bits, which is what libfuse's callers keep them in. */
  #takeNumber(): FileHandle {
    do {
      this.#nextHandle = this.#nextHandle >= 0x7fff_ffff ? 1 : this.#nextHandle + 1;
    } while (this.#handles.has(this.#nextHandle));
    return this.#nextHandle;
  }

  #handle(handle: FileHandle): Handle {
    const open = this.#handles.get(handle);
    if (!open) throw new DfsError('EBADF', `no file is open as ${handle}`);
    return open;
  }

  /** EIO when the handle is from before a lock was lost. */
  #usableHandle(handle: FileHandle): Handle {
    const open = this.#handle(handle);
    if (open.hasLostLock) throw lostLock();
    return open;
  }

  #loseLocks(inodes: readonly number[]): void {
    const lost = new Set(inodes);
    for (const open of this.#handles.values()) {
      if (!lost.has(open.file.inode)) continue;
      open.hasLostLock = true;
      open.file.abandonWrites(lostLock());
    }
  }

  async #releaseFlock(file: OpenFile, owner: string): Promise<void> {
    const { inode } = file;
    const earlier = this.#flocksGoing.get(inode);
    const going = (async () => {
      await earlier;
      await file.flush();
      await this.#client.locks.unlock(inode, 'flock', owner);
    })();
    // Who locks next only wants it to be over; whoever gives the file back hears what went wrong.
    const over = going.catch(() => undefined);
    this.#flocksGoing.set(inode, over);
    try {
      await going;
    } finally {
      if (this.#flocksGoing.get(inode) === over) this.#flocksGoing.delete(inode);
    }
  }

  /** An error of a write that was already taken is told once to each handle, as fsync(2) has it. */
  #tellFailure(open: Handle): void {
    if (open.toldFailures === open.file.failures) return;
    open.toldFailures = open.file.failures;
    throw open.file.lastFailure ?? new DfsError('EIO', 'an earlier write failed');
  }

  #sealAll(ageMs: number): void {
    for (const file of this.#files.values()) file.sealOlderThan(ageMs);
  }

  #scheduleDirtyCheck(): void {
    const check = (): void => {
      this.#sealAll(MAX_DIRTY_AGE_MS);
      if (!this.#isClosed) this.#scheduleDirtyCheck();
    };
    this.#dirtyTimer = this.#options.clock.setTimer(DIRTY_CHECK_MS, check, true);
  }
}

function accessMode(flags: number): number {
  return flags & (constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR);
}

function lostLock(): DfsError {
  return new DfsError(
    'EIO',
    'this client was away for so long that its lock on the file was given to others; open the file anew',
  );
}
