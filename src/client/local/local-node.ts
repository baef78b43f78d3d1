/**
 * One data node on this machine whose files this client reads by itself: where its chunks are, as the node told, and the
 * reading, which believes nothing without its checksum. Chunks never change, but the node moves them, and removes them
 * when they are not wanted any more: then what is read does not match, or cannot be opened, and is asked of the node.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { MAX_CACHED_READ_BYTES } from '../../platform/cached-read.js';
import type { LocalFiles } from '../../platform/local-files.js';
import type { BufferPool } from '../../platform/buffer-pool.js';
import type { Loans } from '../../platform/loans.js';
import type { Logger } from '../../platform/log.js';
import {
  blocksCovering,
  checksumTableBytes,
  chunkChecksum,
  matchesChecksums,
} from '../../protocol/checksum.js';
import type { ReplyOf } from '../../protocol/command.js';
import { isGrantRefused, type KeptReadGrant, type ReadableChunk } from '../content/readable-chunk.js';
import type { locate } from '../../protocol/datanode-commands.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { CHECKSUM_BLOCK_BYTES, CHECKSUM_BYTES } from '../../protocol/limits.js';
import type { DiskReads } from './disk-reads.js';
import { LocalSegments } from './local-segments.js';

/** Places kept in memory, with their checksums; those of 4 MiB chunks are 1 KiB, so this is enough for 50 GiB. */
const PLACES_BYTES = 16 << 20;
/** What a place costs besides its checksums. */
const PLACE_OVERHEAD_BYTES = 200;
/** A chunk that could not be read here is not tried again for so long, and then its place is asked for anew. */
const AVOID_MS = 2000;
const MAX_AVOIDED = 1024;

/** Where the client has a chunk of its node's. */
interface Place {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  readonly checksums: Buffer;
}

/** Whole blocks of a file, which can be checked. */
interface BlockRun {
  readonly position: number;
  readonly length: number;
  /** Their checksums. */
  readonly table: Buffer;
  /** Bytes before the first one that is wanted. */
  readonly skip: number;
}

export interface LocalNodeOptions {
  readonly node: number;
  /** The node's data directory. */
  readonly directory: string;
  readonly files: LocalFiles;
  readonly diskReads: DiskReads;
  /** Memory that is lent to readers. */
  readonly pool: BufferPool;
  /** Asks the node where a chunk is. */
  readonly locate: (chunk: number, readGrant: KeptReadGrant) => Promise<ReplyOf<typeof locate>>;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LocalNode {
  readonly #options: LocalNodeOptions;
  readonly #segments: LocalSegments;
  /** chunk id → where it is */
  readonly #places = new LRUCache<number, Place>({
    maxSize: PLACES_BYTES,
    sizeCalculation: place => place.checksums.length + PLACE_OVERHEAD_BYTES,
  });
  /** chunk id → monotonic ms until which it is not tried */
  readonly #avoided = new LRUCache<number, number>({ max: MAX_AVOIDED });
  /** chunk id → the question under way; it never rejects */
  readonly #locating = new Map<number, Promise<Place | undefined>>();

  constructor(options: LocalNodeOptions) {
    this.#options = options;
    const { files, clock, directory } = options;
    this.#segments = new LocalSegments({
      files,
      clock,
      directory,
      onRemoved: name => this.#forgetFile(name),
    });
  }

  /**
   * Exactly these bytes of a chunk. Undefined when they cannot be had here now; 'damaged' when what is here is not what
   * was stored, which the node has to be told. Never rejects.
   * @param loans what the bytes may be borrowed by; without it they are the caller's
   */
  async read(
    location: ReadableChunk,
    offset: number,
    length: number,
    loans?: Loans,
  ): Promise<Buffer | 'damaged' | undefined> {
    const place = await this.#placeOf(location);
    if (!place) return undefined;
    const run = blocksOf(place, offset, length);
    try {
      const isLent = run.length > MAX_CACHED_READ_BYTES && run.length <= this.#options.pool.bufferBytes;
      const blocks =
        loans && isLent ? await this.#borrow(place.file, run, loans) : await this.#own(place.file, run);
      return blocks?.subarray(run.skip, run.skip + length);
    } catch (error) {
      this.#noteFailure(location.chunk, error);
      // A file that is gone: the chunk was moved, or the node has lost it, which it will notice when it is asked.
      return hasCode(error, 'ETIMEDOUT') ? undefined : 'damaged';
    }
  }

  /** Whether the chunk is likely to be had here. */
  mayHave(chunk: number): boolean {
    const untilMs = this.#avoided.get(chunk);
    return untilMs === undefined || untilMs <= this.#options.clock.monotonicMs();
  }

  /** These bytes will be wanted: has the system read them. Never rejects. */
  async prefetch(location: ReadableChunk, offset: number, length: number): Promise<void> {
    const place = await this.#placeOf(location);
    if (!place) return;
    const run = blocksOf(place, offset, length);
    try {
      await this.#segments.use(place.file, async file => {
        await this.#options.diskReads.run(async () => await file.prefetch(run.position, run.length));
      });
    } catch (error) {
      // Who reads the bytes will be told.
      this.#options.log.debug({ reason: toDfsError(error).message }, 'a chunk was not read ahead');
    }
  }

  /** Closes the node's files and forgets where its chunks are. May be called twice. */
  async close(): Promise<void> {
    this.#places.clear();
    await this.#segments.close();
  }

  /** Blocks in memory of the caller's; rejects and is undefined as #fill, and EIO when they are not what was stored. */
  async #own(name: string, run: BlockRun): Promise<Buffer | undefined> {
    const cached = this.#segments.readCached(name, run.length, run.position);
    // A copy: the next read uses the same memory.
    if (cached) return Buffer.from(asStored(cached, run));
    const target = Buffer.allocUnsafeSlow(run.length);
    return (await this.#fill(target, name, run.position)) ? asStored(target, run) : undefined;
  }

  /** The same in memory that is used again. */
  async #borrow(name: string, run: BlockRun, loans: Loans): Promise<Buffer | undefined> {
    const { pool } = this.#options;
    const buffer = pool.take();
    const target = buffer.subarray(0, run.length);
    // If this rejects, the buffer is not used again: a thread may still be writing to it.
    const isFilled = await this.#fill(target, name, run.position);
    loans.add(pool, buffer);
    return isFilled ? asStored(target, run) : undefined;
  }

  /**
   * Reads a file; false when so many disk reads are under way that asking the node is better. ETIMEDOUT when the disk is slow,
   * EIO when the file is too short.
   */
  async #fill(target: Buffer, name: string, position: number): Promise<boolean> {
    if (this.#segments.readCachedInto(name, target, position)) return true;
    const isFilled = await this.#segments.use(name, async file => {
      // It may have been opened just now.
      if (file.preadCachedInto(target, position)) return true;
      return await this.#options.diskReads.run(async () => {
        const count = await file.pread(target, position);
        if (count < target.length) throw new DfsError('EIO', 'the file ends before the chunk does');
        return true;
      });
    });
    return isFilled === true;
  }

  /** Where a chunk is; undefined when the node does not tell, or what it tells is of no use. Never rejects. */
  async #placeOf(location: ReadableChunk): Promise<Place | undefined> {
    const { chunk } = location;
    const place = this.#places.get(chunk);
    if (place || !this.mayHave(chunk)) return place;
    let locating = this.#locating.get(chunk);
    if (!locating) {
      locating = this.#ask(location).finally(() => this.#locating.delete(chunk));
      this.#locating.set(chunk, locating);
    }
    return await locating;
  }

  async #ask(location: ReadableChunk): Promise<Place | undefined> {
    const { chunk, length } = location;
    try {
      const told = await this.#options.locate(chunk, location.readGrant);
      const isWhole = told.length === length && told.checksums.length === checksumTableBytes(length);
      // The metadata server knows the checksum of the checksums.
      if (!isWhole || chunkChecksum(told.checksums) !== location.checksum) {
        throw new DfsError('EIO', 'what the node tells of it is not what was stored');
      }
      // A copy: the table would keep the whole message in memory.
      const place = { file: told.file, offset: told.offset, length, checksums: Buffer.from(told.checksums) };
      this.#places.set(chunk, place);
      return place;
    } catch (error) {
      // Its grant has expired: the next one may come in a moment.
      if (!isGrantRefused(error)) this.#noteFailure(chunk, error);
      return undefined;
    }
  }

  #noteFailure(chunk: number, error: unknown): void {
    const { clock, log, node } = this.#options;
    this.#places.delete(chunk);
    this.#avoided.set(chunk, clock.monotonicMs() + AVOID_MS);
    log.debug({ chunk, node, reason: toDfsError(error).message }, 'a chunk is not read from its file');
  }

  /** The node has moved what was wanted of it. */
  #forgetFile(name: string): void {
    for (const [chunk, place] of this.#places.entries()) if (place.file === name) this.#places.delete(chunk);
  }
}

function blocksOf(place: Place, offset: number, length: number): BlockRun {
  const firstBlock = Math.floor(offset / CHECKSUM_BLOCK_BYTES);
  const blocks = blocksCovering(offset, length);
  const from = firstBlock * CHECKSUM_BLOCK_BYTES;
  const to = Math.min(place.length, from + blocks * CHECKSUM_BLOCK_BYTES);
  return {
    position: place.offset + from,
    length: to - from,
    table: place.checksums.subarray(firstBlock * CHECKSUM_BYTES, (firstBlock + blocks) * CHECKSUM_BYTES),
    skip: offset - from,
  };
}

/** The blocks, if they are what was stored; else EIO. */
function asStored(blocks: Buffer, { table }: BlockRun): Buffer {
  if (matchesChecksums([blocks], table)) return blocks;
  throw new DfsError('EIO', 'what is in the file does not match its checksums');
}
