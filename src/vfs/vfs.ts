/** POSIX on top of the client library (see FileSystem for what each method promises). */
import type { CacheKeeper } from '../client/leases/cache-lease.js';
import { Client } from '../client/client.js';
import { ClusterControl } from '../client/cluster-control.js';
import type { ListedInode } from '../client/namespace/list.js';
import * as namespace from '../client/namespace/namespace.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import type { Loans } from '../platform/loans.js';
import { DfsError } from '../protocol/errors.js';
import type { Rights } from '../protocol/export-commands.js';
import { ROOT_INODE } from '../protocol/file-mode.js';
import { callerInCluster, givenInCluster, ownerInCluster } from '../rules/export-identities.js';
import { clampTime } from '../rules/file-time.js';
import type { Payload } from '../protocol/frame.js';
import { MAX_DIRECTORY_PAGE, MAX_FILE_BYTES } from '../protocol/limits.js';
import { statfs } from '../protocol/namespace-commands.js';
import type { Attributes, Caller, PrivilegeLoss } from '../protocol/types.js';
import { AccessRecorder, reportBy } from './access-reports.js';
import { AccessTimes } from './access-times.js';
import { CacheKeepers } from './cache-keepers.js';
import { Directories } from './directories.js';
import { FileOpener, type Opened } from './file-opener.js';
import type {
  AttributeChanges,
  Creation,
  DirectoryEntry,
  DirectoryPage,
  FileHandle,
  FileLock,
  FileSystem,
  FileSystemHandOver,
  ImmediateAnswers,
  KeepingLease,
  NamesPage,
  Statfs,
  WriteOptions,
} from './file-system.js';
import { FileXattrs } from './file-xattrs.js';
import { immediateAnswers } from './immediate-answers.js';
import { withPresent } from './names-page.js';
import { OpenFiles } from './open-files.js';
import { walk } from './path-walk.js';
import type { VfsOptions } from './vfs-options.js';

/** What a Vfs has in common with those that `as` made of it. */
interface Shared {
  readonly client: Client;
  readonly files: OpenFiles;
  readonly opener: FileOpener;
  readonly xattrs: FileXattrs;
  readonly directories: Directories;
  readonly keepers: CacheKeepers;
  /** Undefined when reading moves no access times. */
  readonly accessTimes: AccessTimes | undefined;
  readonly accesses: AccessRecorder | undefined;
  /** Every change is refused. */
  readonly readOnly: boolean;
  isClosed: boolean;
}

export class Vfs implements FileSystem {
  readonly #shared: Shared;
  readonly #client: Client;
  readonly #session: MetadataSession;
  readonly #files: OpenFiles;
  readonly cluster: ClusterControl;
  /** What each request that may be refused says of who asks. */
  readonly #by: namespace.By;

  private constructor(shared: Shared, caller: Caller | undefined) {
    this.#shared = shared;
    this.#client = shared.client;
    this.#session = shared.client.session;
    this.#files = shared.files;
    this.cluster = new ClusterControl(this.#session);
    this.#by = caller ? byOf(caller, this.#session.rights) : {};
  }

  /** Connects and begins a session. ECONNREFUSED, EHOSTUNREACH, EACCES, … when that fails. */
  static async open(options: VfsOptions): Promise<Vfs> {
    const { goal, chunkBytes, atime, clock, readOnly = false, taken } = options;
    const client = await Client.open({ ...options, begun: taken?.session });
    const { session, log, grants, nodes, budget, cacheSizes } = client;
    const directories = new Directories(session);
    const shown = {
      onDisplaced: (inode: number): void => void keepers.displaced(inode),
      onLanded: (inode: number): void => void keepers.landed(inode),
    };
    const times =
      atime === 'relatime' && !readOnly
        ? new AccessTimes({
            clock,
            now: () => session.serverClock.now(),
            log,
            send: reportBy(session),
            learn: told => files.get(told.inode)?.note(told),
          })
        : undefined;
    const files: OpenFiles = new OpenFiles(client, options, directories, shown, times);
    if (taken) files.restore(taken.files);
    const present = (attributes: Attributes): Attributes => files.present(attributes);
    const keepers = new CacheKeepers({
      lease: session.lease,
      attributes: session.attributes,
      budget,
      cacheSizes,
      beginCaching: async () => await session.beginCaching(),
      files,
      accessTimes: times,
    });
    const empty = async (inode: number, privilegeLoss: PrivilegeLoss | undefined): Promise<void> => {
      await root.setattr(inode, { size: 0, ...(privilegeLoss ? { privilegeLoss } : {}) });
    };
    const shared: Shared = {
      client,
      files,
      opener: new FileOpener({ session, grants, nodes, files, goal, chunkBytes, empty, readOnly }),
      xattrs: new FileXattrs({ session, files }),
      directories,
      keepers,
      accessTimes: times,
      accesses: times && new AccessRecorder({ times, session, present, log }),
      readOnly,
      isClosed: false,
    };
    const root: Vfs = new Vfs(shared, undefined);
    return new Vfs(shared, options.caller);
  }

  get immediate(): ImmediateAnswers {
    return immediateAnswers({ ...this.#shared, session: this.#session, by: this.#by });
  }

  get rights(): Rights | undefined {
    return this.#session.rights;
  }

  as(caller: Caller | undefined): FileSystem {
    return new Vfs(this.#shared, caller);
  }

  /** Whether this client has the inode to itself, and answers before it has told the metadata server (client/log/change-log.ts). */
  hasToItself(inode: number): boolean {
    const { changes, held } = this.#session;
    return changes.isOpen && held.has(inode);
  }

  async keepCaches(keeper: CacheKeeper): Promise<KeepingLease> {
    return await this.#shared.keepers.begin(keeper);
  }

  endCaches(keeper: CacheKeeper): void {
    this.#shared.keepers.end(keeper);
  }

  async resolve(names: readonly Uint8Array[], from = ROOT_INODE, followLinks = false): Promise<Attributes> {
    return this.#files.present(
      await walk(this.#session, names, { from, isFollowing: followLinks, ...this.#by }),
    );
  }

  async lookup(parent: number, name: Uint8Array): Promise<Attributes> {
    const attributes = await this.#shared.directories.lookup(parent, name, this.#by);
    this.#files.found(parent, name, attributes);
    return this.#files.present(attributes);
  }

  async getattr(inode: number): Promise<Attributes> {
    return this.#files.present(await this.#session.getattr(inode));
  }

  async setattr(inode: number, changes: AttributeChanges): Promise<Attributes> {
    if ((changes.size ?? 0) > MAX_FILE_BYTES) {
      throw new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
    }
    const file = this.#files.get(inode);
    const { size, mode, mtime } = changes;
    // A write of before takes privileges away, but not those that are given after it.
    if (file?.privilegeLoss && mode !== undefined) await file.settledInTime();
    if (changes.atime !== undefined) this.#shared.accessTimes?.forget(inode);
    const attributes = await namespace.setattr(
      this.#session,
      { inode, ...withPossibleTimes(this.#given(changes)), ...this.#by },
      {
        mayDecide: () => !file || (size === undefined ? mtime === undefined || file.maySetTime : file.mayCut),
        extents: () => this.#files.extentsOf(inode),
        decided: (ahead, before) => {
          if (size !== undefined) this.#files.truncated(ahead, before?.size ?? 0);
          else if (mtime !== undefined) file?.setTime(ahead.mtime);
        },
        // What was written before must not bring back the old size, or the old time.
        commit: async () => {
          if (size !== undefined || mtime !== undefined) await file?.settledInTime();
        },
      },
    );
    return this.#files.present(attributes);
  }

  async readlink(inode: number): Promise<Buffer> {
    return await namespace.readlink(this.#session, inode);
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    return await namespace.mknod(this.#session, parent, name, this.#owned(creation), rdev, this.#by);
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    return await namespace.mkdir(this.#session, parent, name, this.#owned(creation), this.#by);
  }

  async symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<Attributes> {
    return await namespace.symlink(this.#session, parent, name, target, this.#owned(owner), this.#by);
  }

  async link(inode: number, parent: number, name: Uint8Array, replace = false): Promise<Attributes> {
    this.#requireWritable();
    await this.#files.closedOne(inode);
    return this.#files.present(await namespace.link(this.#session, inode, parent, name, replace, this.#by));
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    this.#requireWritable();
    const { inode, nlink } = await namespace.unlink(this.#session, parent, name, this.#by);
    if (nlink === 0) this.#files.forget(inode);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    this.#requireWritable();
    await namespace.rmdir(this.#session, parent, name, this.#by);
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
    whiteoutOwner?: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<void> {
    this.#requireWritable();
    // A program that writes a file and then gives it another's name must find the one or the other there after a crash.
    await this.#files.closedOne(this.#session.names.knows(parent, name));
    const owner = whiteoutOwner && this.#owned(whiteoutOwner);
    const options = {
      flags,
      whiteoutOwner: owner,
      isSettled: (inode: number) => this.#files.isSettled(inode),
    };
    await namespace.rename(this.#session, [parent, name], [newParent, newName], options, this.#by);
  }

  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<Opened> {
    const { opener } = this.#shared;
    const owned = this.#owned(creation);
    return await opener.create(parent, name, owned, exclusive, openFlags, privilegeLoss, this.#by);
  }

  async tmpfile(directory: number, creation: Creation, openFlags: number): Promise<Opened> {
    return await this.#shared.opener.tmpfile(directory, this.#owned(creation), openFlags, this.#by);
  }

  async fsyncDirectory(inode: number): Promise<void> {
    await this.#session.sync();
    this.#session.lost.tell(inode);
  }

  async readdirPage(inode: number, after: Uint8Array, limit = MAX_DIRECTORY_PAGE): Promise<DirectoryPage> {
    const page = await this.#shared.directories.page(inode, after, limit, this.#by);
    const entries = page.entries.map(({ name, attributes }) => {
      this.#files.found(inode, name, attributes);
      return { name, attributes: this.#files.present(attributes) };
    });
    return { ...page, entries };
  }

  async readNames(inode: number, after: Uint8Array): Promise<NamesPage> {
    return withPresent(await this.#shared.directories.names(inode, after, this.#by), this.#files);
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

  async *list(root: number, recursive: boolean): AsyncGenerator<ListedInode> {
    for await (const { path, attributes } of namespace.list(this.#session, root, recursive, this.#by)) {
      yield { path, attributes: this.#files.present(attributes) };
    }
  }

  async statfs(): Promise<Statfs> {
    return await this.#session.ask(statfs, {});
  }

  async getxattr(inode: number, name: Uint8Array): Promise<Buffer> {
    return await this.#shared.xattrs.get(inode, name, this.#by);
  }

  async listxattr(inode: number): Promise<Buffer[]> {
    return await this.#shared.xattrs.list(inode, this.#by);
  }

  async setxattr(
    inode: number,
    name: Uint8Array,
    value: Uint8Array,
    flags: number,
    stripSetgid = false,
  ): Promise<void> {
    this.#requireWritable();
    await this.#shared.xattrs.set(inode, { name, value, flags, stripSetgid }, this.#by);
  }

  async removexattr(inode: number, name: Uint8Array): Promise<void> {
    this.#requireWritable();
    await this.#shared.xattrs.remove(inode, name, this.#by);
  }

  async open(inode: number, openFlags: number, privilegeLoss?: PrivilegeLoss): Promise<FileHandle> {
    return await this.#shared.opener.open(inode, openFlags, privilegeLoss, this.#by);
  }

  inodeOf(handle: FileHandle): number {
    return this.#files.inodeOf(handle);
  }

  async read(handle: FileHandle, offset: number, length: number, loans?: Loans): Promise<Payload> {
    return await this.#files.read(handle, offset, length, loans);
  }

  async write(handle: FileHandle, offset: number, data: Uint8Array, options?: WriteOptions): Promise<number> {
    return await this.#files.write(handle, offset, data, options);
  }

  async seek(handle: FileHandle, offset: number, wanted: 'data' | 'hole'): Promise<number> {
    return await this.#files.seek(handle, offset, wanted);
  }

  async fallocate(
    handle: FileHandle,
    mode: number,
    offset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<void> {
    await this.#files.fallocate(handle, mode, offset, length, privilegeLoss);
  }

  async copyRange(
    source: FileHandle,
    offset: number,
    target: FileHandle,
    targetOffset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<number> {
    return await this.#files.copyRange(source, offset, target, targetOffset, length, privilegeLoss);
  }

  async flush(handle: FileHandle, lockOwner?: string): Promise<void> {
    await this.#files.flush(handle, lockOwner);
  }

  async fsync(handle: FileHandle): Promise<void> {
    await this.#files.fsync(handle);
  }

  async release(handle: FileHandle, flockOwner?: string): Promise<void> {
    await this.#files.release(handle, flockOwner);
  }

  async lock(handle: FileHandle, lock: FileLock, wait: boolean, signal?: AbortSignal): Promise<void> {
    await this.#files.lock(handle, lock, wait, signal);
  }

  async unlock(handle: FileHandle, lock: Omit<FileLock, 'type' | 'pid'>): Promise<void> {
    await this.#files.unlock(handle, lock);
  }

  async testLock(handle: FileHandle, lock: FileLock): Promise<FileLock | undefined> {
    return await this.#files.testLock(handle, lock);
  }

  accessed(inode: number): void {
    this.#shared.accesses?.record(inode);
  }

  async syncfs(): Promise<void> {
    await this.#files.syncAll();
    await this.#session.sync();
    this.#session.lost.tellAny();
  }

  /** Who owns in the cluster what is made for a user of this machine. */
  #owned<Owned extends Pick<Creation, 'uid' | 'gid'>>(creation: Owned): Owned {
    const { rights } = this.#session;
    this.#requireWritable();
    return rights ? { ...creation, ...ownerInCluster(rights, creation) } : creation;
  }

  #given(changes: AttributeChanges): AttributeChanges {
    const { rights } = this.#session;
    this.#requireWritable();
    return rights ? givenInCluster(rights, changes) : changes;
  }

  #requireWritable(): void {
    if (this.#shared.readOnly) throw new DfsError('EROFS', 'this mount is read-only');
  }

  get handOver(): FileSystemHandOver {
    return {
      settled: async () => {
        await this.#files.settled();
        await this.#shared.accessTimes?.flush();
        await this.#session.settled();
      },
      suspend: () => {
        const files = this.#files.state();
        const session = files && this.#session.suspend(this.#client.locks.lastRequest);
        return session && { session, files, root: ROOT_INODE };
      },
      goOn: () => this.#session.goOn(),
      leave: async () => {
        this.#shared.isClosed = true;
        await this.#client.leave();
      },
    };
  }

  async close(): Promise<void> {
    if (this.#shared.isClosed) return;
    this.#shared.isClosed = true;
    // Files that are closed wait for changes before them.
    this.#session.beginEnding();
    try {
      await this.#files.close();
      await this.#shared.accessTimes?.flush();
      await this.#session.finishChanges();
      this.#session.lost.tellAny();
    } finally {
      await this.#client.close();
    }
  }
}

/** As whom a user of this machine is judged; nobody for root, to whom nothing is refused. */
function byOf(caller: Caller, rights: Rights | undefined): namespace.By {
  const judged = rights ? callerInCluster(rights, caller) : caller;
  return judged.uid === 0 ? {} : { caller: judged };
}

/** A local file system takes any time, and keeps the nearest that it can (utimensat(2), timestamp_truncate() in Linux). */
function withPossibleTimes(changes: AttributeChanges): AttributeChanges {
  const { atime, mtime } = changes;
  return {
    ...changes,
    ...(typeof atime === 'object' ? { atime: clampTime(atime) } : {}),
    ...(typeof mtime === 'object' ? { mtime: clampTime(mtime) } : {}),
  };
}
