/** Reads a file's committed bytes: extents from the metadata server, chunks from the data nodes. */
import { sleep, type Clock } from '../../platform/clock.js';
import type { Loans } from '../../platform/loans.js';
import type { ReplyOf } from '../../protocol/command.js';
import { assert, DfsError, toDfsError } from '../../protocol/errors.js';
import type { Payload } from '../../protocol/frame.js';
import { get, getfiles } from '../../protocol/content-commands.js';
import { MAX_SMALL_FILES, READ_GRANT_LIFETIME_MS } from '../../protocol/limits.js';
import { expiryOf } from '../../protocol/read-grants.js';
import type { Attributes } from '../../protocol/types.js';
import { isConnectionError } from '../../rpc/client.js';
import type { CacheSizes } from '../caches/cache-sizes.js';
import { CACHE_BLOCK_BYTES, SCATTERED_BLOCK_BYTES, type BlockBytes, type ChunkCache } from './chunk-cache.js';
import type { ChunkReader } from './chunk-reader.js';
import type { DataNodePool } from './data-node-pool.js';
import { LOCATED_EXTENT_BYTES, type ExtentMap, type ExtentPiece } from './extent-map.js';
import type { MetadataSession } from '../session/metadata-session.js';
import { isGrantRefused, keptExpiryOf, readableChunks, type ReadableChunk } from './readable-chunk.js';

/** Extents asked for at once: a page of some 100 kB, which covers 4 GiB of a file written in one go. */
const MAX_EXTENTS_PER_PAGE = 1024;
/** A reader in order, and what is read ahead for it, need several pages side by side: no page takes more of the room. */
const PAGE_PART = 1 / 8;
/** The same for a reader who jumps about: of a file in many pieces, the next ones are not what he wants next. */
const EXTENTS_FOR_A_JUMP = 64;
/** A range may well be in pieces as small as this. */
const SMALL_PIECE_BYTES = 4096;
/** A chunk no longer than this is fetched whole even by a reader who jumps about. */
const SMALL_CHUNK_BYTES = 128 << 10;
/** From this length on a local file is read for each reader anew; many short reads are better served by what is kept. */
const MIN_DIRECT_BYTES = 128 << 10;
/** A reader in order who asks for so much at once has further requests under way. */
const MIN_STREAMED_BYTES = 256 << 10;
/** A piece of a larger chunk that is shorter than this is taken for one of many. */
const SMALL_EXTENT_BYTES = 128 << 10;
const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;
/** A chunk that no node has, looked up anew this many times, is lost. */
const LOOKUPS_OF_A_LOST_CHUNK = 3;

/** A grant that expires so soon is not used any more. */
const GRANT_MARGIN_MS = 60_000;
/** For so long another grant is asked for when data nodes refuse what the metadata server gives: they register each second. */
const REFUSED_GRANT_MS = 5000;

const ZEROS = Buffer.alloc(1 << 20);

export interface ReadRange {
  readonly inode: number;
  readonly extents: ExtentMap;
  readonly offset: number;
  readonly length: number;
  /** What follows will be wanted too, so whole blocks are fetched and kept. */
  readonly isSequential: boolean;
  /** What the bytes may be borrowed by; without it they are the caller's. */
  readonly loans?: Loans | undefined;
  /** Told the attributes that came along. */
  readonly onAttributes: (attributes: Attributes) => void;
}

export class ContentReader {
  readonly #session: MetadataSession;
  readonly #nodes: DataNodePool;
  readonly #reader: ChunkReader;
  readonly #cache: ChunkCache;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Bytes that are fetched before anybody asks for them, and the most of that for all readers together. */
  #aheadBytes = 0;
  readonly #maxAheadBytes: number;
  readonly #extentsPerPage: number;
  /** inode → the request under way that asks for it and others */
  readonly #learning = new Map<number, Promise<unknown>>();
  /** The metadata server's wall clock less this client's monotonic one; undefined until it gave a grant. */
  #serverAheadMs: number | undefined;

  constructor(
    session: MetadataSession,
    nodes: DataNodePool,
    reader: ChunkReader,
    cache: ChunkCache,
    clock: Clock,
    timeoutMs: number,
    sizes: CacheSizes,
  ) {
    this.#maxAheadBytes = sizes.dataBytes / 2;
    const fitting = Math.floor((sizes.extentBytes * PAGE_PART) / LOCATED_EXTENT_BYTES);
    this.#extentsPerPage = Math.min(MAX_EXTENTS_PER_PAGE, Math.max(EXTENTS_FOR_A_JUMP, fitting));
    this.#session = session;
    this.#nodes = nodes;
    this.#reader = reader;
    this.#cache = cache;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * The bytes of a range; holes, and what lies behind the last extent, are zeros. Waits up to the client's timeout
   * for servers that are away, then rejects with EIO; rejects with EIO at once when every replica is bad.
   */
  async read(range: ReadRange): Promise<Payload> {
    const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs;
    let pauseMs = FIRST_PAUSE_MS;
    let lost = 0;
    let refusedSinceMs: number | undefined;
    for (;;) {
      try {
        const pieces = await this.locate(range);
        const parts = await Promise.all(pieces.map(piece => this.#readPiece(piece, range)));
        return parts.length === 1 && parts[0] ? parts[0] : parts.flat();
      } catch (error) {
        const reason = toDfsError(error);
        const leftMs = deadlineMs - this.#clock.monotonicMs();
        if (isGrantRefused(reason)) {
          const nowMs = this.#clock.monotonicMs();
          refusedSinceMs ??= nowMs;
          if (nowMs - refusedSinceMs > REFUSED_GRANT_MS) throw new DfsError('EIO', reason.message);
        } else if (reason.code === 'ENOENT') lost += 1;
        else if (!isConnectionError(reason)) throw reason;
        if (leftMs <= 0 || lost >= LOOKUPS_OF_A_LOST_CHUNK) throw new DfsError('EIO', reason.message);
        // The chunk may have moved, its node may be back under another address, or the grant is not good any more.
        range.extents.clear();
        await sleep(this.#clock, Math.min(leftMs, pauseMs));
        pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2);
      }
    }
  }

  /** A small chunk that was written just now, whose bytes are copied. */
  keep(chunk: number, payload: Payload): void {
    this.#cache.keep(chunk, payload);
  }

  /** Where the bytes of a range are. Rejects as a request to the metadata server does. */
  async locate(range: ReadRange): Promise<ExtentPiece[]> {
    const { extents } = range;
    const end = range.offset + range.length;
    let located: ExtentPiece[] = [];
    let at = range.offset;
    for (;;) {
      const found = this.#findReadable(extents, at, end);
      if (typeof found !== 'number') return located.length === 0 ? found : located.concat(found);
      // Taken over now: there may not be room for all pieces of the range at once.
      const before = found > at ? extents.find(at, found) : [];
      assert(typeof before !== 'number', 'all is known before the first place that is not');
      located = located.concat(before);
      at = found;
      const { version } = extents;
      const learning = this.#learning.get(range.inode);
      if (learning) await learning;
      else await this.#learn(range, at, this.#extentsToAsk(range.isSequential, end - at));
      if (extents.version === version) continue;
      // The pieces before are of another version of the file.
      located = [];
      at = range.offset;
    }
  }

  /** As ExtentMap.find; where a grant has expired, nothing is known. */
  #findReadable(extents: ExtentMap, offset: number, end: number): ExtentPiece[] | number {
    const found = extents.find(offset, end);
    if (typeof found === 'number' || this.#serverAheadMs === undefined) return found;
    const serverMs = this.#clock.monotonicMs() + this.#serverAheadMs + GRANT_MARGIN_MS;
    const isExpired = ({ location }: ExtentPiece): boolean =>
      location !== undefined && keptExpiryOf(location.readGrant) < serverMs;
    if (!found.some(isExpired)) return found;
    extents.clear();
    return offset;
  }

  /**
   * Whether the range begins in a hole, and where that hole, or that data, ends as far as is known. Rejects as a request
   * to the metadata server does.
   */
  async runAt(range: ReadRange): Promise<{ readonly isHole: boolean; readonly end: number }> {
    for (;;) {
      const run = range.extents.runAt(range.offset);
      if (run) return run;
      await this.#learn(range, range.offset, this.#extentsPerPage);
    }
  }

  #extentsToAsk(isSequential: boolean, length: number): number {
    if (isSequential) return this.#extentsPerPage;
    const needed = Math.ceil(length / SMALL_PIECE_BYTES) + 1;
    return Math.min(MAX_EXTENTS_PER_PAGE, Math.max(EXTENTS_FOR_A_JUMP, needed));
  }

  /** Asks for a page of extents. */
  async #learn(range: ReadRange, offset: number, limit: number): Promise<void> {
    const reply = await this.#session.ask(get, { inode: range.inode, offset, limit });
    this.#noteTime(reply.readGrants);
    this.#nodes.learn(reply.nodes);
    takeOver(range, offset, reply, readableChunks(reply.chunks, reply.readGrants));
  }

  /**
   * Fetches a range into the cache, unless so many others are being fetched that there is no room. Never rejects: who reads the range
   * will be told what is wrong with it.
   * @param pieceBytes how much the reader asks for at once
   */
  async prefetch(range: ReadRange, pieceBytes: number): Promise<void> {
    if (this.#aheadBytes > 0 && this.#aheadBytes + range.length > this.#maxAheadBytes) return;
    this.#aheadBytes += range.length;
    try {
      const pieces = await this.locate(range);
      await Promise.all(pieces.map(piece => this.#prefetchPiece(piece, pieceBytes)));
    } catch {
      // Told to the reader, as said above.
    } finally {
      this.#aheadBytes -= range.length;
    }
  }

  /**
   * Fetches small files from their beginnings on into the cache, in as few requests as may be. Never rejects, for the same
   * reason.
   */
  async prefetchFiles(ranges: readonly ReadRange[]): Promise<void> {
    try {
      const unknown = ranges.filter(
        ({ extents, offset, length }) =>
          typeof this.#findReadable(extents, offset, offset + length) === 'number',
      );
      for (let at = 0; at < unknown.length; at += MAX_SMALL_FILES) {
        await this.#learnFiles(unknown.slice(at, at + MAX_SMALL_FILES));
      }
      const pieces = ranges.flatMap(({ extents, offset, length }) => {
        const found = extents.find(offset, offset + length);
        return typeof found === 'number' ? [] : found;
      });
      const isSmall = ({ location }: ExtentPiece): boolean => (location?.length ?? 0) <= SMALL_CHUNK_BYTES;
      const small = new Map(
        pieces.filter(isSmall).flatMap(({ location }) => (location ? [[location.chunk, location]] : [])),
      );
      await Promise.all([
        this.#cache.prefetch([...small.values()]),
        ...pieces.filter(piece => !isSmall(piece)).map(piece => this.#prefetchPiece(piece, 0)),
      ]);
    } catch {
      // Told to the reader, as said above.
    }
  }

  /** Asks for the extents of several files; whoever reads one of them meanwhile waits for it. */
  async #learnFiles(ranges: readonly ReadRange[]): Promise<void> {
    const asking = this.#session.ask(getfiles, { inodes: ranges.map(({ inode }) => inode) });
    const learning = asking.then(({ files, nodes, readGrants }) => {
      this.#noteTime(readGrants);
      this.#nodes.learn(nodes);
      const byInode = new Map(ranges.map(range => [range.inode, range]));
      let first = 0;
      for (const file of files) {
        const range = byInode.get(file.attributes.inode);
        if (range) takeOver(range, 0, file, readableChunks(file.chunks, readGrants, first));
        first += file.chunks.length;
      }
    });
    const settled = learning.catch(() => undefined);
    for (const { inode } of ranges) this.#learning.set(inode, settled);
    try {
      await learning;
    } finally {
      for (const { inode } of ranges) if (this.#learning.get(inode) === settled) this.#learning.delete(inode);
    }
  }

  /** Takes notice of the metadata server's clock, by which grants expire. */
  #noteTime(readGrants: Uint8Array): void {
    if (readGrants.length === 0) return;
    this.#serverAheadMs = expiryOf(readGrants) - READ_GRANT_LIFETIME_MS - this.#clock.monotonicMs();
  }

  async #prefetchPiece(piece: ExtentPiece, pieceBytes: number): Promise<void> {
    const { location, chunkOffset, length } = piece;
    if (!location) return;
    const isStreamed = pieceBytes >= MIN_STREAMED_BYTES;
    if (isStreamed) await this.#reader.meet(location);
    const isDirect = piece.extentLength >= SMALL_EXTENT_BYTES && this.#reader.isLocal(location);
    if (isDirect) await this.#reader.prefetch(location, chunkOffset, length, isStreamed);
    else await this.#cache.read(location, chunkOffset, length, blockBytesFor(piece));
  }

  async #readPiece(piece: ExtentPiece, range: ReadRange): Promise<Payload> {
    const { location, chunkOffset, length } = piece;
    const { isSequential, loans } = range;
    if (!location) return zeros(length);
    const kept = this.#cache.kept(location.chunk, chunkOffset, length);
    if (kept) return kept;
    if (location.length <= SMALL_CHUNK_BYTES) return await this.#cache.read(location, chunkOffset, length);
    const isStreamed = loans !== undefined && isSequential && range.length >= MIN_STREAMED_BYTES;
    if (isStreamed) await this.#reader.meet(location);
    const isDirect = loans && length >= MIN_DIRECT_BYTES && this.#reader.isLocal(location);
    if (isDirect || !isSequential) {
      return await this.#reader.read(location, chunkOffset, length, { loans, isStreamed });
    }
    return await this.#cache.read(location, chunkOffset, length, blockBytesFor(piece));
  }
}

/** A page of a file's extents, from `offset` on. */
function takeOver(
  range: ReadRange,
  offset: number,
  page: Omit<ReplyOf<typeof get>, 'nodes' | 'readGrants'>,
  chunks: readonly ReadableChunk[],
): void {
  const { attributes, extents, next } = page;
  const until = next < 0 ? Number.POSITIVE_INFINITY : next;
  range.extents.insertPage(attributes.version, offset, until, extents, chunks);
  range.onAttributes(attributes);
}

/** What lies beside a small piece in its chunk may belong anywhere in the file. */
function blockBytesFor({ extentLength }: ExtentPiece): BlockBytes {
  return extentLength < SMALL_EXTENT_BYTES ? SCATTERED_BLOCK_BYTES : CACHE_BLOCK_BYTES;
}

function zeros(length: number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let left = length; left > 0; left -= ZEROS.length) pieces.push(ZEROS.subarray(0, left));
  return pieces;
}
