/**
 * One data node on this machine whose files this client reads by itself: where its chunks are, as the node told, and the
 * reading, which believes nothing without its checksum. Chunks never change, but the node moves them, and removes them
 * when they are not wanted any more: then what is read does not match, or cannot be opened, and is asked of the node.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { PAGE_BYTES } from '../../platform/aligned-buffers.js';
import { MAX_CACHED_READ_BYTES } from '../../platform/cached-read.js';
import type { LocalFile, LocalFiles } from '../../platform/local-files.js';
import type { BufferPool } from '../../platform/buffer-pool.js';
import { DIRECT_SLACK_BYTES } from '../../platform/direct-reads.js';
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
import { DirectChoice } from './direct-choice.js';
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

/** How bytes are wanted. */
export interface ReadManner {
  /** What the bytes may be borrowed by; without it they are the caller's. */
  readonly loans?: Loans | undefined;
  /** They are read in order, in large pieces of which several are asked for at once. */
  readonly isStreamed?: boolean;
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
  readonly #directChoice: DirectChoice;
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
    this.#directChoice = new DirectChoice(options.clock);
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
   */
  async read(
    location: ReadableChunk,
    offset: number,
    length: number,
    manner: ReadManner = {},
  ): Promise<Buffer | 'damaged' | undefined> {
    const place = await this.#placeOf(location);
    if (!place) return undefined;
    const run = blocksOf(place, offset, length);
    try {
      const { loans, isStreamed = false } = manner;
      const isLent =
        run.length > MAX_CACHED_READ_BYTES &&
        run.length + DIRECT_SLACK_BYTES <= this.#options.pool.bufferBytes;
      const isDirect = isStreamed && this.#directChoice.isWanted(location.chunk, offset);
      if (isDirect) this.#directChoice.noteRead(location.chunk, offset);
      const blocks =
        loans && isLent
          ? await this.#borrow(place.file, run, loans, isDirect)
          : await this.#own(place.file, run);
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

  /**
   * These bytes will be wanted: has the system read them, unless they will be read past its cache: then it is enough to know
   * where they are. Never rejects.
   */
  async prefetch(location: ReadableChunk, offset: number, length: number, isStreamed = false): Promise<void> {
    const place = await this.#placeOf(location);
    if (!place || (isStreamed && this.#directChoice.isFast)) return;
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

  /** The same in memory that is used again; past the page cache, if it does not have them, for `isDirect`. */
  async #borrow(name: string, run: BlockRun, loans: Loans, isDirect: boolean): Promise<Buffer | undefined> {
    const { diskReads } = this.#options;
    const blocks = await this.#segments.use(name, async file => {
      // The pages at both ends hold what stands beside, too.
      const isAbsent = isDirect && file.isAbsent(run.position + PAGE_BYTES, run.length - 2 * PAGE_BYTES);
      const cached = isAbsent ? undefined : this.#borrowCached(file, run, loans);
      if (cached) return cached;
      const read = async (): Promise<Buffer> =>
        isAbsent ? await this.#borrowDirect(file, run, loans) : await this.#borrowRead(file, run, loans);
      // What a stream asked of the node instead would fill the page cache, which then reads ahead for all of it.
      return await (isDirect ? diskReads.runInTurn(read) : diskReads.run(read));
    });
    return blocks && asStored(blocks, run);
  }

  #borrowCached(file: LocalFile, run: BlockRun, loans: Loans): Buffer | undefined {
    const { pool } = this.#options;
    const memory = pool.take();
    const target = memory.subarray(0, run.length);
    if (!file.preadCachedInto(target, run.position)) {
      pool.give(memory);
      return undefined;
    }
    loans.add(pool, memory);
    return target;
  }

  async #borrowDirect(file: LocalFile, run: BlockRun, loans: Loans): Promise<Buffer> {
    const { pool, clock, diskReads } = this.#options;
    const beganMs = clock.monotonicMs();
    const atOnce = diskReads.underWay;
    // If this rejects, the memory is not used again: a thread may still be writing to it.
    const memory = pool.take();
    const read = await file.preadDirect(memory, run.length, run.position);
    if (!read) {
      pool.give(memory);
      return await this.#borrowRead(file, run, loans);
    }
    loans.add(pool, memory);
    this.#directChoice.noteTime(run.length, clock.monotonicMs() - beganMs, atOnce);
    return whole(read, run);
  }

  async #borrowRead(file: LocalFile, run: BlockRun, loans: Loans): Promise<Buffer> {
    const { pool } = this.#options;
    const memory = pool.take();
    const count = await file.pread(memory.subarray(0, run.length), run.position);
    loans.add(pool, memory);
    return whole(memory.subarray(0, count), run);
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
        whole(target.subarray(0, count), target);
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

/** What was read, if it is all that was wanted; else EIO. */
function whole(read: Buffer, wanted: { readonly length: number }): Buffer {
  if (read.length >= wanted.length) return read;
  throw new DfsError('EIO', 'the file ends before the chunk does');
}

/** The blocks, if they are what was stored; else EIO. */
function asStored(blocks: Buffer, { table }: BlockRun): Buffer {
  if (matchesChecksums([blocks], table)) return blocks;
  throw new DfsError('EIO', 'what is in the file does not match its checksums');
}
