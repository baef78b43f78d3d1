/**
 * Gives back the space of dropped chunks: copies the living records out of segments that are mostly dead, then removes
 * their files.
 *
 * The order matters, since the machine may stop at any moment:
 *   1. copies of living chunks and of tombstones that are still needed are appended and synced;
 *   2. the index forgets the segment, and that is written to index.db;
 *   3. the file is unlinked. A start finds it forgotten and finishes this step.
 *
 * A tombstone may go once no other segment has a record of its chunk: until then a rebuild of the index from the
 * segments alone would bring the chunk back.
 */
import { sleep, type Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import { hasCode } from '../protocol/errors.js';
import type { ChunkReader } from './chunk-reader.js';
import { chunkRecordBytes, RecordKind, type RecordHeader } from './record.js';
import type { SegmentFiles } from './segment-files.js';
import type { SegmentIndex } from './segment-index.js';
import type { SegmentLog } from './segment-log.js';
import { scanSegment } from './segment-scan.js';

/** A segment is rewritten when less than this part of it counts. */
const MIN_LIVE_FRACTION = 0.5;
/** Copying takes at most this much of the disk's time from others. */
const COPY_BYTES_PER_SECOND = 32 << 20;
/** After something went wrong with a segment, it is left alone for this long. */
const RETRY_MS = 60_000;

export interface CompactorOptions {
  readonly files: SegmentFiles;
  readonly index: SegmentIndex;
  readonly log: SegmentLog;
  readonly reader: ChunkReader;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The storing or dropping under way of a chunk; it never rejects. */
  readonly pending: (chunk: number) => Promise<void> | undefined;
  readonly isBeingDropped: (chunk: number) => boolean;
  /** Whether the segment holds intents that somebody may still ask for. */
  readonly hasIntents: (segment: number) => boolean;
  /** Writes every synced change of the index to index.db; rejects if that fails. */
  readonly persistIndex: () => Promise<void>;
}

/** What a pass over a segment found. */
interface Content {
  /** chunk → records of it in the segment */
  readonly copies: Map<number, number>;
  readonly tombstones: number[];
}

export class Compactor {
  readonly #options: CompactorOptions;
  /** segment number → monotonic ms before which it is left alone */
  readonly #leftAlone = new Map<number, number>();
  /** Segments that the index forgot but whose file is still there. */
  readonly #forgotten = new Set<number>();
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: CompactorOptions) {
    this.#options = options;
  }

  /** Looks for work, in the background. Call it when something was dropped or a segment was sealed. */
  wake(): void {
    if (!this.#isStopped) this.#running ??= this.#run();
  }

  /** Resolves when there is nothing to do. */
  async idle(): Promise<void> {
    await this.#running;
  }

  /** Stops between two records and waits for it. May be called twice. */
  async close(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    // Never ends before wake() has noted that it runs.
    await Promise.resolve();
    for (let segment = this.#next(); segment !== undefined; segment = this.#next()) {
      try {
        await this.#compact(segment);
      } catch (error) {
        this.#leaveAlone(segment);
        if (!this.#isStopped && !this.#options.log.failure)
          this.#options.logger.warn(
            { err: error, segment },
            'a segment could not be compacted; trying later',
          );
      }
    }
    this.#running = undefined;
  }

  /** The segment that is worth the most: the one of which the smallest part counts. */
  #next(): number | undefined {
    const { files, index, log, clock, hasIntents } = this.#options;
    if (this.#isStopped || log.failure) return undefined;
    const numbers = files.numbers();
    // The last one, even when it is full, holds the place of the next number.
    const last = numbers.at(-1);
    const nowMs = clock.monotonicMs();
    let best: number | undefined;
    let bestFraction = MIN_LIVE_FRACTION;
    for (const segment of numbers) {
      if (segment === last || segment === log.currentSegment) continue;
      if ((this.#leftAlone.get(segment) ?? -Infinity) > nowMs || hasIntents(segment)) continue;
      const { chunkBytes, tombstoneBytes } = index.usageOf(segment);
      const fraction = (chunkBytes + tombstoneBytes) / Math.max(1, files.sizeOf(segment));
      if (fraction < bestFraction) {
        best = segment;
        bestFraction = fraction;
      }
    }
    return best;
  }

  #leaveAlone(segment: number): void {
    const { clock } = this.#options;
    this.#leftAlone.set(segment, clock.monotonicMs() + RETRY_MS);
    clock.setTimer(RETRY_MS + 1, () => this.wake(), true);
  }

  async #compact(segment: number): Promise<void> {
    const { files, index, log, logger } = this.#options;
    const bytes = files.sizeOf(segment);
    if (!this.#forgotten.has(segment)) {
      const content = await this.#copyChunks(segment);
      if (this.#isStopped) return;
      for (const chunk of content.copies.keys()) {
        if (this.#options.isBeingDropped(chunk)) await this.#options.pending(chunk);
      }
      if (index.usageOf(segment).chunkBytes > 0) {
        logger.warn({ segment }, 'a segment holds chunks that cannot be moved; keeping it');
        this.#leaveAlone(segment);
        return;
      }
      await this.#copyTombstones(segment, content);
      await log.sync();
      index.forget(segment, content.copies);
      this.#forgotten.add(segment);
    }
    await log.sync();
    await this.#options.persistIndex();
    await files.remove(segment);
    index.unlinked(segment);
    this.#forgotten.delete(segment);
    this.#leftAlone.delete(segment);
    logger.info({ segment, bytes }, 'removed a segment');
  }

  /** Appends a copy of every chunk that lives in the segment. */
  async #copyChunks(segment: number): Promise<Content> {
    const { files, clock } = this.#options;
    const content: Content = { copies: new Map(), tombstones: [] };
    let mayGoOnAtMs = clock.monotonicMs();
    await files.use(segment, async file => {
      const scan = { file, segment, from: 0, size: files.sizeOf(segment), verifyPayload: false };
      for await (const found of scanSegment(scan)) {
        if (this.#isStopped) return;
        if (found.is === 'damage') continue;
        const { chunk, kind, length } = found.header;
        if (kind === RecordKind.tombstone) {
          content.tombstones.push(chunk);
          continue;
        }
        if (kind === RecordKind.intent) continue;
        content.copies.set(chunk, (content.copies.get(chunk) ?? 0) + 1);
        if (!this.#livesAt(chunk, segment, found.offset)) continue;
        await this.#copyChunk(segment, found.offset, found.header);
        mayGoOnAtMs += (chunkRecordBytes(length) / COPY_BYTES_PER_SECOND) * 1000;
        const pauseMs = mayGoOnAtMs - clock.monotonicMs();
        if (pauseMs > 1) await sleep(clock, pauseMs);
      }
    });
    return content;
  }

  #livesAt(chunk: number, segment: number, offset: number): boolean {
    const at = this.#options.index.find(chunk);
    return at?.segment === segment && at.offset === offset && !this.#options.isBeingDropped(chunk);
  }

  async #copyChunk(segment: number, offset: number, header: RecordHeader): Promise<void> {
    const { log, reader, index, logger } = this.#options;
    const { chunk, length } = header;
    const at = { segment, offset, length };
    try {
      const { bytes, checksums } = await reader.read(chunk, at, 0, length);
      await log.room();
      // It may have been dropped meanwhile; its tombstone must come after the copy or there must be no copy.
      if (!this.#livesAt(chunk, segment, offset)) return;
      await log.enqueue({
        ...header,
        kind: RecordKind.chunk,
        table: checksums,
        payload: [bytes],
        apply: position => index.applyChunk(chunk, { ...position, length }),
      });
    } catch (error) {
      if (log.failure || !hasCode(error, 'EIO')) throw error;
      // A damaged chunk stays where it is: whoever reads it is told so, and the segment is kept.
      logger.error({ err: error, chunk, segment }, 'a damaged chunk was found');
    }
  }

  async #copyTombstones(segment: number, { copies, tombstones }: Content): Promise<void> {
    const { log, index, pending } = this.#options;
    const appended: Promise<void>[] = [];
    for (const chunk of new Set(tombstones)) {
      const copiesThere = copies.get(chunk) ?? 0;
      if (!index.isTombstoneNeeded(chunk, segment, copiesThere)) continue;
      await log.room();
      // A chunk of this id that is being stored must come after the tombstone, or there must be no tombstone.
      for (let work = pending(chunk); work; work = pending(chunk)) await work;
      if (!index.isTombstoneNeeded(chunk, segment, copiesThere)) continue;
      appended.push(
        log.enqueue({
          kind: RecordKind.tombstone,
          chunk,
          inode: 0,
          fileOffset: 0,
          length: 0,
          table: new Uint8Array(),
          payload: [],
          apply: position => index.applyTombstone(chunk, position),
        }),
      );
    }
    await Promise.all(appended);
  }
}
