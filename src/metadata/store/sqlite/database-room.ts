/**
 * The room on the disk of the database. A reserve is kept, so that acknowledged changes can be committed and files
 * can be deleted when the disk is full.
 *
 *     ample ──less than the margin is free──► short ──SQLite finds no room──► spent ──room is made──► ample
 *                   ▲                           │                        (the reserve file is gone)
 *                   └────── room is made ───────┘
 *
 * While it is not ample, nothing new is taken (metadata/room-rules.ts) and no session has anything to itself. The margin
 * is the room that the write-ahead log and its checkpoint may take until the next look. The reserve is a file beside
 * the database, as large as the log of acknowledged changes may be: `ahead` says how many a session may have that are
 * not committed.
 */
import { basename, dirname } from 'node:path';
import type { Disk } from '../../../platform/disk.js';
import type { Logger } from '../../../platform/log.js';
import { toDfsError } from '../../../protocol/errors.js';
import type { StoreRoom } from '../store.js';

/** On a large disk; on a small one each is a part of it. */
const MAX_RESERVE_BYTES = 32 << 20;
const MAX_MARGIN_BYTES = 64 << 20;
const MAX_LOG_BYTES = 32 << 20;
const SMALL_PART = 8;
const SMALL_LOG_PART = 16;
/** Room for so much more than the margin makes it ample again, lest it be short at the next change. */
const MADE_ROOM = 1.25;
/**
 * Six pages of 4 KiB for one change: two names, three inodes and what it refers to stand on pages of their own when a change
 * is far from every other.
 */
const CHANGE_BYTES = 24 << 10;
/** The part of the margin that must be free on the disk, since the write-ahead log mostly has its room already. */
const LOG_PART = 4;
/** With less room than this between two looks, each transaction looks first. */
const CLOSE_LOOKS_BYTES = 128 << 20;

export class DatabaseRoom implements StoreRoom {
  readonly #disk: Disk;
  readonly #log: Logger;
  readonly #directory: string;
  readonly #reservePath: string;
  #reserveBytes = 0;
  #marginBytes = 0;
  #totalBytes = 0;
  #freeBytes = 0;
  #hasReserve = false;
  #isShort = false;
  /** Bytes of the database file that hold nothing, and are used again before it grows. */
  emptyBytes: () => number = () => 0;
  /** Told whenever it becomes short. */
  onShort: () => void = () => undefined;

  private constructor(disk: Disk, log: Logger, databasePath: string) {
    this.#disk = disk;
    this.#log = log;
    this.#directory = dirname(databasePath);
    this.#reservePath = `${databasePath}-reserve`;
  }

  /** Before the database is opened, which takes room itself: on a full disk the reserve is let go for it. */
  static async open(disk: Disk, log: Logger, databasePath: string): Promise<DatabaseRoom> {
    const room = new DatabaseRoom(disk, log, databasePath);
    await room.#measure();
    room.#hasReserve = (await disk.list(room.#directory)).includes(basename(room.#reservePath));
    if (room.#freeBytes < room.#marginBytes / 2) await room.letGo();
    else await room.look();
    return room;
  }

  get isShort(): boolean {
    return this.#isShort;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  get ahead(): number {
    return this.#isShort || !this.#hasReserve ? 0 : Math.floor(this.#reserveBytes / CHANGE_BYTES);
  }

  get isCloseToShort(): boolean {
    return this.#freeBytes < CLOSE_LOOKS_BYTES;
  }

  /** How long the write-ahead log may grow before it is copied into the database. */
  get logBytes(): number {
    return Math.min(MAX_LOG_BYTES, this.#totalBytes / SMALL_LOG_PART);
  }

  async look(): Promise<void> {
    await this.#measure();
    if (this.#isShort && this.#hasRoomFor(this.#marginBytes * MADE_ROOM)) {
      if (await this.#takeReserve()) this.#makeAmple();
    } else if (!this.#isShort && !this.#hasRoomFor(this.#marginBytes)) {
      this.#makeShort();
    } else if (!this.#isShort && !(await this.#takeReserve())) {
      this.#makeShort();
    }
  }

  async letGo(): Promise<boolean> {
    if (!this.#isShort) this.#makeShort();
    if (!this.#hasReserve) return false;
    this.#hasReserve = false;
    try {
      await this.#disk.unlink(this.#reservePath);
      this.#log.error(
        { bytes: this.#reserveBytes },
        'the reserve on the disk of the metadata database is being used up',
      );
      return true;
    } catch (error) {
      this.#log.error(
        { reason: toDfsError(error).message },
        'the reserve on the disk of the metadata database is not to be had',
      );
      return false;
    }
  }

  /** The write-ahead log needs room of the disk's own; tables find theirs also where something was deleted. */
  #hasRoomFor(bytes: number): boolean {
    const freeBytes = this.#freeBytes - (this.#hasReserve ? 0 : this.#reserveBytes);
    return freeBytes >= bytes / LOG_PART && freeBytes + this.emptyBytes() >= bytes;
  }

  async #measure(): Promise<void> {
    const { totalBytes, availableBytes } = await this.#disk.space(this.#directory);
    this.#totalBytes = totalBytes;
    this.#freeBytes = availableBytes;
    this.#reserveBytes = Math.floor(Math.min(MAX_RESERVE_BYTES, totalBytes / SMALL_PART));
    this.#marginBytes = Math.floor(Math.min(MAX_MARGIN_BYTES, totalBytes / SMALL_PART));
  }

  async #takeReserve(): Promise<boolean> {
    if (this.#hasReserve) return true;
    try {
      await this.#disk.allocate(this.#reservePath, this.#reserveBytes);
      this.#hasReserve = true;
    } catch (error) {
      this.#log.debug({ reason: toDfsError(error).message }, 'there is no room for a reserve');
    }
    return this.#hasReserve;
  }

  #makeShort(): void {
    this.#isShort = true;
    this.#log.error(
      { freeBytes: this.#freeBytes, directory: this.#directory },
      'the disk of the metadata database is nearly full: nothing new is made (ENOSPC) until there is room; delete files, or make room on that disk',
    );
    this.onShort();
  }

  #makeAmple(): void {
    this.#isShort = false;
    this.#log.info({ freeBytes: this.#freeBytes }, 'the disk of the metadata database has room again');
  }
}
