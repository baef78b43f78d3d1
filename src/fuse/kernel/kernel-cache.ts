/**
 * What the kernel keeps of this mount: how long it may believe it, and how it is made to drop it.
 *
 * The kernel's own rules make the difference (fs/fuse; the names are its functions'):
 *
 * - Attributes: fuse_reverse_inval_inode with a negative offset takes no lock that anybody holds while he waits for us,
 *   and moves the inode's attr_version on, so that a GETATTR or LOOKUP under way does not bring old attributes back.
 *   SETATTR and LINK have no such check, so what they return is never to be kept.
 *   But who asked, and whose answer is not taken for that reason, goes on with the mode and the size that the inode has,
 *   from before the invalidation before this one, or with none at all (fuse_change_attributes). So of an inode that
 *   others change, nothing is told to be kept for a while, and nothing needs to be invalidated: who asks, has it. What was
 *   told a moment ago gets the time to be taken up before it is invalidated.
 *   An inode that the kernel does not know yet may be in an answer that was written but not yet taken up. The count of
 *   lookups (answers minus FORGETs) tells: while it is above zero the invalidation is repeated.
 * - Names: fuse_reverse_inval_entry takes the directory's lock, so it comes after every lookup, create, … that holds it;
 *   and it unhashes the name, so that a revalidation under way brings nothing back. But who holds that lock may wait
 *   for the metadata server, which may wait for another client to answer a `revoke`, whose name lies in a directory
 *   that is locked there by a request that waits for the server, which waits for us: a circle over two machines. So
 *   where an own request is under way in the directory, or the lock is not to be had at once, FUSE_NOTIFY_INC_EPOCH is
 *   sent instead: it takes no lock, and every name of the mount is looked up anew, also those that requests under way
 *   bring, since the kernel takes the epoch when a request begins. Dearer, but it never waits. A kernel without it
 *   (before 7.44) is not allowed to keep names.
 * - Content: dropping pages waits for those that are being read or written back, and those may need servers. Reading a
 *   page never waits for another client, so it is waited for, but not for ever: once the attributes are invalid, read(2)
 *   asks for them first, sees another mtime or size, and drops the pages itself (FUSE_AUTO_INVAL_DATA); open(2) drops
 *   them too, without FOPEN_KEEP_CACHE. What comes late is only what a mapping shows while pages of the same file are
 *   under way. Dropping pages moves attr_version on as well: a file that others change is therefore opened without
 *   pages (FOPEN_DIRECT_IO), so that no read(2) of it depends on the size that the kernel holds.
 */
import { constants } from 'node:os';
import { sleep, type Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { isRegularFile, ROOT_INODE, S_ISGID, S_ISUID, S_IXGRP } from '../../protocol/file-mode.js';
import type { Attributes } from '../../protocol/types.js';
import type { CacheKeeper, FileSystem, KeepingLease, Revocation } from '../../vfs/file-system.js';
import {
  INC_EPOCH_MINOR_VERSION,
  invalidateAllEntries,
  invalidateAttributes,
  invalidateContent,
  invalidateEntry,
  invalidateRange,
} from './notification.js';
import { Notifier } from './notifier.js';
import { OpenFlag, type CacheTimes } from './wire.js';

/** How long the kernel believes what a lease covers: until it is told otherwise, in effect. */
const LEASED_MS = 3_600_000;
/** How long a name's directory may be locked before all names are dropped instead. */
const NAME_PATIENCE_MS = 10;
/** How long pages under way are waited for. */
const CONTENT_PATIENCE_MS = 1000;
/** Readers of pages that are heard of no more for this long have none under way. */
const QUIET_MS = 1000;
/** An inode that somebody else changed this long ago is likely to be changed again. */
const CONTENDED_MS = 2000;
/** Within this time whoever asked has taken up the answer that was written for him. */
const TAKEN_UP_MS = 2;
/** Pauses before an inode that is on its way to the kernel is invalidated again. */
const RETRY_PAUSES_MS = [1, 4, 20, 100, 400];
/** Notifications handed to the thread at a time. */
const BATCH = 1024;

/** An inode of which the kernel was told. */
interface KnownInode {
  /** Answers that told it as an entry, minus what the kernel forgot. */
  lookups: number;
  /** The content's version when its attributes were told last. */
  version: number;
  readonly isRegular: boolean;
  /** As they were told last. */
  attributes?: Attributes;
  /** Monotonic ms at which somebody else changed it last, as far as the kernel may have known of it. */
  changedMs: number;
  /** Monotonic ms at which they, or an ACL, were told last to be kept. */
  toldMs: number;
  /** What was told before is dropped. */
  droppedMs: number;
  /** Monotonic ms at which a READ or WRITE came last that leaves pages. */
  pagesMs: number;
  /** What came before is dropped. */
  pagesDroppedMs: number;
}

/** Before every other time. */
const NEVER_MS = Number.NEGATIVE_INFINITY;

export interface KernelCacheOptions {
  readonly fd: number;
  readonly fileSystem: FileSystem;
  /** What the kernel may believe when there is no lease. */
  readonly times: CacheTimes;
  readonly clock: Clock;
  readonly log: Logger;
  /** Writes a notification at once, on this thread: for what never waits. */
  readonly writeNow: (message: Buffer) => void;
}

export class KernelCache implements CacheKeeper {
  readonly #options: KernelCacheOptions;
  /** For attributes, which never wait for a request of ours. */
  readonly #fast: Notifier;
  /** For names and content, which may. */
  readonly #slow: Notifier;
  /** inode → what the kernel knows of it; the root, which is never looked up, is always in it */
  readonly #known = new Map<number, KnownInode>();
  /** directory → own requests under way that may hold its lock */
  readonly #busy = new Map<number, number>();
  /** Directories whose entries the kernel may have kept, and which have not changed since it began to read them. */
  readonly #listed = new Set<number>();
  #lease: KeepingLease | undefined;
  #kernelMinor = 0;
  #mayBypassPages = false;

  private constructor(options: KernelCacheOptions) {
    this.#options = options;
    this.#fast = Notifier.start(options.fd, options.log);
    this.#slow = Notifier.start(options.fd, options.log);
    this.#known.set(ROOT_INODE, {
      lookups: Number.POSITIVE_INFINITY,
      version: 0,
      isRegular: false,
      changedMs: NEVER_MS,
      toldMs: NEVER_MS,
      droppedMs: 0,
      pagesMs: NEVER_MS,
      pagesDroppedMs: 0,
    });
  }

  /** Asks the file system for a lease. Rejects as any request to it does. */
  static async open(options: KernelCacheOptions): Promise<KernelCache> {
    const cache = new KernelCache(options);
    try {
      cache.#lease = await options.fileSystem.keepCaches(cache);
    } catch (error) {
      await cache.close();
      throw error;
    }
    return cache;
  }

  /** The protocol's minor version that the kernel speaks. */
  set kernelMinor(minor: number) {
    this.#kernelMinor = minor;
  }

  /** Whether a file that is opened without pages may be mapped all the same. */
  set mayBypassPages(may: boolean) {
    this.#mayBypassPages = may;
  }

  /** Taken when a request begins; shown when its reply is there. */
  ticket(): number {
    return this.#lease?.ticket() ?? 0;
  }

  /** How long the kernel may believe that a name leads where it does, or nowhere. */
  nameMs(ticket: number, directory: number, isNegative = false): number {
    const { entryTimeoutMs, negativeTimeoutMs } = this.#options.times;
    const isLeased =
      this.#kernelMinor >= INC_EPOCH_MINOR_VERSION && this.#lease?.mayKeepNames(ticket, directory);
    if (isLeased) return LEASED_MS;
    return isNegative ? negativeTimeoutMs : entryTimeoutMs;
  }

  /** How long the kernel may believe attributes. Notes which it was told. */
  attributesMs(ticket: number, attributes: Attributes): number {
    const known = this.#known.get(attributes.inode);
    if (known) {
      known.version = attributes.version;
      known.attributes = attributes;
      if (this.#isContended(known)) return 0;
      known.toldMs = this.#options.clock.monotonicMs();
    }
    const isLeased = this.#lease?.mayKeepAttributes(ticket, attributes.inode);
    return isLeased ? LEASED_MS : this.#options.times.attrTimeoutMs;
  }

  /** What OPEN says of the kernel's keeping of pages. */
  openFlags(ticket: number, inode: number, openFlags: number): number {
    const known = this.#known.get(inode);
    if (this.#mayBypassPages && known && this.#isContended(known)) return OpenFlag.directIo;
    return this.#lease?.mayKeepContent(ticket, inode, openFlags) ? OpenFlag.keepCache : 0;
  }

  /**
   * What OPENDIR says of the kernel's keeping of entries. It keeps what it reads, and asks for the directory's mtime before
   * it believes that (fuse_readdir_cached), but forgets it with the next opendir(3) unless told to keep it. What is opened
   * before a change and read after it is noticed by the mtime.
   */
  listingFlags(ticket: number, directory: number): number {
    if (!this.#lease?.mayKeepListing(ticket, directory)) return 0;
    if (this.#listed.has(directory)) return OpenFlag.cacheDirectory | OpenFlag.keepCache;
    this.#listed.add(directory);
    return OpenFlag.cacheDirectory;
  }

  /** A request of this mount changes names in the directory. */
  listingChanges(directory: number): void {
    this.#listed.delete(directory);
  }

  /** The attributes may have been told without a lease, and are to be asked for anew; pages follow them. */
  doubt(inode: number): void {
    if (this.#options.times.attrTimeoutMs > 0) void this.#dropAttributes([inode]);
  }

  /**
   * Somebody changed the file who lacks CAP_FSETID. The kernel, which leaves taking setuid and setgid away to us, would
   * go on to believe in them, and execute the file with them.
   */
  async dropPrivileges(inode: number): Promise<void> {
    const mode = this.#known.get(inode)?.attributes?.mode ?? 0;
    if ((mode & (S_ISUID | S_ISGID)) !== 0) await this.#dropAttributes([inode]);
  }

  /** The group of a file with setgid that its group may not execute. */
  lockingGroup(inode: number): number | undefined {
    const told = this.#known.get(inode)?.attributes;
    return told && (told.mode & (S_ISGID | S_IXGRP)) === S_ISGID ? told.gid : undefined;
  }

  /** An answer that tells the inode as an entry is about to be written. */
  noteLookup(attributes: Attributes): void {
    const { inode, version, mode } = attributes;
    const known = this.#known.get(inode);
    if (known) {
      known.lookups += 1;
      known.attributes = attributes;
    } else {
      const toldMs = this.#options.clock.monotonicMs();
      this.#known.set(inode, {
        lookups: 1,
        version,
        isRegular: isRegularFile(mode),
        attributes,
        changedMs: NEVER_MS,
        toldMs,
        droppedMs: NEVER_MS,
        // It may be one that was forgotten a moment ago, or not quite yet.
        pagesMs: toldMs,
        pagesDroppedMs: NEVER_MS,
      });
    }
  }

  /** An ACL is asked for, which the kernel keeps until the attributes are invalidated (forget_all_cached_acls). */
  noteAcl(inode: number): void {
    const known = this.#known.get(inode);
    if (known) known.toldMs = this.#options.clock.monotonicMs();
  }

  /** A READ or WRITE came that leaves pages. */
  notePages(inode: number): void {
    const known = this.#known.get(inode);
    if (known) known.pagesMs = this.#options.clock.monotonicMs();
  }

  /**
   * A write that went past the kernel's pages is done, and about to be answered. The kernel drops its pages of that range
   * before such a write; those that readers have fetched since, it drops after a write(2), but not after one of io_submit(2)
   * (fuse_aio_complete), nor after one by OpenFlag.directIo. What is read from here on is new: a page that is still being
   * read is waited for, and dropped.
   */
  async dropWritten(inode: number, offset: number, length: number): Promise<void> {
    const known = this.#known.get(inode);
    if (!known || length === 0 || !this.#hasPages(inode)) return;
    const nowMs = this.#options.clock.monotonicMs();
    // Nobody has used pages for a while: they are dropped once, and the writes that follow have nothing to drop.
    const isQuiet = nowMs - known.pagesMs > QUIET_MS;
    const message = isQuiet ? invalidateContent(inode) : invalidateRange(inode, offset, length);
    const isDone = await this.#within(CONTENT_PATIENCE_MS, this.#slow.write([message]));
    if (isQuiet && isDone) known.pagesDroppedMs = Math.max(known.pagesDroppedMs, nowMs);
  }

  /** What the kernel was told last of an inode that it has not forgotten. */
  lastAttributes(inode: number): Attributes | undefined {
    return this.#known.get(inode)?.attributes;
  }

  /** FORGET */
  forget(inode: number, lookups: number): void {
    const known = this.#known.get(inode);
    if (!known) return;
    known.lookups -= lookups;
    if (known.lookups > 0) return;
    this.#known.delete(inode);
    this.#listed.delete(inode);
  }

  /** A request that may hold the directory's lock begins. */
  enter(directory: number): void {
    this.#busy.set(directory, (this.#busy.get(directory) ?? 0) + 1);
  }

  /** It was answered. */
  leave(directory: number): void {
    const requests = this.#busy.get(directory) ?? 0;
    if (requests > 1) this.#busy.set(directory, requests - 1);
    else this.#busy.delete(directory);
  }

  async drop({ inodes, names, directories }: Revocation): Promise<void> {
    const attributes: number[] = [];
    const contents: number[] = [];
    for (const { parent } of names) this.#listed.delete(parent);
    for (const directory of directories) this.#listed.delete(directory);
    for (const { inode, version } of inodes) {
      this.#listed.delete(inode);
      const known = this.#known.get(inode);
      if (!known) continue;
      known.changedMs = this.#options.clock.monotonicMs();
      attributes.push(inode);
      if (known.isRegular && known.version !== version) contents.push(inode);
    }
    const known = names.filter(({ parent }) => this.#known.has(parent));
    const isBusy = known.some(({ parent }) => this.#busy.has(parent));
    const isAllNames = isBusy || directories.some(directory => this.#known.has(directory));
    if (isAllNames) this.#dropAllNames();
    const entries = isAllNames ? [] : known.map(({ parent, name }) => invalidateEntry(parent, name));
    await Promise.all([
      this.#dropAttributes(attributes),
      this.#dropNames(entries),
      this.#dropContents(contents),
    ]);
  }

  async dropAll(): Promise<void> {
    this.#listed.clear();
    this.#dropAllNames();
    const inodes = [...this.#known.keys()];
    const files = [...this.#known].filter(([, { isRegular }]) => isRegular);
    await Promise.all([this.#dropAttributes(inodes), this.#dropContents(files.map(([inode]) => inode))]);
  }

  /** For after the mount has ended. May be called twice. */
  async close(): Promise<void> {
    this.#options.fileSystem.endCaches(this);
    this.#lease = undefined;
    await Promise.all([this.#fast.close(), this.#slow.close()]);
  }

  async #dropAttributes(inodes: readonly number[]): Promise<void> {
    const told = inodes.filter(inode => this.#isTold(inode));
    if (told.length === 0) return;
    await this.#takenUp(told);
    for (let at = 0; at < told.length; at += BATCH) await this.#invalidate(told.slice(at, at + BATCH));
  }

  /** Whether others change the inode these days. */
  #isContended({ changedMs }: KnownInode): boolean {
    return this.#options.clock.monotonicMs() - changedMs < CONTENDED_MS;
  }

  /** Resolves when whoever asked for the attributes has them. */
  async #takenUp(inodes: readonly number[]): Promise<void> {
    const { clock } = this.#options;
    const recentMs = clock.monotonicMs() - TAKEN_UP_MS;
    const isRecent = inodes.some(inode => (this.#known.get(inode)?.toldMs ?? recentMs) > recentMs);
    if (isRecent) await sleep(clock, TAKEN_UP_MS);
  }

  /** Whether the kernel was told attributes of the inode since they were dropped last. */
  #isTold(inode: number): boolean {
    const known = this.#known.get(inode);
    return known !== undefined && known.toldMs >= known.droppedMs;
  }

  async #invalidate(inodes: readonly number[]): Promise<void> {
    const { clock } = this.#options;
    const sinceMs = clock.monotonicMs();
    let left = inodes;
    for (const pauseMs of [0, ...RETRY_PAUSES_MS]) {
      if (pauseMs > 0) await sleep(clock, pauseMs);
      const results = await this.#fast.write(left.map(inode => invalidateAttributes(inode)));
      // Not there, but told: the answer is on its way, or a FORGET is.
      left = left.filter(
        (inode, index) => results[index] === -constants.errno.ENOENT && this.#known.has(inode),
      );
      if (left.length === 0) break;
    }
    for (const inode of inodes) {
      const known = this.#known.get(inode);
      if (known) known.droppedMs = Math.max(known.droppedMs, sinceMs);
    }
    // An answer that was interrupted: nobody took it, and nobody will forget it.
    for (const inode of left) if (inode !== ROOT_INODE) this.#known.delete(inode);
  }

  async #dropNames(entries: readonly Buffer[]): Promise<void> {
    if (entries.length === 0) return;
    const isDone = await this.#within(NAME_PATIENCE_MS, this.#slow.write(entries));
    if (!isDone) this.#dropAllNames();
  }

  async #dropContents(inodes: readonly number[]): Promise<void> {
    const kept = inodes.filter(inode => this.#hasPages(inode));
    if (kept.length === 0) return;
    await this.#takenUp(kept);
    const sinceMs = this.#options.clock.monotonicMs();
    const dropping = this.#slow.write(kept.map(inode => invalidateContent(inode))).then(() => {
      for (const inode of kept) {
        const known = this.#known.get(inode);
        if (known) known.pagesDroppedMs = Math.max(known.pagesDroppedMs, sinceMs);
      }
    });
    await this.#within(CONTENT_PATIENCE_MS, dropping);
  }

  /** Whether the kernel may have got pages of the inode since they were dropped last. */
  #hasPages(inode: number): boolean {
    const known = this.#known.get(inode);
    return known !== undefined && known.pagesMs >= known.pagesDroppedMs;
  }

  #dropAllNames(): void {
    if (this.#kernelMinor >= INC_EPOCH_MINOR_VERSION) this.#options.writeNow(invalidateAllEntries());
  }

  /** Whether `work` was done in time. */
  async #within(ms: number, work: Promise<unknown>): Promise<boolean> {
    return await new Promise<boolean>(resolve => {
      const timer = this.#options.clock.setTimer(ms, () => resolve(false), true);
      void work.then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }
}
