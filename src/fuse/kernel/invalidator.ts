/**
 * Makes the kernel drop what it has cached of this mount.
 *
 * The kernel's own rules make the difference (fs/fuse; the names are its functions'):
 *
 * - Attributes: fuse_reverse_inval_inode with a negative offset takes no lock that anybody holds while he waits for us,
 *   and moves the inode's attr_version on, so that a GETATTR or LOOKUP under way does not bring old attributes back.
 *   SETATTR and LINK have no such check, so what they return is never to be kept.
 *   But who asked, and whose answer is not taken for that reason, goes on with the mode and the size that the inode has,
 *   from before the invalidation before this one, or with none at all (fuse_change_attributes). So of an inode that
 *   others change, the kernel may keep nothing for a while, and nothing needs to be invalidated: each process asks. What was
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
import { ROOT_INODE } from '../../protocol/file-mode.js';
import type { KnownInodes } from './known-inodes.js';
import {
  INC_EPOCH_MINOR_VERSION,
  invalidateAllEntries,
  invalidateAttributes,
  invalidateContent,
  invalidateRange,
  PRUNE_MINOR_VERSION,
  pruneInodes,
} from './notification.js';
import { Notifier } from './notifier.js';
import type { OverlayNames } from './overlay-names.js';

/** How long a name's directory may be locked before all names are dropped instead. */
const NAME_PATIENCE_MS = 10;
/** The same while dropping all names would break an overlay. */
const OVERLAY_PATIENCE_MS = 1000;
/** How long pages under way are waited for. */
const CONTENT_PATIENCE_MS = 1000;
/** Readers of pages that are heard of no more for this long have none under way. */
const QUIET_MS = 1000;
/** Within this time the process that asked has taken up its answer. */
const TAKEN_UP_MS = 2;
/** Pauses before an inode that is on its way to the kernel is invalidated again. */
const RETRY_PAUSES_MS = [1, 4, 20, 100, 400];
/** Notifications handed to the thread at a time. */
const BATCH = 1024;

export interface InvalidatorOptions {
  /** /dev/fuse */
  readonly fd: number;
  readonly known: KnownInodes;
  readonly overlay: OverlayNames;
  readonly clock: Clock;
  readonly log: Logger;
  /** Writes a notification at once, on this thread: for what never waits. */
  readonly writeNow: (message: Buffer) => void;
}

export class Invalidator {
  readonly #options: InvalidatorOptions;
  readonly #known: KnownInodes;
  readonly #overlay: OverlayNames;
  /** For attributes, which never wait for a request of ours. */
  readonly #fast: Notifier;
  /** For names and content, which may. */
  readonly #slow: Notifier;
  /** The protocol's minor version that the kernel speaks. */
  kernelMinor = 0;

  constructor(options: InvalidatorOptions) {
    this.#options = options;
    this.#known = options.known;
    this.#overlay = options.overlay;
    this.#fast = Notifier.start(options.fd, options.log);
    this.#slow = Notifier.start(options.fd, options.log);
  }

  /** The attributes that the kernel was told of these. */
  async dropAttributes(inodes: readonly number[]): Promise<void> {
    const told = inodes.filter(inode => this.#known.isTold(inode));
    if (told.length === 0) return;
    await this.#takenUp(told);
    for (let at = 0; at < told.length; at += BATCH) await this.#invalidate(told.slice(at, at + BATCH));
  }

  /** These names (fuse_notify_inval_entry_out), or all of them where that takes too long. */
  async dropNames(entries: readonly Buffer[]): Promise<void> {
    if (entries.length === 0 || this.#overlay.isClear) return;
    const patienceMs = this.#overlay.mayKeep ? NAME_PATIENCE_MS : OVERLAY_PATIENCE_MS;
    const isDone = await this.#within(patienceMs, this.#slow.write(entries));
    if (!isDone) this.dropAllNames();
  }

  /** The pages of these files. */
  async dropContents(inodes: readonly number[]): Promise<void> {
    const kept = inodes.filter(inode => this.#known.mayHavePages(inode));
    if (kept.length === 0) return;
    await this.#takenUp(kept);
    const sinceMs = this.#options.clock.monotonicMs();
    await this.#within(CONTENT_PATIENCE_MS, this.#dropPages(kept, sinceMs));
  }

  /** Every name of the mount. */
  dropAllNames(): void {
    if (this.kernelMinor < INC_EPOCH_MINOR_VERSION || this.#overlay.isClear) return;
    this.#options.writeNow(invalidateAllEntries());
    this.#overlay.forgotten();
  }

  /**
   * A write that went past the kernel's pages is done: drops the pages of that range. Of a file whose pages nobody has used
   * for a while all are dropped once, and the writes that follow have nothing to drop.
   */
  async dropWritten(inode: number, offset: number, length: number): Promise<void> {
    if (length === 0 || !this.#known.mayHavePages(inode)) return;
    const nowMs = this.#options.clock.monotonicMs();
    const isQuiet = !this.#known.hadPagesWithin(inode, nowMs, QUIET_MS);
    const message = isQuiet ? invalidateContent(inode) : invalidateRange(inode, offset, length);
    const isDone = await this.#within(CONTENT_PATIENCE_MS, this.#slow.write([message]));
    if (isQuiet && isDone) this.#known.dropPages(inode, nowMs);
  }

  /** Asks the kernel to forget inodes that nobody uses. */
  async prune(inodes: readonly number[]): Promise<void> {
    const canForget = this.kernelMinor >= PRUNE_MINOR_VERSION;
    const results = canForget
      ? await this.#slow.write([pruneInodes(inodes.filter(inode => inode !== ROOT_INODE))])
      : [-constants.errno.ENOSYS];
    this.#options.log.debug(
      { known: this.#known.size, asked: inodes.length, result: results[0] },
      'the kernel was asked to forget inodes',
    );
  }

  /** For after the mount has ended. May be called twice. */
  async close(): Promise<void> {
    await Promise.all([this.#fast.close(), this.#slow.close()]);
  }

  /** Resolves when the processes that asked for the attributes have them. */
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

  async #dropPages(inodes: readonly number[], sinceMs: number): Promise<void> {
    for (let at = 0; at < inodes.length; at += BATCH) {
      const batch = inodes.slice(at, at + BATCH);
      await this.#slow.write(batch.map(inode => invalidateContent(inode)));
      for (const inode of batch) this.#known.dropPages(inode, sinceMs);
    }
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
