/**
 * The log: appends records to the current segment and makes them durable, many at a time.
 *
 *     enqueue ──► queue ──► one writev per group ──► applied to the index, in log order ──► appended
 *                                     │
 *                                     └── sync: one fdatasync per segment, shared by all waiters ──► durable
 *
 * One group is written at a time; records that arrive meanwhile form the next.
 */
import type { Clock, Timer } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { SharedRun } from '../platform/shared-run.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import type { Payload } from '../protocol/frame.js';
import {
  encodeRecordHead,
  MIN_ALIGNED_BYTES,
  paddingBefore,
  RECORD_BLOCK_BYTES,
  RECORD_HEADER_BYTES,
  type LogPosition,
  type RecordHeader,
} from './record.js';
import type { SegmentFiles } from './segment-files.js';
import { ZeroedRoom } from './zeroed-room.js';

/** Payload bytes that may wait for the disk. */
const MAX_QUEUED_BYTES = 32 << 20;
/** What one writev takes. */
const MAX_GROUP_BYTES = 8 << 20;
const MAX_GROUP_RECORDS = 256;
/** Data that nobody asked to be synced is synced this long after it was written; with the sync itself below 500 ms. */
const BACKGROUND_SYNC_MS = 400;

const ZEROS = Buffer.alloc(RECORD_BLOCK_BYTES);

/** A record to append. */
export interface NewRecord extends Omit<RecordHeader, 'tableBytes'> {
  readonly table: Uint8Array;
  readonly payload: Payload;
  /** Called when the record was handed to the operating system, in log order, before `enqueue` resolves. */
  readonly apply: (position: LogPosition) => void;
}

interface Queued {
  readonly record: NewRecord;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: DfsError) => void;
}

export interface SegmentLogOptions {
  readonly files: SegmentFiles;
  readonly clock: Clock;
  readonly log: Logger;
  /** A segment that has this many bytes gets no more records. */
  readonly segmentBytes: number;
  /** Payloads from this length on begin at a block; default: MIN_ALIGNED_BYTES. */
  readonly minAlignedBytes?: number | undefined;
  /** Called when a segment gets no more records. */
  readonly onSealed: (segment: number, bytes: number) => void;
}

export class SegmentLog {
  readonly #options: SegmentLogOptions;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #waitingForRoom: (() => void)[] = [];
  /** The loop that empties the queue, while it runs. */
  #writing: Promise<void> | undefined;
  /** The segment that gets the next record; 0 when there is none. */
  #current = 0;
  #lastNumber = 0;
  /** segment number → bytes of it that are on stable storage; only segments that have others */
  readonly #unsynced = new Map<number, number>();
  /** Segments that were created, and how many of them are in their directory for good. */
  #namesMade = 0;
  #namesSynced = 0;
  #syncedEnd: LogPosition = { segment: 0, offset: 0 };
  readonly #sync = new SharedRun(async () => await this.#syncAll());
  #syncTimer: Timer | undefined;
  /** Of the current segment. */
  readonly #room = new ZeroedRoom();
  #failure: DfsError | undefined;

  constructor(options: SegmentLogOptions) {
    this.#options = options;
  }

  /**
   * Goes on after the segments that are there.
   * @param current the segment to append to, or 0 for a new one
   */
  async open(current: number): Promise<void> {
    const numbers = this.#options.files.numbers();
    this.#lastNumber = numbers.at(-1) ?? 0;
    this.#syncedEnd = { segment: this.#lastNumber, offset: this.#options.files.sizeOf(this.#lastNumber) };
    if (current === 0) return;
    await this.#options.files.pin(current);
    this.#current = current;
    this.#room.begin(this.#options.files.sizeOf(current));
  }

  /** The segment that gets the next record; 0 when a new one will be made. */
  get currentSegment(): number {
    return this.#current;
  }

  /** Every record before it is on stable storage. */
  get syncedEnd(): LogPosition {
    return this.#syncedEnd;
  }

  /** Why nothing can be written until the next start; undefined when all is well. */
  get failure(): DfsError | undefined {
    return this.#failure;
  }

  /** Resolves when the queue takes more: at once, unless the disk is slower than the writers. */
  async room(): Promise<void> {
    while (this.#queuedBytes >= MAX_QUEUED_BYTES && !this.#failure) {
      await new Promise<void>(resolve => this.#waitingForRoom.push(resolve));
    }
  }

  /**
   * Appends a record after all that were enqueued before; resolves when the operating system has it. ENOSPC when the
   * disk is full (nothing of the record stays), EIO when the disk failed.
   */
  async enqueue(record: NewRecord): Promise<void> {
    if (this.#failure) throw this.#failure;
    const bytes = RECORD_HEADER_BYTES + record.table.length + record.length;
    await new Promise<void>((resolve, reject) => {
      this.#queue.push({ record, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      this.#writing ??= this.#writeQueued();
    });
  }

  /** What was appended before this call is on stable storage when it returns; EIO when that cannot be had. */
  async sync(): Promise<void> {
    this.#room.noteSync();
    await this.#sync.run();
  }

  /** The file of a segment has gone: what was written to it, and not read back since, is lost. */
  noteMissing(segment: number): void {
    if (segment === this.#current || this.#unsynced.has(segment))
      this.#fail(segment, 'cannot be written', new DfsError('ENOENT', 'its file was deleted'));
  }

  /** Waits for what is queued and syncs it. Nothing may be enqueued afterwards. */
  async close(): Promise<void> {
    await this.#writing;
    if (!this.#failure) await this.#cutZeros();
    this.#syncTimer?.cancel();
    this.#syncTimer = undefined;
    if (!this.#failure) await this.sync();
    this.#failure ??= new DfsError('EIO', 'the data node is shut down');
  }

  /** Never rejects: each record's own promise tells. */
  async #writeQueued(): Promise<void> {
    while (this.#queue.length > 0) await this.#writeGroup();
    this.#writing = undefined;
  }

  async #writeGroup(): Promise<void> {
    let group: Queued[] = [];
    try {
      if (this.#failure) throw this.#failure;
      const start = await this.#startOfNextGroup();
      group = this.#takeGroup(start.offset);
      await this.#write(group, start);
    } catch (error) {
      const reason = this.#failure ?? toDfsError(error);
      // Without a segment to write to, nobody who waits can be served.
      if (group.length === 0) group = this.#queue.splice(0);
      for (const each of group) each.reject(reason);
    } finally {
      for (const each of group) this.#queuedBytes -= each.bytes;
      for (const wake of this.#waitingForRoom.splice(0)) wake();
    }
  }

  /** Where the next record goes; begins a new segment if the current one is full. */
  async #startOfNextGroup(): Promise<LogPosition> {
    const { files, segmentBytes } = this.#options;
    if (this.#current !== 0 && files.sizeOf(this.#current) >= segmentBytes) {
      await this.#cutZeros();
      this.#seal();
    }
    if (this.#current === 0) {
      const segment = this.#lastNumber + 1;
      await files.create(segment);
      await files.pin(segment);
      this.#lastNumber = segment;
      this.#current = segment;
      this.#room.begin(0);
      this.#namesMade += 1;
    }
    return { segment: this.#current, offset: files.sizeOf(this.#current) };
  }

  #seal(): void {
    const segment = this.#current;
    this.#current = 0;
    this.#options.onSealed(segment, this.#options.files.sizeOf(segment));
    // Its file stays open until what it has is synced.
    if (!this.#unsynced.has(segment)) this.#options.files.unpin(segment);
  }

  #takeGroup(offset: number): Queued[] {
    let count = 0;
    let bytes = 0;
    for (const each of this.#queue) {
      const isFull =
        bytes + each.bytes > MAX_GROUP_BYTES ||
        count >= MAX_GROUP_RECORDS ||
        offset + bytes >= this.#options.segmentBytes;
      if (count > 0 && isFull) break;
      bytes += each.bytes;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #write(group: readonly Queued[], start: LogPosition): Promise<void> {
    const { files, minAlignedBytes = MIN_ALIGNED_BYTES } = this.#options;
    const { segment } = start;
    const pieces: Buffer[] = [];
    const positions: LogPosition[] = [];
    let { offset } = start;
    for (const { record, bytes } of group) {
      const sizes = { length: record.length, tableBytes: record.table.length };
      const padding = paddingBefore(sizes, offset, minAlignedBytes);
      const position = { segment, offset: offset + padding };
      positions.push(position);
      if (padding > 0) pieces.push(ZEROS.subarray(0, padding));
      pieces.push(encodeRecordHead(record, record.table, position), ...record.payload);
      offset = position.offset + bytes;
    }
    await this.#writePieces(pieces, start, offset);
    files.setSize(segment, offset);
    if (!this.#unsynced.has(segment)) this.#unsynced.set(segment, start.offset);
    this.#syncTimer ??= this.#options.clock.setTimer(BACKGROUND_SYNC_MS, () => this.#syncInBackground());
    group.forEach(({ record, resolve }, index) => {
      const position = positions[index];
      if (position) record.apply(position);
      resolve();
    });
  }

  /** Writes a group of records that ends at `end`, with zeros behind it where they are worth it. */
  async #writePieces(pieces: readonly Buffer[], start: LogPosition, end: number): Promise<void> {
    const { files, segmentBytes } = this.#options;
    const write = async (all: readonly Buffer[]): Promise<void> =>
      await files.use(start.segment, async file => await file.writev(all, start.offset));
    const zeros = this.#room.zerosBehind(end - start.offset, end, segmentBytes);
    try {
      try {
        await write(zeros ? [...pieces, zeros] : pieces);
      } catch (error) {
        if (!zeros || !hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
        this.#room.noteNoRoom();
        await write(pieces);
      }
    } catch (error) {
      await this.#cutPartialRecords(start, error);
      throw error;
    }
    this.#room.noteWritten(end - start.offset, end + (zeros?.length ?? 0));
  }

  /** Takes the zeros behind the last record away. Never rejects: the next start cuts them off, too. */
  async #cutZeros(): Promise<void> {
    const { files, log } = this.#options;
    const segment = this.#current;
    const end = files.sizeOf(segment);
    if (segment === 0 || this.#room.end <= end) return;
    this.#room.begin(end);
    try {
      await files.use(segment, async file => await file.truncate(end));
      if (!this.#unsynced.has(segment)) this.#unsynced.set(segment, end);
      this.#syncTimer ??= this.#options.clock.setTimer(BACKGROUND_SYNC_MS, () => this.#syncInBackground());
    } catch (error) {
      log.warn({ err: error, segment }, 'the zeros behind the last record of a segment could not be cut off');
    }
  }

  /** Takes back what a failed write left; the disk being full is no failure of the disk. */
  async #cutPartialRecords(start: LogPosition, cause: unknown): Promise<void> {
    const { files, log } = this.#options;
    const isFull = hasCode(cause, 'ENOSPC', 'EDQUOT');
    if (!isFull) this.#fail(start.segment, 'cannot be written', cause);
    try {
      await files.use(start.segment, async file => await file.truncate(start.offset));
      this.#room.begin(start.offset);
    } catch (error) {
      log.error({ err: error, segment: start.segment }, 'a partial record could not be cut off');
      // Later records must not stand behind a torn one where a start would cut them off with it.
      if (!this.#failure) this.#seal();
    }
    if (isFull) log.warn({ segment: start.segment }, 'the disk is full');
  }

  #syncInBackground(): void {
    this.#syncTimer = undefined;
    this.#room.noteBackgroundSync();
    this.#sync.run().catch((error: unknown) => {
      // #fail has logged the cause; what was acknowledged as durable is not touched by this.
      this.#options.log.debug({ err: error }, 'the background sync failed');
    });
  }

  async #syncAll(): Promise<void> {
    if (this.#failure) throw this.#failure;
    const { files } = this.#options;
    const last = this.#current === 0 ? this.#lastNumber : this.#current;
    const end = { segment: last, offset: files.sizeOf(last) };
    const targets = [...this.#unsynced.keys()].map(segment => ({ segment, bytes: files.sizeOf(segment) }));
    const namesMade = this.#namesMade;
    if (this.#namesSynced < namesMade) {
      await files.syncNames().catch((error: unknown) => {
        throw this.#fail(last, 'cannot be made known to its directory for good', error);
      });
      this.#namesSynced = namesMade;
    }
    await Promise.all(targets.map(async ({ segment, bytes }) => await this.#syncSegment(segment, bytes)));
    this.#syncedEnd = end;
  }

  async #syncSegment(segment: number, bytes: number): Promise<void> {
    const { files } = this.#options;
    const unsyncedBytes = bytes - (this.#unsynced.get(segment) ?? 0);
    try {
      await files.use(segment, async file => await file.datasync(unsyncedBytes));
    } catch (error) {
      throw this.#fail(segment, 'cannot be synced', error);
    }
    if (files.sizeOf(segment) > bytes) {
      this.#unsynced.set(segment, bytes);
      return;
    }
    this.#unsynced.delete(segment);
    if (segment !== this.#current) files.unpin(segment);
  }

  /**
   * Writes nothing more until the next start. After a failed fsync the kernel has dropped what it could not write and
   * a second fsync would say that all is well (https://wiki.postgresql.org/wiki/Fsync_Errors).
   */
  #fail(segment: number, what: string, cause: unknown): DfsError {
    if (this.#failure) return this.#failure;
    const why = toDfsError(cause).message;
    this.#failure = new DfsError(
      'EIO',
      `segment ${segment} ${what} (${why}); this data node only reads until it is started again, check its disk`,
    );
    this.#current = 0;
    this.#options.log.error({ err: cause, segment }, `segment ${what}; writing nothing more`);
    return this.#failure;
  }
}
