/**
 * The kernel's caches of this mount: how long each thing may be believed, and what of them goes when another client
 * changes it. How the kernel is made to drop it, and why it is done so, is in invalidator.ts.
 */
import { constants } from 'node:fs';
import type { Clock } from '../../platform/clock.js';
import { Counts } from '../../platform/counts.js';
import type { Logger } from '../../platform/log.js';
import { isRegularFile, ROOT_INODE, S_IFDIR, S_ISGID, S_ISUID, S_IXGRP } from '../../protocol/file-mode.js';
import type { KernelState } from '../../protocol/take-over.js';
import type { Attributes } from '../../protocol/types.js';
import {
  TOLD_BYTES,
  type CacheKeeper,
  type FileSystem,
  type KeepingLease,
  type Revocation,
} from '../../vfs/file-system.js';
import type { TakenMount } from '../driver.js';
import { ContendedInodes } from './contended-inodes.js';
import { InodePruning } from './inode-pruning.js';
import { Invalidator } from './invalidator.js';
import { KnownInodes } from './known-inodes.js';
import { LastTold } from './last-told.js';
import { INC_EPOCH_MINOR_VERSION, invalidateEntry } from './notification.js';
import { OverlayNames } from './overlay-names.js';
import { OpenFlag, type CacheTimes, type EntryTimes } from './wire.js';

/** How long the kernel believes what a lease covers: until it is told otherwise, in effect. */
const LEASED_MS = 3_600_000;
/** Of the memory for what the kernel knows, for attributes as they were told last. */
const LAST_TOLD_PART = 1 / 8;

/** The pages of more files than this are dropped together, also where a program of this mount writes to one. */
const MANY_CONTENTS = 64;

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
  readonly #invalidator: Invalidator;
  /** What the kernel knows; the root, which is never looked up, is always in it. */
  readonly #known = new KnownInodes();
  #pruning: InodePruning | undefined;
  #lastTold = new LastTold(0);
  /** inode → the group of a file that has setgid, and that its group may not execute */
  readonly #lockingGroups = new Map<number, number>();
  readonly #contended: ContendedInodes;
  /** directory → own requests under way that may hold its lock */
  readonly #busy = new Counts<number>();
  /** file → own writes under way whose pages the kernel has locked until they are answered */
  readonly #writing = new Counts<number>();
  /** Told of each file of which such a write begins. */
  readonly #onWrite = new Set<(inode: number) => void>();
  #lease: KeepingLease | undefined;
  #kernelMinor = 0;
  #mayBypassPages = false;
  readonly overlay: OverlayNames;

  private constructor(options: KernelCacheOptions) {
    this.#options = options;
    const { clock, keepsNames } = options;
    this.#contended = new ContendedInodes(clock);
    this.overlay = new OverlayNames({ clock, keepsNames, leasedMs: LEASED_MS });
    this.#invalidator = new Invalidator({ ...options, known: this.#known, overlay: this.overlay });
    this.#known.addLookup(ROOT_INODE, S_IFDIR, options.clock.monotonicMs());
  }

  /** Asks the file system for a lease. Rejects as any request to it does. */
  static async open(options: KernelCacheOptions): Promise<KernelCache> {
    const cache = new KernelCache(options);
    try {
      await cache.begin();
    } catch (error) {
      await cache.close();
      throw error;
    }
    return cache;
  }

  /** That of a mount which an earlier process has served. The kernel may keep nothing until `begin`. */
  static takeOver(options: KernelCacheOptions, { kernel, inodes }: TakenMount): KernelCache {
    const cache = new KernelCache({ ...options, keepsNames: kernel.keepsNames });
    const nowMs = options.clock.monotonicMs();
    const pages = inodes.map(page => Buffer.from(page.buffer, page.byteOffset, page.length));
    cache.#known.addPages(pages, nowMs);
    for (const { inode, gid } of kernel.lockingGroups) cache.#lockingGroups.set(inode, gid);
    cache.#lastTold = new LastTold(kernel.told.length * 2 * TOLD_BYTES);
    for (const attributes of kernel.told) cache.#lastTold.note(attributes);
    return cache;
  }

  /** Asks the file system for the lease under which the kernel may cache. Rejects like every request to the file system. */
  async begin(): Promise<void> {
    const lease = await this.#options.fileSystem.keepCaches(this);
    this.#lease = lease;
    const told = this.#lastTold.all();
    this.#lastTold = new LastTold(lease.nodeBytes * LAST_TOLD_PART);
    for (const attributes of told) this.#lastTold.note(attributes);
    this.#pruning = new InodePruning({
      known: this.#known,
      limitBytes: lease.nodeBytes * (1 - LAST_TOLD_PART),
      prune: async inodes => await this.#invalidator.prune(inodes),
    });
  }

  /** The kernel drops everything, and may keep nothing of what it is told from now on. Returns what allows it again. */
  async withhold(): Promise<() => void> {
    const lease = this.#lease;
    this.#lease = undefined;
    await this.dropAll();
    return () => (this.#lease = lease);
  }

  /** What a successor of this process has to know (protocol/take-over.ts), after `withhold`. */
  state(): Pick<KernelState, 'keepsNames' | 'lockingGroups' | 'told'> & Pick<TakenMount, 'inodes'> {
    return {
      keepsNames: this.overlay.mayKeep,
      lockingGroups: [...this.#lockingGroups].map(([inode, gid]) => ({ inode, gid })),
      told: this.#lastTold.all(),
      inodes: [...this.#known.pages(ROOT_INODE)],
    };
  }

  /** The protocol's minor version that the kernel speaks. */
  set kernelMinor(minor: number) {
    this.#kernelMinor = minor;
    this.#invalidator.kernelMinor = minor;
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
    const { inode, mode } = attributes;
    this.#known.tell(inode, mode);
    this.#remember(attributes);
    if (!this.#contended.mayKeepAttributes(inode, mode)) return 0;
    this.#known.keepTold(inode, this.#options.clock.monotonicMs());
    const isLeased = this.#lease?.mayKeepAttributes(ticket, inode);
    return isLeased ? LEASED_MS : this.#options.times.attrTimeoutMs;
  }

  /** Both, for an answer that tells an entry of a directory. */
  entryTimes(ticket: number, directory: number, attributes: Attributes): EntryTimes {
    return {
      entryTimeoutMs: this.nameMs(ticket, directory),
      attrTimeoutMs: this.attributesMs(ticket, attributes),
    };
  }

  /** What OPEN says of the kernel's keeping of pages. */
  openFlags(ticket: number, inode: number, openFlags: number): number {
    // What is appended goes where the file ends for all clients, which the kernel does not know: its pages would have it elsewhere.
    const isElsewhere = (openFlags & constants.O_APPEND) !== 0 || this.#contended.has(inode);
    if (this.#mayBypassPages && isElsewhere) return OpenFlag.directIo;
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
    if (this.#options.times.attrTimeoutMs > 0) void this.#invalidator.dropAttributes([inode]);
  }

  /**
   * Somebody changed the file who lacks CAP_FSETID. The kernel, which leaves taking setuid and setgid away to us, would
   * go on to believe in them, and execute the file with them.
   */
  async dropPrivileges(inode: number): Promise<void> {
    if ((this.#known.modeOf(inode) & (S_ISUID | S_ISGID)) !== 0)
      await this.#invalidator.dropAttributes([inode]);
  }

  /** The group of a file with setgid that its group may not execute. */
  lockingGroup(inode: number): number | undefined {
    return this.#lockingGroups.get(inode);
  }

  /** An answer that tells the inode as an entry is about to be written. */
  noteLookup(attributes: Attributes): void {
    const { inode, mode } = attributes;
    const isNew = this.#known.addLookup(inode, mode, this.#options.clock.monotonicMs());
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

  /** Whether the kernel may have pages of the file, so that `dropWritten` has something to do. */
  mayHavePages(inode: number): boolean {
    return this.#known.mayHavePages(inode);
  }

  /**
   * A write that went past the kernel's pages is done, and about to be answered. The kernel drops its pages of that range
   * before such a write; those that readers have fetched since, it drops after a write(2), but not after one of io_submit(2)
   * (fuse_aio_complete), nor after one by OpenFlag.directIo. What is read from here on is new: a page that is still being
   * read is waited for, and dropped.
   */
  async dropWritten(inode: number, offset: number, length: number): Promise<void> {
    await this.#invalidator.dropWritten(inode, offset, length);
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
    this.#busy.add(directory);
  }

  /** It was answered. */
  leave(directory: number): void {
    this.#busy.take(directory);
  }

  /** A write that leaves pages begins: they are locked until it is answered. */
  enterWrite(inode: number): void {
    this.notePages(inode);
    this.#writing.add(inode);
    for (const told of this.#onWrite) told(inode);
  }

  /** It was answered. */
  leaveWrite(inode: number): void {
    this.#writing.take(inode);
  }

  async drop({ inodes, names, directories, left = [] }: Revocation): Promise<void> {
    const wholly = [...directories, ...left.map(({ directory }) => directory)];
    const attributes: number[] = [];
    const contents: number[] = [];
    for (const { parent } of names) this.#known.setListed(parent, false);
    for (const directory of wholly) this.#known.setListed(directory, false);
    for (const { inode } of inodes) {
      this.#known.setListed(inode, false);
      if (!this.#known.has(inode)) continue;
      this.#contended.noteChange(inode);
      attributes.push(inode);
      // Also when they are still what the file holds: the next client that changes it may have it to itself, and tell nobody.
      if (isRegularFile(this.#known.modeOf(inode))) contents.push(inode);
    }
    const known = names.filter(({ parent }) => this.#known.has(parent));
    const isBusy = this.overlay.mayKeep && known.some(({ parent }) => this.#busy.has(parent));
    const isAllNames = isBusy || wholly.some(directory => this.#known.has(directory));
    if (isAllNames) this.#invalidator.dropAllNames();
    const entries = isAllNames ? [] : known.map(({ parent, name }) => invalidateEntry(parent, name));
    await Promise.all([
      this.#invalidator.dropAttributes(attributes),
      this.#invalidator.dropNames(entries),
      this.#dropContents(contents),
    ]);
  }

  /**
   * Drops the pages of files, and waits for that. It does not wait for a file that is being written to: such a write may wait for the
   * client that waits for this answer, and two clients that write to one file would wait for each other. Its pages go as soon as it is answered;
   * read(2) notices before, by the attributes.
   */
  async #dropContents(inodes: readonly number[]): Promise<void> {
    if (inodes.length > MANY_CONTENTS) {
      await this.#invalidator.dropContents(inodes);
      return;
    }
    const waited = new Set(inodes.filter(inode => !this.#writing.has(inode)));
    const dropped = [...waited].map(async inode => {
      await this.#invalidator.dropContents([inode]);
      waited.delete(inode);
    });
    void this.#invalidator.dropContents(inodes.filter(inode => !waited.has(inode)));
    if (dropped.length === 0) return;
    await new Promise<void>(resolve => {
      const finish = (): void => {
        this.#onWrite.delete(told);
        resolve();
      };
      const told = (inode: number): void => {
        if (waited.delete(inode) && waited.size === 0) finish();
      };
      this.#onWrite.add(told);
      void Promise.all(dropped).then(finish);
    });
  }

  async dropAttributes(inode: number): Promise<void> {
    await this.#invalidator.dropAttributes([inode]);
  }

  async dropAll(): Promise<void> {
    this.#known.noneListed();
    this.#invalidator.dropAllNames();
    const inodes = [...this.#known.inodes()];
    const files = inodes.filter(inode => isRegularFile(this.#known.modeOf(inode)));
    await Promise.all([this.#invalidator.dropAttributes(inodes), this.#invalidator.dropContents(files)]);
  }

  /** For after the mount has ended. May be called twice. */
  async close(): Promise<void> {
    this.#options.fileSystem.endCaches(this);
    this.#lease = undefined;
    await this.#invalidator.close();
  }

  #remember(attributes: Attributes): void {
    const { inode, mode, gid } = attributes;
    this.#lastTold.note(attributes);
    if ((mode & (S_ISGID | S_IXGRP)) === S_ISGID && this.#known.has(inode))
      this.#lockingGroups.set(inode, gid);
    else if (this.#lockingGroups.size > 0) this.#lockingGroups.delete(inode);
  }
}
