/** POSIX on top of the client library (see FileSystem for what each method promises). */
import { constants } from 'node:fs';
import type { AttributeTicket } from '../client/caches/attribute-cache.js';
import type { CacheKeeper } from '../client/leases/cache-lease.js';
import { Client } from '../client/client.js';
import { ClusterControl } from '../client/cluster-control.js';
import * as namespace from '../client/namespace/namespace.js';
import type { Loans } from '../platform/loans.js';
import { CAPABILITY } from '../protocol/attribute-names.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { isRegularFile, ROOT_INODE } from '../protocol/file-mode.js';
import { clampTime } from '../rules/file-time.js';
import type { Payload } from '../protocol/frame.js';
import { GOAL_ATTRIBUTE, MAX_DIRECTORY_PAGE, MAX_FILE_BYTES } from '../protocol/limits.js';
import { accessed, list, statfs } from '../protocol/namespace-commands.js';
import type { Attributes, Caller, PrivilegeLoss } from '../protocol/types.js';
import { AccessTimes, type Access } from './access-times.js';
import { CacheKeepers } from './cache-keepers.js';
import { Directories } from './directories.js';
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
  WriteOptions,
} from './file-system.js';
import { OpenFiles } from './open-files.js';
import { walk } from './path-walk.js';
import { accessMode } from './range-changes.js';
import type { VfsOptions } from './vfs-options.js';

/** Told of every file and kept with none. */
const GOAL = Buffer.from(GOAL_ATTRIBUTE);
/** Names that an attribute can have (xattr(7)); what is wrong with another one the server says. */
const USUAL_XATTRS = /^(?:(?:user|trusted|security)[.][^\0]+|system[.]posix_acl_(?:access|default))$/s;
/** What open(2) asks of a file's permissions (the `access` of the request). */
const MAY_EXECUTE = 1;
const MAY_WRITE = 2;
const MAY_READ = 4;
/** __FMODE_EXEC of <linux/fs.h>: opened by execve(2), which needs no permission to read. */
const OPEN_TO_EXECUTE = 0x20;

/** What a Vfs has in common with those that `as` made of it. */
interface Shared {
  readonly client: Client;
  readonly options: VfsOptions;
  readonly files: OpenFiles;
  readonly directories: Directories;
  readonly keepers: CacheKeepers;
  /** Undefined when reading moves no access times. */
  readonly accessTimes: AccessTimes | undefined;
  /** What the last file that was created has, and so probably the next one. */
  usualGoal: number;
  isClosed: boolean;
}

export class Vfs implements FileSystem {
  readonly #shared: Shared;
  readonly #client: Client;
  readonly #files: OpenFiles;
  readonly cluster: ClusterControl;
  /** What each request that may be refused says of who asks. */
  readonly #by: namespace.By;

  private constructor(shared: Shared, caller: Caller | undefined) {
    this.#shared = shared;
    this.#client = shared.client;
    this.#files = shared.files;
    this.cluster = new ClusterControl(shared.client.session);
    this.#by = caller && caller.uid !== 0 ? { caller } : {};
  }

  /** Connects and begins a session. ECONNREFUSED, EHOSTUNREACH, EACCES, … when that fails. */
  static async open(options: VfsOptions): Promise<Vfs> {
    const client = await Client.open(options);
    const directories = new Directories(client.session);
    const onDisplaced = (inode: number): void => void keepers.displaced(inode);
    const learn = (attributes: Attributes): void => files.get(attributes.inode)?.note(attributes);
    const accessTimes = accessTimesOf(client, options, learn);
    const files: OpenFiles = new OpenFiles(client, options, directories, onDisplaced, accessTimes);
    const keepers = new CacheKeepers(client, files, accessTimes);
    const usualGoal = options.goal;
    const shared = { client, options, files, directories, keepers, accessTimes, usualGoal, isClosed: false };
    return new Vfs(shared, options.caller);
  }

  as(caller: Caller | undefined): FileSystem {
    return new Vfs(this.#shared, caller);
  }

  /** Whether this client has the inode to itself, and answers before it has told the metadata server (client/log/change-log.ts). */
  hasToItself(inode: number): boolean {
    const { changes, held } = this.#client.session;
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
      await walk(this.#client.session, names, { from, isFollowing: followLinks, ...this.#by }),
    );
  }

  async lookup(parent: number, name: Uint8Array): Promise<Attributes> {
    const attributes = await this.#shared.directories.lookup(parent, name, this.#by);
    this.#files.found(parent, name, attributes);
    return this.#files.present(attributes);
  }

  async getattr(inode: number): Promise<Attributes> {
    return this.#files.present(await this.#client.session.getattr(inode));
  }

  async setattr(inode: number, changes: AttributeChanges): Promise<Attributes> {
    if ((changes.size ?? 0) > MAX_FILE_BYTES) {
      throw new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
    }
    const file = this.#files.get(inode);
    const { size, mode, mtime } = changes;
    // What was written before must not be committed after: it would bring back the old size.
    // A write of before takes privileges away, but not those that are given after it.
    if (file && (size !== undefined || (mode !== undefined && file.privilegeLoss)))
      await file.settledInTime();
    if (changes.atime !== undefined) this.#shared.accessTimes?.forget(inode);
    const attributes = await namespace.setattr(
      this.#client.session,
      { inode, ...withPossibleTimes(changes), ...this.#by },
      {
        mayDecide: () => !file?.isDirty || mtime === undefined || file.maySetTime,
        decided: ahead => {
          if (mtime !== undefined) file?.setTime(ahead.mtime);
        },
        // Nor must it bring back the old time.
        commit: async () => {
          if (mtime !== undefined) await file?.settledInTime();
        },
      },
    );
    return this.#files.present(attributes);
  }

  async readlink(inode: number): Promise<Buffer> {
    return await namespace.readlink(this.#client.session, inode);
  }

  async mknod(parent: number, name: Uint8Array, creation: Creation, rdev: number): Promise<Attributes> {
    return await namespace.mknod(this.#client.session, parent, name, creation, rdev, this.#by);
  }

  async mkdir(parent: number, name: Uint8Array, creation: Creation): Promise<Attributes> {
    return await namespace.mkdir(this.#client.session, parent, name, creation, this.#by);
  }

  async symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    owner: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<Attributes> {
    return await namespace.symlink(this.#client.session, parent, name, target, owner, this.#by);
  }

  async link(inode: number, parent: number, name: Uint8Array, replace = false): Promise<Attributes> {
    await this.#files.closedOne(inode);
    const { session } = this.#client;
    return this.#files.present(await namespace.link(session, inode, parent, name, replace, this.#by));
  }

  async unlink(parent: number, name: Uint8Array): Promise<void> {
    const { inode, nlink } = await namespace.unlink(this.#client.session, parent, name, this.#by);
    if (nlink === 0) this.#files.forget(inode);
  }

  async rmdir(parent: number, name: Uint8Array): Promise<void> {
    await namespace.rmdir(this.#client.session, parent, name, this.#by);
  }

  async rename(
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
    whiteoutOwner?: Omit<Creation, 'mode' | 'umask'>,
  ): Promise<void> {
    const { session } = this.#client;
    // A program that writes a file and then gives it another's name must find the one or the other there after a crash.
    await this.#files.closedOne(session.names.knows(parent, name));
    const options = { flags, whiteoutOwner };
    await namespace.rename(session, [parent, name], [newParent, newName], options, this.#by);
  }

  async create(
    parent: number,
    name: Uint8Array,
    creation: Creation,
    exclusive: boolean,
    openFlags: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { goal, chunkBytes: maxBytes } = this.#shared.options;
    const { usualGoal } = this.#shared;
    const { session, grants, nodes } = this.#client;
    const storing = { grants, goal, usualGoal, maxBytes, exclude: nodes.distrusted() };
    const created = await namespace.create(session, parent, name, creation, exclusive, storing, this.#by);
    this.#shared.usualGoal = created.attributes.goal;
    if (created.isNew) return this.#created(created, openFlags);
    const { inode } = created.attributes;
    // Another handle's last close may have been on its way while the server found the file.
    const ticket = session.attributes.ticket();
    const opened = await session.opens
      .open(inode, accessOf(openFlags), this.#by.caller)
      .catch(async (error: unknown) => {
        await session.opens.giveBack(inode);
        // Gone since it was found; with ESTALE the kernel looks again.
        throw hasCode(error, 'ENOENT') ? new DfsError('ESTALE', 'the file was removed meanwhile') : error;
      });
    const handle = await this.#opened(opened, openFlags, ticket, privilegeLoss);
    return { handle, attributes: await this.#orClosed(handle, async () => await this.getattr(inode)) };
  }

  async tmpfile(
    directory: number,
    creation: Creation,
    openFlags: number,
  ): Promise<{ readonly handle: FileHandle; readonly attributes: Attributes }> {
    const { goal } = this.#shared.options;
    return this.#created(
      await namespace.tmpfile(this.#client.session, directory, creation, goal, this.#by),
      openFlags,
    );
  }

  /** A handle on a file that was made just now. */
  #created(
    { attributes, ticket }: namespace.Created,
    openFlags: number,
  ): { readonly handle: FileHandle; readonly attributes: Attributes } {
    return { handle: this.#files.add(attributes, openFlags, ticket, true), attributes };
  }

  async fsyncDirectory(inode: number): Promise<void> {
    const { session } = this.#client;
    await session.sync();
    session.lost.tell(inode);
  }

  async readdirPage(inode: number, after: Uint8Array, limit = MAX_DIRECTORY_PAGE): Promise<DirectoryPage> {
    const page = await this.#shared.directories.page(inode, after, limit, this.#by);
    const entries = page.entries.map(({ name, attributes }) => {
      this.#files.found(inode, name, attributes);
      return { name, attributes: this.#files.present(attributes) };
    });
    return { ...page, entries };
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
      const request = { root, after, limit: MAX_DIRECTORY_PAGE, recursive, ...this.#by };
      const page = await this.#client.session.ask(list, request);
      for (const { path, attributes } of page.entries) {
        yield { path: path.map(name => Buffer.from(name)), attributes: this.#files.present(attributes) };
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
    const { lease, xattrs } = this.#client.session;
    // Who asks for one of a file asks for others too, and most files have none.
    const isUsual = USUAL_XATTRS.test(Buffer.from(name).toString('latin1')) && !GOAL.equals(name);
    if (isUsual && xattrs.isUnknown(inode)) await namespace.listXattrs(this.#client.session, inode, {});
    if (isUsual && xattrs.hasNone(inode)) {
      throw new DfsError('ENODATA', 'the file has no extended attributes');
    }
    const ticket = lease.ticket();
    try {
      return await namespace.askXattr(this.#client.session, inode, name, this.#by);
    } catch (error) {
      if (file && hasCode(error, 'ENODATA') && lease.ticket() === ticket) file.hasNoCapability = true;
      throw error;
    }
  }

  async listxattr(inode: number): Promise<Buffer[]> {
    return await namespace.listXattrs(this.#client.session, inode, this.#by);
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
    if (file?.privilegeLoss && CAPABILITY.equals(name)) await file.settledInTime();
    const xattr = { name, value, flags, stripSetgid };
    try {
      await namespace.setXattr(this.#client.session, inode, xattr, this.#by);
    } finally {
      if (file) file.hasNoCapability = false;
    }
  }

  async removexattr(inode: number, name: Uint8Array): Promise<void> {
    await namespace.removeXattr(this.#client.session, inode, name, this.#by);
  }

  async open(inode: number, openFlags: number, privilegeLoss?: PrivilegeLoss): Promise<FileHandle> {
    const { session } = this.#client;
    const ticket = session.attributes.ticket();
    // Whether others than root may, the server says.
    const known = this.#by.caller ? undefined : session.opens.openKnown(inode);
    const attributes = known ?? (await session.opens.open(inode, accessOf(openFlags), this.#by.caller));
    return await this.#opened(attributes, openFlags, ticket, privilegeLoss);
  }

  /** A handle on what the session has just opened; with O_TRUNC empty. */
  async #opened(
    attributes: Attributes,
    openFlags: number,
    ticket: AttributeTicket,
    privilegeLoss: PrivilegeLoss | undefined,
  ): Promise<FileHandle> {
    const { inode } = attributes;
    if (!isRegularFile(attributes.mode)) {
      await this.#client.session.opens.release(inode);
      throw new DfsError('EINVAL', 'only regular files are opened through DFS');
    }
    const handle = this.#files.add(attributes, openFlags, ticket);
    // An empty file as well: POSIX open() marks its times, and somebody here may have written what is not committed.
    if ((openFlags & constants.O_TRUNC) !== 0) {
      // Whether the caller may was asked already, of the open file.
      const empty = { size: 0, ...(privilegeLoss ? { privilegeLoss } : {}) };
      await this.#orClosed(handle, async () => await this.as(undefined).setattr(inode, empty));
    }
    return handle;
  }

  /** Does what belongs to opening a file. When that fails nobody hears of the handle, so it is closed. */
  async #orClosed<Result>(handle: FileHandle, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      // Why the open fails matters more than why the close does, which waits for what was closed ahead.
      this.#files.release(handle).catch(() => undefined);
      throw error;
    }
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
    const { accessTimes } = this.#shared;
    if (!accessTimes) return;
    const known = this.#client.session.attributes.get(inode);
    if (known) {
      accessTimes.accessed(this.#files.present(known));
      return;
    }
    // Nobody waits for it.
    this.getattr(inode).then(
      told => accessTimes.accessed(told),
      (error: unknown) => {
        const reason = toDfsError(error).message;
        this.#client.log.debug({ inode, reason }, 'an access was not recorded');
      },
    );
  }

  async syncfs(): Promise<void> {
    await this.#files.syncAll();
    await this.#client.session.sync();
    this.#client.session.lost.tellAny();
  }

  async close(): Promise<void> {
    if (this.#shared.isClosed) return;
    this.#shared.isClosed = true;
    try {
      await this.#files.close();
      await this.#shared.accessTimes?.close();
      await this.#client.session.finishChanges();
      this.#client.session.lost.tellAny();
    } finally {
      await this.#client.close();
    }
  }
}

function accessTimesOf(
  { session, log }: Client,
  { atime, clock }: VfsOptions,
  learn: (attributes: Attributes) => void,
): AccessTimes | undefined {
  if (atime !== 'relatime') return undefined;
  const send = async (accesses: readonly Access[]): Promise<readonly Attributes[]> => {
    const ticket = session.attributes.ticket();
    const { attributes } = await session.ask(accessed, { accesses: [...accesses] });
    for (const told of attributes) session.attributes.keep(ticket, told);
    return attributes;
  };
  return new AccessTimes({ clock, now: () => session.serverClock.now(), log, send, learn });
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

function accessOf(openFlags: number): number {
  const mode = accessMode(openFlags);
  const isReading = mode !== constants.O_WRONLY && (openFlags & OPEN_TO_EXECUTE) === 0;
  const isWriting = mode !== constants.O_RDONLY || (openFlags & constants.O_TRUNC) !== 0;
  return (
    (isReading ? MAY_READ : 0) |
    (isWriting ? MAY_WRITE : 0) |
    ((openFlags & OPEN_TO_EXECUTE) === 0 ? 0 : MAY_EXECUTE)
  );
}
