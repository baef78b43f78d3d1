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
  clone,
  fallocate,
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
  tmpfile,
  unlink,
  type NodeStatus,
} from '../protocol/metadata-commands.js';
import type { Attributes, PrivilegeLoss } from '../protocol/types.js';
import { BlockPool } from './block-pool.js';
import { DirtyBudget } from './dirty-budget.js';
import {
  FallocateFlag,
  type AttributeChanges,
  type Creation,
  type DirectoryEntry,
  type DirectoryPage,
  type FileHandle,
  type FileLock,
  type FileSystem,
  type KeepingLease,
  type ListedFile,
  type Statfs,
  type WriteOptions,
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
const DISPLACED_VERSION = 0;
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
      onDisplaced: inode => void this.#dropDisplaced(inode),
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
    vfs.#client.session.onSessionLost = () => vfs.#loseSession();
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
    const { session } = this.#client;
    const known = session.names.find(parent, name);
    if (known === 0) throw new DfsError('ENOENT', 'this client made the directory, and knows no such name');
    const kept = known === undefined ? undefined : session.attributes.get(known);
    if (kept) return this.#present(kept);
    const ticket = session.attributes.ticket();
    const { attributes } = await session.ask(lookup, { parent, name });
    session.attributes.keep(ticket, attributes);
    return this.#present(attributes);
  }

  async getattr(inode: number): Promise<Attributes> {
    return this.#present(await this.#client.session.getattr(inode));
  }

  async setattr(inode: number, changes: AttributeChanges): Promise<Attributes> {
    if ((changes.size ?? 0) > MAX_FILE_BYTES) {
      throw new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
    }
    const file = this.#files.get(inode);
    const isContent = changes.size !== undefined || changes.mtime !== undefined;
    // What was written before must not be committed after: it would bring back the old size or time.
    // A write of before takes privileges away, but not those that are given after it.
    if (file && (isContent || (changes.mode !== undefined && file.privilegeLoss))) await file.flush();
    const { attributes } = await this.#client.session.execute(setattr, { inode, ...changes });
    return this.#present(attributes);
  }

  async readlink(inode: number): Promise<Buffer> {
    const { target } = await this.#client.session.ask(readlink, { inode });
    return Buffer.from(target);
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    const request = { parent, name, ...creation, rdev, open: false, exclusive: true };
    const { attributes } = await this.#naming([parent], this.#client.session.execute(mknod, request));
    this.#client.session.names.linked(parent, name, attributes.inode);
    return attributes;
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    const { session } = this.#client;
    const ticket = session.lease.ticket();
    const request = { parent, name, ...creation };
    const { attributes } = await this.#naming([parent], session.execute(mkdir, request));
    session.names.linked(parent, name, attributes.inode);
    session.names.created(ticket, attributes.inode);
    return attributes;
  }

  async symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<Attributes> {
    const { uid, gid } = owner;
    const { session } = this.#client;
    const request = { parent, name, target, uid, gid };
    const { attributes } = await this.#naming([parent], session.execute(symlink, request));
    session.names.linked(parent, name, attributes.inode);
    return attributes;
  }

  async link(inode: number, parent: number, name: Uint8Array): Promise<Attributes> {
    const { session } = this.#client;
    const { attributes } = await this.#naming([parent], session.execute(link, { inode, parent, name }));
    session.names.linked(parent, name, inode);
    return this.#present(attributes);
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    const { session } = this.#client;
    const { inode, nlink } = await this.#naming([parent], session.execute(unlink, { parent, name }));
    session.names.unlinked(parent, name);
    if (nlink === 0 && !this.#files.has(inode)) this.#extents.delete(inode);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    const { session } = this.#client;
    const { inode } = await this.#naming([parent], session.execute(rmdir, { parent, name }));
    session.names.unlinked(parent, name);
    session.names.forget(inode);
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): Promise<void> {
    const { session } = this.#client;
    const request = { parent, name, newParent, newName, flags };
    const { inode, replaced } = await this.#naming([parent, newParent], session.execute(rename, request));
    const { names } = session;
    // Exchanged, or perhaps two names of one file, which stay as they are.
    if (replaced === 0 && names.find(newParent, newName) !== 0) {
      names.forget(parent);
      names.forget(newParent);
      return;
    }
    names.unlinked(parent, name);
    names.linked(newParent, newName, inode);
    names.forget(replaced);
  }

  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { goal, chunkBytes } = this.#options;
    const { session, grants } = this.#client;
    const creating = session.execute(put, {
      parent,
      name,
      ...creation,
      exclusive,
      count: grants.wanted(goal),
      goal,
      maxBytes: chunkBytes,
      exclude: this.#client.nodes.distrusted(),
    });
    const reply = await this.#naming([parent], creating);
    grants.add(goal, reply.grants, reply.nodes);
    const { inode } = reply.attributes;
    session.names.linked(parent, name, inode);
    if (!reply.created) {
      // Another handle's last close may have been on its way while `put` opened the file.
      const handle = await this.open(inode, openFlags, privilegeLoss).catch((error: unknown) => {
        // Gone since `put` found it; with ESTALE whoever asked looks again.
        throw hasCode(error, 'ENOENT') ? new DfsError('ESTALE', 'the file was removed meanwhile') : error;
      });
      return { handle, attributes: await this.getattr(inode) };
    }
    session.noteOpen(inode);
    return { handle: this.#addHandle(reply.attributes, openFlags, true), attributes: reply.attributes };
  }

  async tmpfile(
    directory: number,
    creation: Creation,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { session } = this.#client;
    const request = { parent: directory, ...creation, goal: this.#options.goal };
    const { attributes } = await session.execute(tmpfile, request);
    session.noteOpen(attributes.inode);
    return { handle: this.#addHandle(attributes, openFlags, true), attributes };
  }

  async open(inode: number, openFlags: number, privilegeLoss?: PrivilegeLoss): Promise<FileHandle> {
    const attributes = await this.#client.session.open(inode);
    if (!isRegularFile(attributes.mode)) {
      await this.#client.session.release(inode);
      throw new DfsError('EINVAL', 'only regular files are opened through DFS');
    }
    const handle = this.#addHandle(attributes, openFlags);
    // An empty file as well: POSIX open() marks its times, and somebody here may have written what is not committed.
    if ((openFlags & constants.O_TRUNC) !== 0) {
      await this.setattr(inode, { size: 0, ...(privilegeLoss ? { privilegeLoss } : {}) });
    }
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

  async write(
    handle: FileHandle,
    offset: number,
    data: Uint8Array,
    { isAppend, privilegeLoss }: WriteOptions = {},
  ): Promise<number> {
    const open = this.#usableHandle(handle);
    if (accessMode(open.flags) === constants.O_RDONLY) throw new DfsError('EBADF', 'not open for writing');
    this.#tellFailure(open);
    const isAtEnd = isAppend ?? (open.flags & constants.O_APPEND) !== 0;
    if (isAtEnd) await open.file.append(offset, data, privilegeLoss);
    else await open.file.write(offset, data, privilegeLoss);
    return data.length;
  }

  async seek(handle: FileHandle, offset: number, wanted: 'data' | 'hole'): Promise<number> {
    return await this.#usableHandle(handle).file.seek(offset, wanted);
  }

  async fallocate(
    handle: FileHandle,
    mode: number,
    offset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<void> {
    const { file, flags } = this.#usableHandle(handle);
    if (accessMode(flags) === constants.O_RDONLY) throw new DfsError('EBADF', 'not open for writing');
    const { keepSize, punchHole, zeroRange } = FallocateFlag;
    const zero = (mode & (punchHole | zeroRange)) !== 0;
    const isHole = (mode & punchHole) !== 0;
    const isKnown = (mode & ~(keepSize | punchHole | zeroRange)) === 0;
    // fallocate(2): FALLOC_FL_PUNCH_HOLE goes with FALLOC_FL_KEEP_SIZE, and with nothing else.
    if (!isKnown || (isHole && mode !== (punchHole | keepSize))) {
      throw new DfsError('EOPNOTSUPP', `fallocate(2) with mode ${mode} is not known here`);
    }
    if (!zero && length > (await this.statfs()).freeBytes) {
      throw new DfsError('ENOSPC', `the data nodes do not have ${length} bytes`);
    }
    await file.flush();
    const request = {
      inode: file.inode,
      offset,
      length,
      zero,
      keepSize: (mode & keepSize) !== 0,
      ...(privilegeLoss ? { privilegeLoss } : {}),
    };
    const { attributes } = await this.#client.session.execute(fallocate, request);
    file.note(attributes);
  }

  async copyRange(
    source: FileHandle,
    offset: number,
    target: FileHandle,
    targetOffset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<number> {
    const from = this.#usableHandle(source);
    const to = this.#usableHandle(target);
    if (accessMode(from.flags) === constants.O_WRONLY) throw new DfsError('EBADF', 'not open for reading');
    if (accessMode(to.flags) === constants.O_RDONLY) throw new DfsError('EBADF', 'not open for writing');
    await Promise.all([from.file.flush(), to.file.flush()]);
    const request = {
      source: from.file.inode,
      offset,
      length,
      target: to.file.inode,
      targetOffset,
      ...(privilegeLoss ? { privilegeLoss } : {}),
    };
    const { attributes, copied } = await this.#client.session.execute(clone, request);
    to.file.note(attributes);
    return copied;
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

  async setxattr(
    inode: number,
    name: Uint8Array,
    value: Uint8Array,
    flags: number,
    stripSetgid = false,
  ): Promise<void> {
    const file = this.#files.get(inode);
    if (file) file.hasNoCapability = false;
    // As in setattr: a write of before must not take them away.
    if (file?.privilegeLoss && CAPABILITY.equals(name)) await file.flush();
    await this.#client.session.execute(setxattr, { inode, name, value, flags, stripSetgid });
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

  /** A change of names in these directories: when it fails, nobody knows which are there. */
  async #naming<Reply>(directories: readonly number[], changing: Promise<Reply>): Promise<Reply> {
    try {
      return await changing;
    } catch (error) {
      for (const directory of directories) this.#client.session.names.forget(directory);
      throw error;
    }
  }

  /** Another client changed these. */
  #drop(revocation: Revocation): void {
    for (const { inode, version } of revocation.inodes) {
      this.#files.get(inode)?.mayBeStale();
      // A reply that tells an older version is not taken over any more.
      this.#extents.get(inode)?.overtake(version);
    }
  }

  /** Written bytes are not where they were shown: who kept them must not go on showing them. */
  async #dropDisplaced(inode: number): Promise<void> {
    const lost = {
      inodes: [{ inode, version: DISPLACED_VERSION }],
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

  /** Others have gone on without this client: what it has not committed must not be put on top of what they did. */
  #loseSession(): void {
    const reason = new DfsError(
      'EIO',
      'the metadata server gave this client up, which was away for too long',
    );
    for (const file of this.#files.values()) file.abandonWrites(reason);
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
