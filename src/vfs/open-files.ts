/** What is open through one client: the handles, the files behind them, and what is done by handle (see FileSystem). */
import { constants } from 'node:fs';
import type { AttributeTicket } from '../client/caches/attribute-cache.js';
import type { Revocation } from '../client/leases/cache-lease.js';
import type { Client } from '../client/client.js';
import { ExtentMaps } from '../client/content/extent-maps.js';
import type { Timer } from '../platform/clock.js';
import type { Loans } from '../platform/loans.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Payload } from '../protocol/frame.js';
import type { Attributes, PrivilegeLoss } from '../protocol/types.js';
import type { AccessTimes } from './access-times.js';
import { ClosingFiles } from './closing-files.js';
import type { Directories } from './directories.js';
import { FileAhead, prefetcher } from './file-ahead.js';
import { FileFailures } from './file-failures.js';
import type { FileHandle, FileLock, WriteOptions } from './file-system.js';
import { HandleLocks } from './handle-locks.js';
import { OpenFile } from './open-file.js';
import { OpenHandles, reportFailure, type Handle } from './open-handles.js';
import { allocateRange, copyRange, requireReadable, requireWritable } from './range-changes.js';
import { ReadAhead } from './read-ahead.js';
import type { VfsOptions } from './vfs-options.js';
import { surroundingsOf, type WriterSurroundings } from './writer-surroundings.js';

/** Written data does not wait longer than this before it is sent, whether or not a chunk is full. */
const MAX_DIRTY_AGE_MS = 500;
const DIRTY_CHECK_MS = 250;

export class OpenFiles {
  readonly #client: Client;
  readonly #options: VfsOptions;
  readonly #shared: WriterSurroundings;
  readonly #handles = new OpenHandles();
  /** inode → the file, while any handle has it open, or what was written before it was closed is not committed */
  readonly #files = new Map<number, OpenFile>();
  /** inode → its extents, as far as known */
  readonly #extents: ExtentMaps;
  /** Undefined when nothing is to be read ahead. */
  readonly #fileAhead: FileAhead | undefined;
  readonly #closing: ClosingFiles;
  readonly #failures = new FileFailures(this.#files);
  /** Files that are being given back. */
  readonly #releasing = new Set<Promise<void>>();
  readonly #handleLocks: HandleLocks;
  /** Undefined when reading moves none. */
  readonly #accessTimes: AccessTimes | undefined;
  #dirtyTimer: Timer | undefined;
  #isClosed = false;

  /** @param onDisplaced told of an inode when written bytes are not where they were shown */
  constructor(
    client: Client,
    options: VfsOptions,
    directories: Pick<Directories, 'following'>,
    onDisplaced: (inode: number) => void,
    accessTimes?: AccessTimes,
  ) {
    this.#client = client;
    this.#options = options;
    this.#extents = new ExtentMaps(client.cacheSizes.extentBytes);
    client.budget.count('extents', () => this.#extents.usedBytes);
    this.#handleLocks = new HandleLocks(client, options.timeoutMs);
    this.#accessTimes = accessTimes;
    const { names, attributes } = client.session;
    if (options.readAheadBytes > 0) {
      const following = (directory: number): number | undefined => directories.following(directory);
      const fetch = prefetcher(client, this.#extents, inode => this.#files.has(inode));
      this.#fileAhead = new FileAhead({ names, attributes, following, fetch });
    }
    this.#shared = surroundingsOf(client, options, {
      mayBuffer: inode => !client.session.lease.isWanted || client.session.held.has(inode),
      onDisplaced,
      onFailed: (inode, reason) => this.#failures.note(inode, reason),
      onPressure: () => this.#sealAll(0),
    });
    this.#closing = new ClosingFiles(this.#shared, file => this.#forgetClosed(file));
    client.session.lease.addKeeper({
      drop: async revocation => this.#drop(revocation),
      dropAll: async () => {
        for (const file of this.#files.values()) file.mayBeStale();
        this.#extents.forEach(extents => extents.clear());
      },
    });
    client.session.onRecall = async inodes => await this.#closing.settledForRecall(this.#open(inodes));
    client.session.onChangesLost = (inodes, reason) => {
      for (const inode of inodes) this.#failures.note(inode, reason);
    };
    client.session.onLocksLost = inodes => this.#handles.loseLocks(inodes);
    client.session.onSessionLost = () => this.#loseSession();
    client.session.onServerStarted = lost => this.#serverStarted(lost);
    this.#checkAge();
  }

  /** The file, while any handle has it open. */
  get(inode: number): OpenFile | undefined {
    return this.#files.get(inode);
  }

  /** What was written through this client, and nobody else knows yet, shown in the attributes. */
  present(attributes: Attributes): Attributes {
    const shown = this.#files.get(attributes.inode)?.present(attributes) ?? attributes;
    return this.#accessTimes?.present(shown) ?? shown;
  }

  /** Somebody was told that the name leads to the inode. */
  found(directory: number, name: Uint8Array, attributes: Attributes): void {
    this.#fileAhead?.found(directory, name, attributes);
  }

  /** The inode has no name left: unless it is open, nobody will want its extents. */
  forget(inode: number): void {
    const file = this.#files.get(inode);
    if (file) file.hasLostNames = true;
    else this.#extents.delete(inode);
  }

  /** Whether nobody can open the file any more, as far as is known here. */
  #isNameless(file: OpenFile): boolean {
    const { nlink } = this.#client.session.attributes.get(file.inode) ?? file.attributes;
    return file.hasLostNames || nlink === 0;
  }

  /**
   * A handle on a file that the session has open.
   * @param flags those of open(2)
   * @param ticket taken before the request that told the attributes
   * @param isNew the file was made just now, and so has no content
   */
  add(attributes: Attributes, flags: number, ticket: AttributeTicket, isNew = false): FileHandle {
    const { inode } = attributes;
    let file = this.#files.get(inode);
    if (!file) {
      const extents = this.#extents.hold(inode);
      // A reply that was lost, and given again later, tells of before what this client has done since.
      const isOvertaken = extents.version > attributes.version;
      file = new OpenFile(attributes, isNew && !isOvertaken, extents, this.#shared);
      if (isOvertaken) file.mayBeStale();
      // The kernel asks before the first write.
      else file.hasNoCapability = isNew;
      this.#files.set(inode, file);
    }
    file.note(attributes);
    const { lease, attributes: kept } = this.#client.session;
    // A revocation, or a change of this client, that overtook the reply did not find the file here.
    if (lease.isWanted && !kept.mayKeep(ticket, inode)) file.mayBeStale();
    file.handles += 1;
    const toldFailures = file.failures;
    this.#failures.handTo(file);
    return this.#handles.add({
      file,
      flags,
      readAhead: new ReadAhead(this.#options.readAheadBytes),
      toldFailures,
    });
  }

  inodeOf(handle: FileHandle): number {
    return this.#handles.get(handle).file.inode;
  }

  async read(handle: FileHandle, offset: number, length: number, loans?: Loans): Promise<Payload> {
    const open = this.#handles.usable(handle);
    requireReadable(open);
    const { file, readAhead, flags } = open;
    if (offset === 0) this.#fileAhead?.read(file.inode);
    const read = await file.read(readAhead, offset, length, loans);
    this.#accessed(file, flags);
    return read;
  }

  async write(
    handle: FileHandle,
    offset: number,
    data: Uint8Array,
    { isAppend, privilegeLoss }: WriteOptions = {},
  ): Promise<number> {
    const open = this.#handles.usable(handle);
    requireWritable(open);
    reportFailure(open);
    const isAtEnd = isAppend ?? (open.flags & constants.O_APPEND) !== 0;
    // What is this client's alone is answered from the buffer.
    if (!this.#shared.mayBuffer(open.file.inode)) await this.#client.session.acquire(open.file.inode);
    if (isAtEnd) await open.file.append(offset, data, privilegeLoss);
    else await open.file.write(offset, data, privilegeLoss);
    return data.length;
  }

  async seek(handle: FileHandle, offset: number, wanted: 'data' | 'hole'): Promise<number> {
    return await this.#handles.usable(handle).file.seek(offset, wanted);
  }

  async fallocate(
    handle: FileHandle,
    mode: number,
    offset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<void> {
    await allocateRange(this.#client, this.#handles.usable(handle), mode, offset, length, privilegeLoss);
  }

  async copyRange(
    source: FileHandle,
    offset: number,
    target: FileHandle,
    targetOffset: number,
    length: number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<number> {
    const from = this.#handles.usable(source);
    const to = this.#handles.usable(target);
    const copied = await copyRange(this.#client, from, offset, to, targetOffset, length, privilegeLoss);
    this.#accessed(from.file, from.flags);
    return copied;
  }

  async flush(handle: FileHandle, lockOwner?: string): Promise<void> {
    const open = this.#handles.get(handle);
    const { file } = open;
    try {
      if (this.#mayCloseAhead(file)) this.#closing.closeAhead(file);
      else if (this.#handleLocks.isLocked(file.inode)) await file.settledWithin(this.#options.timeoutMs);
      else await file.flushedInTime();
    } finally {
      if (lockOwner !== undefined) await this.#handleLocks.flushed(file.inode, lockOwner);
    }
    reportFailure(open);
  }

  async fsync(handle: FileHandle): Promise<void> {
    const open = this.#handles.usable(handle);
    await open.file.fsync();
    reportFailure(open);
  }

  async release(handle: FileHandle, flockOwner?: string): Promise<void> {
    const open = this.#handles.take(handle);
    const releasing = this.#release(handle, open, flockOwner);
    this.#releasing.add(releasing);
    try {
      await releasing;
    } finally {
      this.#releasing.delete(releasing);
    }
  }

  async lock(handle: FileHandle, lock: FileLock, wait: boolean, signal?: AbortSignal): Promise<void> {
    await this.#handleLocks.lock(handle, this.#handles.usable(handle).file, lock, wait, signal);
  }

  async unlock(handle: FileHandle, range: Omit<FileLock, 'type' | 'pid'>): Promise<void> {
    await this.#handleLocks.unlock(this.#handles.get(handle).file, range);
  }

  async testLock(handle: FileHandle, lock: FileLock): Promise<FileLock | undefined> {
    return await this.#handleLocks.test(this.#handles.get(handle).file, lock);
  }

  /**
   * As fsync on every file that is open or was closed ahead, but all at once.
   * @throws the first failure, after all were tried
   */
  async syncAll(): Promise<void> {
    const synced = await Promise.allSettled([...this.#files.values()].map(async file => await file.fsync()));
    const failure = synced.find(result => result.status === 'rejected');
    if (failure) throw toDfsError(failure.reason);
  }

  /** Gives every handle back, whose data are committed. Rejects with the first failure, but leaves none out. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#dirtyTimer?.cancel();
    const files = [...this.#files.values()];
    for (const file of files) file.unacknowledge();
    // All at once, so that a server that is away is waited for once.
    const released = await Promise.allSettled(
      [...this.#handles].map(async ([number, open]) => {
        await this.release(number);
        reportFailure(open);
      }),
    );
    await Promise.allSettled(this.#releasing);
    await this.#closing.settled();
    const failure = released.find(result => result.status === 'rejected');
    if (failure) throw toDfsError(failure.reason);
    // Of a file that is still open, also what a program was told that did not listen, or is not there any more.
    const failed = files.find(file => file.failures > 0);
    const { untold } = this.#failures;
    if (untold) throw untold;
    if (failed) throw failed.lastFailure ?? new DfsError('EIO', 'what was written is not stored');
  }

  /**
   * Everything written so far to an inode is committed by the metadata server's word. What no data node has taken within the
   * patience is given up: its programs are told (EIO, or ENOSPC when the data nodes are full), and the session goes on.
   * @throws EIO when the metadata server itself does not answer within as long again
   */
  async settle(inode: number, patienceMs: number): Promise<void> {
    await this.#files.get(inode)?.settledWithin(patienceMs);
  }

  /**
   * What was closed ahead of an inode, or of all when it is undefined, is committed as far as this client's own requests are
   * concerned. EIO when that takes longer than the timeout.
   */
  async closedOne(inode: number | undefined): Promise<void> {
    await this.#closing.flushed(inode);
  }

  /** Those of the inodes that are open here; all files when it is undefined. */
  #open(inodes: readonly number[] | undefined): OpenFile[] {
    if (!inodes) return [...this.#files.values()];
    return inodes.map(inode => this.#files.get(inode)).filter(file => file !== undefined);
  }

  #mayCloseAhead(file: OpenFile): boolean {
    const isOwn = this.#client.session.held.has(file.inode);
    return isOwn && !this.#isClosed && !this.#isNameless(file) && this.#closing.mayCloseAhead(file);
  }

  async #release(handle: FileHandle, open: Handle, flockOwner: string | undefined): Promise<void> {
    const { file } = open;
    try {
      const unlocking = this.#handleLocks.released(handle, file, flockOwner);
      // What was closed ahead nobody waits for.
      await (unlocking ?? file.flush(!this.#closing.has(file)));
      // With the last handle the file goes, and what is committed after that is refused.
      if (this.#isNameless(file)) await file.settledInTime();
    } finally {
      await this.#giveBack(open);
    }
  }

  /** The handle is gone, whatever became of what was written by it. */
  async #giveBack(open: Handle): Promise<void> {
    const { file } = open;
    if (open.toldFailures !== file.failures) this.#failures.leave(file);
    file.handles -= 1;
    try {
      if (file.handles > 0) return;
      this.#forgetClosed(file);
      // Of a lock that was granted while another thread closed the file, nobody else would hear again.
      await this.#client.locks.unlockAll(file.inode);
    } finally {
      await this.#client.session.opens.release(file.inode);
    }
  }

  /** No handle has the file open, and all of it is committed: the next open begins anew. */
  #forgetClosed(file: OpenFile): void {
    if (file.handles > 0 || this.#closing.has(file) || this.#files.get(file.inode) !== file) return;
    this.#files.delete(file.inode);
    this.#extents.letGo(file.inode);
  }

  #accessed(file: OpenFile, flags: number): void {
    if (this.#accessTimes && (flags & constants.O_NOATIME) === 0)
      this.#accessTimes.accessed(file.present(file.attributes));
  }

  /** Another client changed these. */
  #drop(revocation: Revocation): void {
    for (const { inode, version } of revocation.inodes) {
      this.#files.get(inode)?.mayBeStale();
      // A reply that tells an older version is not taken over any more.
      this.#extents.known(inode)?.overtake(version);
    }
  }

  /** Others have gone on without this client: what it has not committed must not be put on top of what they did. */
  #loseSession(): void {
    const reason = new DfsError(
      'EIO',
      'the metadata server gave this client up, which was away for too long',
    );
    for (const file of this.#files.values()) file.abandonWrites(reason);
  }

  #serverStarted(inodes: readonly number[]): void {
    const lost = new Set(inodes);
    const reason = new DfsError(
      'EIO',
      'the metadata server lost its power before changes of the file were on its disk; do them again',
    );
    // Nobody has it open: the next open reports it.
    for (const inode of lost) if (!this.#files.get(inode)?.handles) this.#failures.note(inode, reason);
    this.#extents.forEach(extents => extents.forget());
    for (const file of this.#files.values()) file.serverStarted(lost.has(file.inode) ? reason : undefined);
  }

  #sealAll(ageMs: number): void {
    for (const file of this.#files.values()) file.sealOlderThan(ageMs);
  }

  #checkAge(): void {
    this.#sealAll(MAX_DIRTY_AGE_MS);
    if (this.#isClosed) return;
    this.#dirtyTimer = this.#options.clock.setTimer(DIRTY_CHECK_MS, () => this.#checkAge(), true);
  }
}
