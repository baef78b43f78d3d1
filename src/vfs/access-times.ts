/**
 * Access times of a mount with relatime. A read moves the time at once as far as this mount shows it, and waits for nothing: the
 * metadata server hears of it with others, some seconds later.
 *
 * Bounded in every way: one request at a time, an inode is told of once in FLUSH_MS however often it is read, at most
 * MAX_PENDING inodes wait, and what fails is dropped, since the next read finds the time due again.
 */
import { isDoneWithin, type Clock, type Timer, type Timespec } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { isAccessTimeDue, movesAccessTime } from '../rules/access-time.js';
import { toDfsError } from '../protocol/errors.js';
import { MAX_ACCESSES } from '../protocol/limits.js';
import type { Attributes } from '../protocol/types.js';

/** How long an access waits for others. */
const FLUSH_MS = 5000;
const MAX_PENDING = 16 * MAX_ACCESSES;
/** How long the end of a mount waits for what is left. */
const CLOSE_MS = 1000;

export interface Access {
  readonly inode: number;
  readonly atime: Timespec;
}

export interface AccessTimesOptions {
  readonly clock: Clock;
  /** The time that access times are given: the same clock as that of written times, with which they are compared. */
  readonly now: () => Timespec;
  readonly log: Logger;
  /** Tells the metadata server; returns what became of those inodes that are still there. */
  readonly send: (accesses: readonly Access[]) => Promise<readonly Attributes[]>;
  /** Takes over what the metadata server says. */
  readonly learn: (attributes: Attributes) => void;
}

export class AccessTimes {
  readonly #options: AccessTimesOptions;
  /** inode → when it was read; not sent, or not answered yet */
  readonly #pending = new Map<number, Timespec>();
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: AccessTimesOptions) {
    this.#options = options;
  }

  /** Whether reading the inode would move its access time. */
  isDue(attributes: Attributes): boolean {
    return isAccessTimeDue(this.present(attributes), this.#options.now());
  }

  /** The inode was read. */
  accessed(attributes: Attributes): void {
    const now = this.#options.now();
    if (!isAccessTimeDue(this.present(attributes), now)) return;
    const { inode } = attributes;
    if (!this.#pending.has(inode) && this.#pending.size >= MAX_PENDING) return;
    this.#pending.set(inode, now);
    if (this.#pending.size >= MAX_ACCESSES) this.#flush();
    else this.#schedule();
  }

  /** What stat(2) shows. */
  present(attributes: Attributes): Attributes {
    const atime = this.#pending.get(attributes.inode);
    return atime && movesAccessTime(attributes, atime) ? { ...attributes, atime } : attributes;
  }

  /** The access time is being set: what was read before does not count any more. */
  forget(inode: number): void {
    this.#pending.delete(inode);
  }

  /** Tells what is left, unless that takes long. Never rejects. */
  async flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const all = async (): Promise<void> => {
      while (this.#pending.size > 0) {
        this.#flush();
        await this.#sending;
      }
    };
    await isDoneWithin(this.#options.clock, CLOSE_MS, all());
  }

  #schedule(): void {
    if (this.#timer || this.#sending || this.#pending.size === 0) return;
    this.#timer = this.#options.clock.setTimer(FLUSH_MS, () => this.#flush(), true);
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#sending || this.#pending.size === 0) return;
    const accesses: Access[] = [];
    for (const [inode, atime] of this.#pending) {
      accesses.push({ inode, atime });
      if (accesses.length === MAX_ACCESSES) break;
    }
    this.#sending = this.#send(accesses).finally(() => {
      this.#sending = undefined;
      if (this.#pending.size >= MAX_ACCESSES) this.#flush();
      else this.#schedule();
    });
  }

  /** Never rejects. */
  async #send(accesses: readonly Access[]): Promise<void> {
    const { send, learn, log } = this.#options;
    try {
      for (const attributes of await send(accesses)) learn(attributes);
    } catch (error) {
      const reason = toDfsError(error).message;
      log.warn({ inodes: accesses.length, reason }, 'access times were not recorded');
    }
    // Read again meanwhile: that is told of in the next request.
    for (const { inode, atime } of accesses)
      if (this.#pending.get(inode) === atime) this.#pending.delete(inode);
  }
}
