/** What is open through one client: the handles, the files behind them, and what is done by handle (see FileSystem). */
import { formatDuration } from '../platform/duration.js';
import { constants } from 'node:fs';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import type { AttributeTicket } from '../client/caches/attribute-cache.js';
import type { Revocation } from '../client/leases/cache-lease.js';
import type { Client } from '../client/client.js';
import { ExtentMaps } from '../client/content/extent-maps.js';
import { isDoneWithin, type Timer } from '../platform/clock.js';
import type { Loans } from '../platform/loans.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Payload } from '../protocol/frame.js';
import { clone, fallocate } from '../protocol/content-commands.js';
import { statfs } from '../protocol/namespace-commands.js';
import type { Attributes, PrivilegeLoss } from '../protocol/types.js';
import type { AccessTimes } from './access-times.js';
import { BlockPool } from './block-pool.js';
import { DirtyBudget } from './dirty-budget.js';
import type { Directories } from './directories.js';
import { FileAhead } from './file-ahead.js';
import { FallocateFlag, type FileHandle, type FileLock, type WriteOptions } from './file-system.js';
import type { WriterSurroundings } from './file-writer.js';
import { HandleLocks } from './handle-locks.js';
import { OpenFile } from './open-file.js';
import { ReadAhead } from './read-ahead.js';
import { StoreGathering } from './store-gathering.js';
import type { VfsOptions } from './vfs-options.js';

/** Chunks being stored at once: enough to keep every node and both directions of the network busy. */
const STORES_AT_ONCE = 8;
/** Written data does not wait longer than this before it is sent, whether or not a chunk is full. */
const MAX_DIRTY_AGE_MS = 500;
const DIRTY_CHECK_MS = 250;
/** Files whose extents are remembered after they are closed. */
const REMEMBERED_FILES = 4096;
/** While this client decides alone, copying so little costs no round trip, and sharing it does. */
const SMALL_COPY_BYTES = 64 << 10;
/** What close(2) does not wait for: of one file, of how many files, and for how long. */
const MAX_CLOSING_BYTES = 1 << 20;
const MAX_CLOSING_FILES = 256;
const MAX_CLOSING_MS = 500;

/** A chunk that no node takes fails with a reason of its own within the timeout and this. */
const OWN_FAILURE_MS = 1000;

/** A file that was closed before what was written was committed. */
interface Closing {
  readonly sinceMs: number;
  /** Never rejects. */
  readonly over: Promise<void>;
}

interface Handle {
  readonly file: OpenFile;
  readonly flags: number;
  readonly readAhead: ReadAhead;
  /** Failures of the file that this handle has been told of, or that are older than it. */
  toldFailures: number;
  /** Others may have had a lock of this client on the file: what the handle's user believes of it may be false. */
  hasLostLock: boolean;
}

export class OpenFiles {
  readonly #client: Client;
  readonly #options: VfsOptions;
  readonly #shared: WriterSurroundings;
  /** handle → the open file behind it */
  readonly #handles = new Map<FileHandle, Handle>();
  /** inode → the file, while any handle has it open, or what was written before it was closed is not committed */
  readonly #files = new Map<number, OpenFile>();
  /** inode → its extents, as far as known */
  readonly #extents: ExtentMaps;
  /** Undefined when nothing is to be read ahead. */
  readonly #fileAhead: FileAhead | undefined;
  /** Those closed first come first. */
  readonly #closing = new Map<OpenFile, Closing>();
  /** inode → a failure that no program was told of, since it had closed the file */
  readonly #untold = new LRUCache<number, DfsError>({ max: REMEMBERED_FILES });
  /** Files that are being given back. */
  readonly #releasing = new Set<Promise<void>>();
  readonly #handleLocks: HandleLocks;
  /** Undefined when reading moves none. */
  readonly #accessTimes: AccessTimes | undefined;
  #nextHandle = 1;
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
    this.#handleLocks = new HandleLocks(client.locks);
    this.#accessTimes = accessTimes;
    const { names, attributes } = client.session;
    const fetch = async (files: readonly Attributes[]): Promise<void> => await this.#prefetch(files);
    if (options.readAheadBytes > 0) {
      const following = (directory: number): number | undefined => directories.following(directory);
      this.#fileAhead = new FileAhead({ names, attributes, following, fetch });
    }
    this.#shared = {
      client,
      budget: new DirtyBudget(options.dirtyBytes, () => this.#sealAll(0)),
      pool: new BlockPool(options.dirtyBytes),
      clock: options.clock,
      chunkBytes: options.chunkBytes,
      storeLimit: pLimit(STORES_AT_ONCE),
      gathering: new StoreGathering(options.clock),
      onDisplaced,
      onFailed: (inode, reason) => this.#noteFailure(inode, reason),
    };
    client.session.lease.addKeeper({
      drop: async revocation => this.#drop(revocation),
      dropAll: async () => {
        for (const file of this.#files.values()) file.mayBeStale();
        this.#extents.forEach(extents => extents.clear());
      },
    });
    client.session.changes.onRecall = async () => await this.closed();
    client.session.onChangesLost = (inodes, reason) => {
      for (const inode of inodes) this.#noteFailure(inode, reason);
    };
    client.session.onLocksLost = inodes => this.#loseLocks(inodes);
    client.session.onSessionLost = () => this.#loseSession();
    client.session.onServerStarted = lost => this.#serverStarted(lost);
    this.#scheduleDirtyCheck();
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

  /** Reads small files, as far as nobody has them open, into the cache. Never rejects. */
  async #prefetch(files: readonly Attributes[]): Promise<void> {
    const { attributes } = this.#client.session;
    const ticket = attributes.ticket();
    const onAttributes = (told: Attributes): void => attributes.keep(ticket, told);
    const closed = files.filter(({ inode }) => !this.#files.has(inode));
    const ranges = closed.map(({ inode, version, size }) => {
      const extents = this.#extents.of(inode);
      extents.overtake(version);
      return { inode, extents, offset: 0, length: size, isSequential: true, onAttributes };
    });
    await this.#client.content.prefetchFiles(ranges);
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
      this.#files.set(inode, file);
    }
    file.note(attributes);
    const { lease, attributes: kept } = this.#client.session;
    // A revocation, or a change of this client, that overtook the reply did not find the file here.
    if (lease.isWanted && !kept.mayKeep(ticket, inode)) file.mayBeStale();
    file.handles += 1;
    const toldFailures = file.failures;
    const untold = this.#untold.get(inode);
    if (untold) {
      this.#untold.delete(inode);
      file.noteFailure(untold);
    }
    const handle = this.#takeNumber();
    this.#handles.set(handle, {
      file,
      flags,
      readAhead: new ReadAhead(this.#options.readAheadBytes),
      toldFailures,
      hasLostLock: false,
    });
    return handle;
  }

  inodeOf(handle: FileHandle): number {
    return this.#handle(handle).file.inode;
  }

  async read(handle: FileHandle, offset: number, length: number, loans?: Loans): Promise<Payload> {
    const { file, readAhead, flags } = this.#usableHandle(handle);
    if (accessMode(flags) === constants.O_WRONLY) throw new DfsError('EBADF', 'not open for reading');
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
    if (!zero && length > (await this.#client.session.ask(statfs, {})).freeBytes) {
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
    const left = Math.min(length, from.file.size - offset);
    if (
      left > 0 &&
      left <= SMALL_COPY_BYTES &&
      from.file !== to.file &&
      this.#client.session.changes.isOpen
    ) {
      throw new DfsError('EOPNOTSUPP', 'a few bytes are copied sooner than their sharing is asked for');
    }
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
    this.#accessed(from.file, from.flags);
    return copied;
  }

  async flush(handle: FileHandle, lockOwner?: string): Promise<void> {
    const open = this.#handle(handle);
    if (this.#mayCloseAhead(open.file)) this.#closeAhead(open.file);
    else await this.flushed(open.file);
    if (lockOwner !== undefined) await this.#handleLocks.flushed(open.file.inode, lockOwner);
    this.#tellFailure(open);
  }

  async fsync(handle: FileHandle): Promise<void> {
    const open = this.#usableHandle(handle);
    await open.file.fsync();
    this.#tellFailure(open);
  }

  async release(handle: FileHandle, flockOwner?: string): Promise<void> {
    const open = this.#handle(handle);
    this.#handles.delete(handle);
    const releasing = this.#release(handle, open, flockOwner);
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
    await this.#handleLocks.settled(inode);
    await this.#client.locks.lock({ inode, ...lock }, wait, signal);
    this.#handleLocks.locked(handle, inode, lock.kind, lock.owner);
    try {
      // What others wrote while they had the lock is to be seen from here on.
      await this.#client.session.getattr(inode);
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
    await this.#handleLocks.settled(inode);
    return await this.#client.locks.test({ inode, ...lock });
  }

  /**
   * As fsync on every file, but all at once.
   * @throws the first failure, after all were tried
   */
  async syncAll(): Promise<void> {
    await this.closed();
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
    for (const file of [...files, ...this.#closing.keys()]) file.unacknowledge();
    // All at once, so that a server that is away is waited for once.
    const released = await Promise.allSettled(
      [...this.#handles].map(async ([number, open]) => {
        await this.release(number);
        this.#tellFailure(open);
      }),
    );
    await Promise.allSettled(this.#releasing);
    await this.closed();
    const failure = released.find(result => result.status === 'rejected');
    if (failure) throw toDfsError(failure.reason);
    // Of a file that is still open, also what a program was told that did not listen, or is not there any more.
    const failed = files.find(file => file.failures > 0);
    const [untold] = this.#untold.values();
    if (untold) throw untold;
    if (failed) throw failed.lastFailure ?? new DfsError('EIO', 'what was written is not stored');
  }

  /** Everything is committed that was written before files were closed. */
  async closed(): Promise<void> {
    this.#shared.gathering.setOut();
    await Promise.all([...this.#closing.values()].map(async ({ over }) => await over));
  }

  /** The same of one file, as far as others who ask this client, or what it logs from now on, are concerned. */
  async closedOne(inode: number | undefined): Promise<void> {
    const files = [...this.#closing.keys()].filter(file => inode === undefined || file.inode === inode);
    if (files.length === 0) return;
    const { clock, timeoutMs } = this.#options;
    const flushed = Promise.all(files.map(async file => await file.flush()));
    if (await isDoneWithin(clock, timeoutMs, flushed)) return;
    throw notStored(timeoutMs);
  }

  /** As `flush` of the file; EIO when what was acknowledged before is not stored within the timeout, which goes on being tried. */
  async flushed(file: OpenFile): Promise<void> {
    if (!file.isAcknowledged) {
      await file.flush();
      return;
    }
    const { clock, timeoutMs } = this.#options;
    // What is not acknowledged fails by itself before.
    if (!(await isDoneWithin(clock, timeoutMs + OWN_FAILURE_MS, file.flush()))) throw notStored(timeoutMs);
  }

  /** Whether close(2) need not wait until what was written is committed. */
  #mayCloseAhead(file: OpenFile): boolean {
    const { changes, heldLocks } = this.#client.session;
    if (!file.isDirty || !changes.isOpen || !changes.mayOwe(this.#closing.size) || this.#isClosed)
      return false;
    // While no node takes anything, close(2) says so.
    if (!this.#client.writer.proof.isProven(file.goal)) return false;
    const { pendingBytes } = file;
    if (this.#isNameless(file)) return false;
    if (pendingBytes > MAX_CLOSING_BYTES || !changes.hasRoomFor(MAX_CLOSING_BYTES * MAX_CLOSING_FILES))
      return false;
    const [oldest] = this.#closing.values();
    const isYoung = !oldest || this.#options.clock.monotonicMs() - oldest.sinceMs < MAX_CLOSING_MS;
    // Who locks the file next must find what was written under this lock.
    return isYoung && this.#closing.size < MAX_CLOSING_FILES && heldLocks.owners(file.inode).length === 0;
  }

  #closeAhead(file: OpenFile): void {
    file.acknowledge();
    const earlier = this.#closing.get(file);
    const settle = async (): Promise<void> => await file.settled(false);
    const settled = earlier ? earlier.over.then(settle) : settle();
    const sinceMs = earlier?.sinceMs ?? this.#options.clock.monotonicMs();
    const closing: Closing = {
      sinceMs,
      over: settled.finally(() => {
        if (this.#closing.get(file) !== closing) return;
        this.#closing.delete(file);
        this.#forgetClosed(file);
      }),
    };
    this.#closing.set(file, closing);
  }

  async #release(handle: FileHandle, open: Handle, flockOwner: string | undefined): Promise<void> {
    const { file } = open;
    const unlocking = this.#handleLocks.released(handle, file, flockOwner);
    // What was closed ahead nobody waits for.
    await (unlocking ?? file.flush(!this.#closing.has(file)));
    // With the last handle the file goes, and what is committed after that is refused.
    if (this.#isNameless(file)) await file.settled();
    if (open.toldFailures !== file.failures && file.lastFailure)
      this.#untold.set(file.inode, file.lastFailure);
    file.handles -= 1;
    if (file.handles === 0) {
      this.#forgetClosed(file);
      // Of a lock that was granted while another thread closed the file, nobody else would hear again.
      await this.#client.locks.unlockAll(file.inode);
    }
    await this.#client.session.opens.release(file.inode);
  }

  /** No handle has the file open, and all of it is committed: the next open begins anew. */
  #forgetClosed(file: OpenFile): void {
    if (file.handles > 0 || this.#closing.has(file) || this.#files.get(file.inode) !== file) return;
    this.#files.delete(file.inode);
    this.#extents.letGo(file.inode);
  }

  /** An acknowledged change of a file is lost: its open handles report the error, or the next open does. */
  #noteFailure(inode: number, reason: DfsError): void {
    const file = this.#files.get(inode);
    if (file && file.handles > 0) file.noteFailure(reason);
    else this.#untold.set(inode, reason);
  }

  #accessed(file: OpenFile, flags: number): void {
    if (this.#accessTimes && (flags & constants.O_NOATIME) === 0)
      this.#accessTimes.accessed(file.present(file.attributes));
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
      'the metadata server lost its power before what was written was on its disk; write it again',
    );
    this.#extents.forEach(extents => extents.forget());
    for (const file of this.#files.values()) file.serverStarted(lost.has(file.inode) ? reason : undefined);
  }

  #loseLocks(inodes: readonly number[]): void {
    const lost = new Set(inodes);
    for (const open of this.#handles.values()) {
      if (!lost.has(open.file.inode)) continue;
      open.hasLostLock = true;
      open.file.abandonWrites(lostLock());
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

/** O_RDONLY, O_WRONLY or O_RDWR of the flags of open(2). */
export function accessMode(flags: number): number {
  return flags & (constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR);
}

function notStored(timeoutMs: number): DfsError {
  return new DfsError(
    'EIO',
    `what was closed is not stored after ${formatDuration(timeoutMs)}: no data node takes it`,
  );
}

function lostLock(): DfsError {
  return new DfsError(
    'EIO',
    'this client was away for so long that its lock on the file was given to others; open the file anew',
  );
}
