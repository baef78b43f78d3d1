/** What programs have open through one client: handles on the files (file-table.ts), and what is done by handle (see FileSystem). */
import { constants } from 'node:fs';
import type { AttributeTicket } from '../client/caches/attribute-cache.js';
import type { Client } from '../client/client.js';
import type { ExtentMap } from '../client/content/extent-map.js';
import type { LockClient } from '../client/locks/lock-client.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import type { Loans } from '../platform/loans.js';
import { UnderWay } from '../platform/under-way.js';
import { CAPABILITY } from '../protocol/attribute-names.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { isRegularFile } from '../protocol/file-mode.js';
import type { Payload } from '../protocol/frame.js';
import type { OpenFilesState } from '../protocol/take-over.js';
import type { Attributes, PrivilegeLoss } from '../protocol/types.js';
import { withoutPrivileges } from '../rules/privileges.js';
import type { AccessTimes } from './access-times.js';
import { ClosingFiles } from './closing-files.js';
import type { Directories } from './directories.js';
import { FileAhead, prefetcher } from './file-ahead.js';
import type { FileHandle, FileLock, WriteOptions } from './file-system.js';
import { FileTable } from './file-table.js';
import { FileXattrs } from './file-xattrs.js';
import { HandleLocks } from './handle-locks.js';
import type { OpenFile } from './open-file.js';
import { lossOf, OpenHandles, reportFailure, type Handle } from './open-handles.js';
import { allocateRange, copyRange, requireReadable, requireWritable } from './range-changes.js';
import { ReadAhead } from './read-ahead.js';
import { encodeOpenFiles, restoredHandles } from './open-files-state.js';
import type { VfsOptions } from './vfs-options.js';
import type { ShownChanges } from './writer-surroundings.js';

export class OpenFiles {
  readonly #session: MetadataSession;
  readonly #locks: LockClient;
  readonly #options: VfsOptions;
  readonly #table: FileTable;
  readonly #xattrs: FileXattrs;
  readonly #handles = new OpenHandles();
  /** Undefined when nothing is to be read ahead. */
  readonly #fileAhead: FileAhead | undefined;
  readonly #closing: ClosingFiles;
  /** Files that are being given back. */
  readonly #releasing = new UnderWay();
  readonly #handleLocks: HandleLocks;
  /** Undefined when reading moves none. */
  readonly #accessTimes: AccessTimes | undefined;
  #isClosed = false;

  constructor(
    client: Client,
    options: VfsOptions,
    directories: Pick<Directories, 'following'>,
    shown: ShownChanges,
    accessTimes?: AccessTimes,
  ) {
    const { session, locks } = client;
    const { names, attributes, heldLocks } = session;
    const { timeoutMs, readAheadBytes } = options;
    this.#session = session;
    this.#locks = locks;
    this.#options = options;
    this.#accessTimes = accessTimes;
    this.#table = new FileTable(client, options, shown);
    this.#xattrs = new FileXattrs({ session, files: this.#table });
    this.#handleLocks = new HandleLocks({
      locks,
      heldLocks,
      // Newer attributes say that others wrote to the file.
      refresh: async inode => void (await session.getattr(inode)),
      timeoutMs,
    });
    if (readAheadBytes > 0) {
      const following = (directory: number): number | undefined => directories.following(directory);
      const isOpen = (inode: number): boolean => this.#table.get(inode) !== undefined;
      const fetch = prefetcher(client.content, attributes, this.#table.extents, isOpen);
      this.#fileAhead = new FileAhead({ names, attributes, following, fetch });
    }
    this.#closing = new ClosingFiles(this.#table.surroundings, file => this.#table.leave(file));
    session.onRecall = async inodes => await this.#closing.settledForRecall(this.#table.among(inodes));
    session.onAppeared = inodes => this.#fileAhead?.appeared(inodes);
    session.onLocksLost = inodes => this.#handles.loseLocks(inodes);
  }

  /** The file, while any handle has it open. */
  get(inode: number): OpenFile | undefined {
    return this.#table.get(inode);
  }

  /** Whether the inode is a regular file that nobody has open here, and of which everything written is logged, or committed. */
  isSettled(inode: number): boolean {
    const file = this.#table.get(inode);
    if (file) return file.handles === 0 && !file.isDirty;
    return isRegularFile(this.#session.attributes.get(inode)?.mode ?? 0);
  }

  /** What is known of a file's extents, open or not. */
  extentsOf(inode: number): ExtentMap | undefined {
    return this.#table.extents.known(inode);
  }

  /**
   * The file has another size, by a change that was logged just now.
   * @param before its size until then
   */
  truncated(attributes: Attributes, before: number): void {
    this.#table.truncated(attributes, before);
  }

  /** What was written through this client, and nobody else knows yet, shown in the attributes. */
  present(attributes: Attributes): Attributes {
    const shown = this.#table.get(attributes.inode)?.present(attributes) ?? attributes;
    return this.#accessTimes?.present(shown) ?? shown;
  }

  /** Somebody was told that the name leads to the inode. */
  found(directory: number, name: Uint8Array, attributes: Attributes): void {
    this.#fileAhead?.found(directory, name, attributes);
    this.named(name, attributes.inode);
  }

  /** The name leads to the inode, by which programs may open it. */
  named(name: Uint8Array, inode: number): void {
    this.#handleLocks.found(name, inode);
  }

  /** The inode has no name left: unless it is open, nobody will want its extents. */
  forget(inode: number): void {
    this.#table.forget(inode);
  }

  /**
   * A handle on a file that the session has open.
   * @param flags those of open(2)
   * @param ticket taken before the request that told the attributes
   * @param isNew the file was made just now, and so has no content
   */
  add(attributes: Attributes, flags: number, ticket: AttributeTicket, isNew = false): FileHandle {
    const file = this.#table.open(attributes, ticket, isNew);
    const toldFailures = file.failures;
    this.#table.failures.handTo(file);
    const readAhead = new ReadAhead(this.#options.readAheadBytes);
    return this.#handles.add({ file, flags, readAhead, toldFailures });
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
    const open = this.#writable(handle);
    const isAtEnd = isAppend ?? (open.flags & constants.O_APPEND) !== 0;
    // What is this client's alone is answered from the buffer.
    const { inode } = open.file;
    if (!this.#table.surroundings.mayBuffer(inode)) await this.#session.acquire(inode);
    const taken = privilegeLoss && (await this.#takenFrom(open.file, privilegeLoss));
    const terms = { privilegeLoss: taken, refusal: () => lossOf(open) };
    if (isAtEnd) {
      if (!open.file.appendNow(offset, data, terms)) await open.file.append(offset, data, terms);
    } else if (!open.file.writeNow(offset, data, terms)) await open.file.write(offset, data, terms);
    return data.length;
  }

  /**
   * What a write without CAP_FSETID takes from a file: nothing from one that is known to have no privileges, as nearly all are, while this
   * client has it to itself. The kernel does not look whether there are any.
   */
  async #takenFrom(file: OpenFile, loss: PrivilegeLoss): Promise<PrivilegeLoss | undefined> {
    const { inode } = file;
    const { mode } = this.#session.attributes.get(inode) ?? file.attributes;
    if (!this.#table.surroundings.mayBuffer(inode) || withoutPrivileges(mode, 'all') !== mode) return loss;
    if (!this.#xattrs.lacks(inode, CAPABILITY)) {
      try {
        await this.#xattrs.get(inode, CAPABILITY, {});
      } catch (error) {
        // What is wrong besides the write itself finds out.
        if (!hasCode(error, 'ENODATA')) return loss;
      }
    }
    const isSure = this.#table.surroundings.mayBuffer(inode) && this.#xattrs.lacks(inode, CAPABILITY);
    return isSure ? undefined : loss;
  }

  /** As `write`, if it can be answered at once; returns whether it was. Else nothing has changed. */
  writeNow(handle: FileHandle, offset: number, data: Uint8Array, isAppend: boolean): boolean {
    const open = this.#writable(handle);
    const terms = { refusal: () => lossOf(open) };
    return isAppend ? open.file.appendNow(offset, data, terms) : open.file.writeNow(offset, data, terms);
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
    const open = this.#handles.usable(handle);
    const terms = { privilegeLoss, refusal: this.#refusalOf(open) };
    await allocateRange(this.#session, open, mode, offset, length, terms);
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
    const terms = { privilegeLoss, refusal: this.#refusalOf(to) };
    const copied = await copyRange(this.#session, from, offset, to, targetOffset, length, terms);
    this.#accessed(from.file, from.flags);
    return copied;
  }

  async flush(handle: FileHandle, lockOwner?: string): Promise<void> {
    if (this.flushNow(handle, lockOwner)) return;
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

  /** As `flush`, if that need not wait; returns whether it was done. Else nothing has changed. */
  flushNow(handle: FileHandle, lockOwner?: string): boolean {
    const open = this.#handles.get(handle);
    const { file } = open;
    const isUnlocked = lockOwner === undefined || this.#handleLocks.isIdle(file.inode);
    const mayCloseAhead = isUnlocked && this.#mayCloseAhead(file);
    if (!isUnlocked || (file.isDirty && !mayCloseAhead) || this.#handleLocks.isLocked(file.inode))
      return false;
    if (mayCloseAhead) this.#closing.closeAhead(file);
    reportFailure(open);
    return true;
  }

  async fsync(handle: FileHandle): Promise<void> {
    const open = this.#handles.usable(handle);
    await open.file.fsync();
    reportFailure(open);
  }

  async release(handle: FileHandle, flockOwner?: string): Promise<void> {
    const open = this.#handles.take(handle);
    await this.#releasing.during(this.#release(handle, open, flockOwner));
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
    const synced = await Promise.allSettled([...this.#table].map(async file => await file.fsync()));
    const failure = synced.find(result => result.status === 'rejected');
    if (failure) throw toDfsError(failure.reason);
  }

  /** Everything that was written is committed by the metadata server's word, and what was closed is given back. Never rejects. */
  async settled(): Promise<void> {
    await this.#releasing.settled();
    await this.#closing.settled();
    // What cannot be stored its programs are told of, as ever.
    await Promise.allSettled([...this.#table].map(async file => await file.settledInTime()));
  }

  /** What a successor of this process has to know; undefined while something that was written is not committed. */
  state(): OpenFilesState | undefined {
    const files = [...this.#table].filter(({ handles }) => handles > 0);
    const isSettled = [...this.#table].every(file => !file.isDirty && !file.isUnanswered);
    return isSettled && this.#releasing.isEmpty
      ? encodeOpenFiles({
          files,
          handles: this.#handles,
          failures: this.#table.failures,
          locks: this.#handleLocks,
        })
      : undefined;
  }

  /** Takes over what programs have opened through an earlier process. The session has it open already. */
  restore(state: OpenFilesState): void {
    const open = (attributes: Attributes): OpenFile =>
      this.#table.open(attributes, this.#session.attributes.ticket(), false);
    const handles = restoredHandles(state, open, () => new ReadAhead(this.#options.readAheadBytes));
    this.#handles.restore(handles, state.lastHandle);
    this.#handleLocks.restore(state);
    this.#table.failures.restore(state.failures);
  }

  /** Gives every handle back, whose data are committed. Rejects with the first failure, but leaves none out. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#table.close();
    const files = [...this.#table];
    for (const file of files) file.unacknowledge();
    // All at once, so that a server that is away is waited for once.
    const released = await Promise.allSettled(
      [...this.#handles].map(async ([number, open]) => {
        await this.release(number);
        reportFailure(open);
      }),
    );
    await this.#releasing.settled();
    await this.#closing.settled();
    const failure = released.find(result => result.status === 'rejected');
    if (failure) throw toDfsError(failure.reason);
    // Of a file that is still open, also what a program was told that did not listen, or is not there any more.
    const failed = files.find(file => file.failures > 0);
    const { untold } = this.#table.failures;
    if (untold) throw untold;
    if (failed) throw failed.lastFailure ?? new DfsError('EIO', 'what was written is not stored');
  }

  /**
   * Everything written so far to an inode is committed by the metadata server's word. What no data node has taken within the
   * patience is given up: its programs are told (EIO, or ENOSPC when the data nodes are full), and the session goes on.
   * @throws EIO when the metadata server itself does not answer within as long again
   */
  async settle(inode: number, patienceMs: number): Promise<void> {
    await this.#table.get(inode)?.settledWithin(patienceMs);
  }

  /**
   * What was closed ahead of an inode, or of all when it is undefined, is committed as far as this client's own requests are
   * concerned. EIO when that takes longer than the timeout.
   */
  async closedOne(inode: number | undefined): Promise<void> {
    await this.#closing.flushed(inode);
  }

  /** Why a request by the handle must not be sent any more; undefined where there is no lock that it could lose. */
  #refusalOf(open: Handle): (() => DfsError | undefined) | undefined {
    return this.#handleLocks.isLocked(open.file.inode) ? () => lossOf(open) : undefined;
  }

  /** A handle by which may be written. Throws the failure of an earlier write. */
  #writable(handle: FileHandle): Handle {
    const open = this.#handles.usable(handle);
    requireWritable(open);
    reportFailure(open);
    return open;
  }

  #mayCloseAhead(file: OpenFile): boolean {
    const isOwn = this.#session.held.has(file.inode);
    return isOwn && !this.#isClosed && !this.#table.isNameless(file) && this.#closing.mayCloseAhead(file);
  }

  async #release(handle: FileHandle, open: Handle, flockOwner: string | undefined): Promise<void> {
    const { file } = open;
    try {
      const unlocking = this.#handleLocks.released(handle, file, flockOwner);
      // What was closed ahead nobody waits for.
      await (unlocking ?? file.flush(!this.#closing.has(file)));
      // With the last handle the file goes, and what is committed after that is refused.
      if (this.#table.isNameless(file)) await file.settledInTime();
    } finally {
      await this.#giveBack(open);
    }
  }

  /** The handle is gone, whatever became of what was written by it. */
  async #giveBack(open: Handle): Promise<void> {
    const { file } = open;
    if (open.toldFailures !== file.failures) this.#table.failures.leave(file);
    file.handles -= 1;
    try {
      if (file.handles > 0) return;
      if (file.isUnanswered) this.#closing.linger(file);
      else if (!this.#closing.has(file)) this.#table.leave(file);
      // Of a lock that was granted while another thread closed the file, nobody else would hear again.
      await this.#locks.unlockAll(file.inode);
    } finally {
      await this.#session.opens.release(file.inode);
    }
  }

  #accessed(file: OpenFile, flags: number): void {
    if (this.#accessTimes && (flags & constants.O_NOATIME) === 0)
      this.#accessTimes.accessed(file.present(file.attributes));
  }
}
