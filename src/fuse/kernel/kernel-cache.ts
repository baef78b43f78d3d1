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
import { isRegularFile, ROOT_INODE, S_IFDIR, S_ISGID, S_ISUID, S_IXGRP } from '../../protocol/file-mode.js';
import type { Attributes } from '../../protocol/types.js';
import type { CacheKeeper, FileSystem, KeepingLease, Revocation } from '../../vfs/file-system.js';
import { InodePruning } from './inode-pruning.js';
import { KnownInodes } from './known-inodes.js';
import { LastTold } from './last-told.js';
import {
  INC_EPOCH_MINOR_VERSION,
  invalidateAllEntries,
  invalidateAttributes,
  invalidateContent,
  invalidateEntry,
  invalidateRange,
  PRUNE_MINOR_VERSION,
  pruneInodes,
} from './notification.js';
import { Notifier } from './notifier.js';
import { OverlayNames } from './overlay-names.js';
import { OpenFlag, type CacheTimes } from './wire.js';

/** How long the kernel believes what a lease covers: until it is told otherwise, in effect. */
const LEASED_MS = 3_600_000;
/** How long a name's directory may be locked before all names are dropped instead. */
const NAME_PATIENCE_MS = 10;
/** The same while dropping all names would break an overlay. */
const OVERLAY_PATIENCE_MS = 1000;
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

/** Of the memory for what the kernel knows, for attributes as they were told last. */
const LAST_TOLD_PART = 1 / 8;

export interface KernelCacheOptions {
  readonly fd: number;
  readonly fileSystem: FileSystem;
  /** What the kernel may believe when there is no lease. */
  readonly times: CacheTimes;
  /** False: the kernel is never allowed to keep names (OverlayNames). */
  readonly keepsNames: boolean;
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
  /** What the kernel knows; the root, which is never looked up, is always in it. */
  readonly #known = new KnownInodes();
  #pruning: InodePruning | undefined;
  #lastTold = new LastTold(0);
  /** inode → the group of a file that has setgid, and that its group may not execute */
  readonly #lockingGroups = new Map<number, number>();
  /** inode → monotonic ms at which somebody else changed it last; the latest come last, and only these count */
  readonly #changedMs = new Map<number, number>();
  /** directory → own requests under way that may hold its lock */
  readonly #busy = new Map<number, number>();
  #lease: KeepingLease | undefined;
  #kernelMinor = 0;
  #mayBypassPages = false;
  readonly overlay: OverlayNames;

  private constructor(options: KernelCacheOptions) {
    this.#options = options;
    const { clock, keepsNames } = options;
    this.overlay = new OverlayNames({ clock, keepsNames, leasedMs: LEASED_MS });
    this.#fast = Notifier.start(options.fd, options.log);
    this.#slow = Notifier.start(options.fd, options.log);
    this.#known.addLookup(ROOT_INODE, S_IFDIR, 0, options.clock.monotonicMs());
  }

  /** Asks the file system for a lease. Rejects as any request to it does. */
  static async open(options: KernelCacheOptions): Promise<KernelCache> {
    const cache = new KernelCache(options);
    try {
      const lease = await options.fileSystem.keepCaches(cache);
      cache.#lease = lease;
      cache.#lastTold = new LastTold(lease.nodeBytes * LAST_TOLD_PART);
      cache.#pruning = new InodePruning({
        known: cache.#known,
        limitBytes: lease.nodeBytes * (1 - LAST_TOLD_PART),
        prune: async inodes => await cache.#prune(inodes),
      });
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

  /** What is noted of the inodes that the kernel knows costs so much memory. */
  get usedBytes(): number {
    return this.#known.usedBytes + this.#lastTold.usedBytes;
  }

  /** Taken when a request begins; shown when its reply is there. */
  ticket(): number {
    return this.#lease?.ticket() ?? 0;
  }

  /** How long the kernel may believe that a name leads where it does, or nowhere. */
  nameMs(ticket: number, directory: number, isNegative = false): number {
    const { entryTimeoutMs, negativeTimeoutMs } = this.#options.times;
    const isLeased =
      this.overlay.mayKeep &&
      this.#kernelMinor >= INC_EPOCH_MINOR_VERSION &&
      this.#lease?.mayKeepNames(ticket, directory);
    if (isLeased) return LEASED_MS;
    return isNegative ? negativeTimeoutMs : entryTimeoutMs;
  }

  /** How long the kernel may believe attributes. Notes which it was told. */
  attributesMs(ticket: number, attributes: Attributes): number {
    const { inode, mode, version } = attributes;
    this.#known.tell(inode, mode, version);
    this.#remember(attributes);
    if (this.#isContended(inode)) return 0;
    this.#known.keepTold(inode, this.#options.clock.monotonicMs());
    const isLeased = this.#lease?.mayKeepAttributes(ticket, inode);
    return isLeased ? LEASED_MS : this.#options.times.attrTimeoutMs;
  }

  /** What OPEN says of the kernel's keeping of pages. */
  openFlags(ticket: number, inode: number, openFlags: number): number {
    if (this.#mayBypassPages && this.#isContended(inode)) return OpenFlag.directIo;
    return this.#lease?.mayKeepContent(ticket, inode, openFlags) ? OpenFlag.keepCache : 0;
  }

  /**
   * What OPENDIR says of the kernel's keeping of entries. It keeps what it reads, and asks for the directory's mtime before
   * it believes that (fuse_readdir_cached), but forgets it with the next opendir(3) unless told to keep it. What is opened
   * before a change and read after it is noticed by the mtime.
   */
  listingFlags(ticket: number, directory: number): number {
    if (!this.#lease?.mayKeepListing(ticket, directory)) return 0;
    if (this.#known.isListed(directory)) return OpenFlag.cacheDirectory | OpenFlag.keepCache;
    this.#known.setListed(directory, true);
    return OpenFlag.cacheDirectory;
  }

  /** A request of this mount changes names in the directory. */
  listingChanges(directory: number): void {
    this.#known.setListed(directory, false);
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
    if ((this.#known.modeOf(inode) & (S_ISUID | S_ISGID)) !== 0) await this.#dropAttributes([inode]);
  }

  /** The group of a file with setgid that its group may not execute. */
  lockingGroup(inode: number): number | undefined {
    return this.#lockingGroups.get(inode);
  }

  /** An answer that tells the inode as an entry is about to be written. */
  noteLookup(attributes: Attributes): void {
    const { inode, version, mode } = attributes;
    const isNew = this.#known.addLookup(inode, mode, version, this.#options.clock.monotonicMs());
    this.#remember(attributes);
    if (isNew) this.#pruning?.added();
  }

  /** An ACL is asked for, which the kernel keeps until the attributes are invalidated (forget_all_cached_acls). */
  noteAcl(inode: number): void {
    this.#known.keepTold(inode, this.#options.clock.monotonicMs());
  }

  /** A READ or WRITE came that leaves pages. */
  notePages(inode: number): void {
    this.#known.notePages(inode, this.#options.clock.monotonicMs());
  }

  /**
   * A write that went past the kernel's pages is done, and about to be answered. The kernel drops its pages of that range
   * before such a write; those that readers have fetched since, it drops after a write(2), but not after one of io_submit(2)
   * (fuse_aio_complete), nor after one by OpenFlag.directIo. What is read from here on is new: a page that is still being
   * read is waited for, and dropped.
   */
  async dropWritten(inode: number, offset: number, length: number): Promise<void> {
    if (length === 0 || !this.#known.mayHavePages(inode)) return;
    const nowMs = this.#options.clock.monotonicMs();
    // Nobody has used pages for a while: they are dropped once, and the writes that follow have nothing to drop.
    const isQuiet = !this.#known.hadPagesWithin(inode, nowMs, QUIET_MS);
    const message = isQuiet ? invalidateContent(inode) : invalidateRange(inode, offset, length);
    const isDone = await this.#within(CONTENT_PATIENCE_MS, this.#slow.write([message]));
    if (isQuiet && isDone) this.#known.dropPages(inode, nowMs);
  }

  /** What the kernel was told last of an inode that it has not forgotten, unless that is long ago. */
  lastAttributes(inode: number): Attributes | undefined {
    return this.#known.has(inode) ? this.#lastTold.get(inode) : undefined;
  }

  /** FORGET */
  forget(inode: number, lookups: number): void {
    if (inode !== ROOT_INODE) this.#known.takeLookups(inode, lookups);
    if (!this.#known.has(inode)) this.#lockingGroups.delete(inode);
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
    for (const { parent } of names) this.#known.setListed(parent, false);
    for (const directory of directories) this.#known.setListed(directory, false);
    for (const { inode, version } of inodes) {
      this.#known.setListed(inode, false);
      if (!this.#known.has(inode)) continue;
      this.#noteChange(inode);
      attributes.push(inode);
      const isOther = this.#known.isOtherVersion(inode, version);
      if (isOther && isRegularFile(this.#known.modeOf(inode))) contents.push(inode);
    }
    const known = names.filter(({ parent }) => this.#known.has(parent));
    const isBusy = this.overlay.mayKeep && known.some(({ parent }) => this.#busy.has(parent));
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
    this.#known.noneListed();
    this.#dropAllNames();
    const inodes = [...this.#known.inodes()];
    const files = inodes.filter(inode => isRegularFile(this.#known.modeOf(inode)));
    await Promise.all([this.#dropAttributes(inodes), this.#dropContents(files)]);
  }

  /** For after the mount has ended. May be called twice. */
  async close(): Promise<void> {
    this.#options.fileSystem.endCaches(this);
    this.#lease = undefined;
    await Promise.all([this.#fast.close(), this.#slow.close()]);
  }

  async #dropAttributes(inodes: readonly number[]): Promise<void> {
    const told = inodes.filter(inode => this.#known.isTold(inode));
    if (told.length === 0) return;
    await this.#takenUp(told);
    for (let at = 0; at < told.length; at += BATCH) await this.#invalidate(told.slice(at, at + BATCH));
  }

  /** Whether others change the inode these days. */
  #isContended(inode: number): boolean {
    const changedMs = this.#changedMs.get(inode);
    return changedMs !== undefined && this.#options.clock.monotonicMs() - changedMs < CONTENDED_MS;
  }

  #noteChange(inode: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    // The latest comes last.
    this.#changedMs.delete(inode);
    this.#changedMs.set(inode, nowMs);
    for (const [oldest, changedMs] of this.#changedMs) {
      if (nowMs - changedMs < CONTENDED_MS) break;
      this.#changedMs.delete(oldest);
    }
  }

  #remember(attributes: Attributes): void {
    const { inode, mode, gid } = attributes;
    this.#lastTold.note(attributes);
    if ((mode & (S_ISGID | S_IXGRP)) === S_ISGID && this.#known.has(inode))
      this.#lockingGroups.set(inode, gid);
    else if (this.#lockingGroups.size > 0) this.#lockingGroups.delete(inode);
  }

  async #prune(inodes: readonly number[]): Promise<void> {
    const canForget = this.#kernelMinor >= PRUNE_MINOR_VERSION;
    const results = canForget
      ? await this.#slow.write([pruneInodes(inodes.filter(inode => inode !== ROOT_INODE))])
      : [-constants.errno.ENOSYS];
    this.#options.log.debug(
      { known: this.#known.size, asked: inodes.length, result: results[0] },
      'the kernel was asked to forget inodes',
    );
  }

  /** Resolves when whoever asked for the attributes has them. */
  async #takenUp(inodes: readonly number[]): Promise<void> {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const isRecent = inodes.some(inode => this.#known.wasToldWithin(inode, nowMs, TAKEN_UP_MS));
    if (isRecent) await sleep(clock, TAKEN_UP_MS);
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
    for (const inode of inodes) this.#known.dropTold(inode, sinceMs);
    // An answer that was interrupted: nobody took it, and nobody will forget it.
    for (const inode of left) if (inode !== ROOT_INODE) this.#known.remove(inode);
  }

  async #dropNames(entries: readonly Buffer[]): Promise<void> {
    if (entries.length === 0 || this.overlay.isClear) return;
    const patienceMs = this.overlay.mayKeep ? NAME_PATIENCE_MS : OVERLAY_PATIENCE_MS;
    const isDone = await this.#within(patienceMs, this.#slow.write(entries));
    if (!isDone) this.#dropAllNames();
  }

  async #dropContents(inodes: readonly number[]): Promise<void> {
    const kept = inodes.filter(inode => this.#known.mayHavePages(inode));
    if (kept.length === 0) return;
    await this.#takenUp(kept);
    const sinceMs = this.#options.clock.monotonicMs();
    await this.#within(CONTENT_PATIENCE_MS, this.#dropPages(kept, sinceMs));
  }

  async #dropPages(inodes: readonly number[], sinceMs: number): Promise<void> {
    for (let at = 0; at < inodes.length; at += BATCH) {
      const batch = inodes.slice(at, at + BATCH);
      await this.#slow.write(batch.map(inode => invalidateContent(inode)));
      for (const inode of batch) this.#known.dropPages(inode, sinceMs);
    }
  }

  #dropAllNames(): void {
    if (this.#kernelMinor < INC_EPOCH_MINOR_VERSION || this.overlay.isClear) return;
    this.#options.writeNow(invalidateAllEntries());
    this.overlay.forgotten();
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
