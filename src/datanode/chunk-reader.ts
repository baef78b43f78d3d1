/** Reads chunks from segments and believes nothing that does not match its checksum. */
import { LRUCache } from 'lru-cache';
import {
  blocksCovering,
  checksumTableBytes,
  computeChecksums,
  matchesChecksums,
} from '../protocol/checksum.js';
import { DfsError } from '../protocol/errors.js';
import { CHECKSUM_BLOCK_BYTES, CHECKSUM_BYTES } from '../protocol/limits.js';
import { chunkRecordBytes, decodeRecordHeader, isHeadIntact, RECORD_HEADER_BYTES } from './record.js';
import type { SegmentFiles } from './segment-files.js';
import type { ChunkLocation } from './segment-index.js';
import type { SegmentSpans } from './segment-spans.js';

/** What a table costs besides its bytes: an entry of lru-cache, and a string. */
const TABLE_OVERHEAD_BYTES = 160;
/** When what is asked begins this close behind the table, one read fetches both. */
const MAX_GAP_BYTES = 2 * CHECKSUM_BLOCK_BYTES;

export interface ChunkPart {
  /** Exactly the bytes asked for. */
  readonly bytes: Buffer;
  /** One CRC-32 for each piece of them, cut where blocks of the chunk end. */
  readonly checksums: Buffer;
}

export class ChunkReader {
  readonly #files: SegmentFiles;
  /** chunk id → its checksum table, which never changes */
  readonly #tables: LRUCache<number, string>;

  /** @param tableBytes memory for tables */
  constructor(files: SegmentFiles, tableBytes: number) {
    this.#files = files;
    this.#tables = new LRUCache({
      maxSize: tableBytes,
      sizeCalculation: table => table.length + TABLE_OVERHEAD_BYTES,
    });
  }

  /**
   * `length` bytes from `offset` on; the range lies within the chunk. EIO when what is on disk is damaged.
   * @param spans what was read already
   */
  async read(
    chunk: number,
    at: ChunkLocation,
    offset: number,
    length: number,
    spans?: SegmentSpans,
  ): Promise<ChunkPart> {
    const firstBlock = Math.floor(offset / CHECKSUM_BLOCK_BYTES);
    const from = firstBlock * CHECKSUM_BLOCK_BYTES;
    const blocks = blocksCovering(offset, length);
    const to = Math.min(at.length, from + blocks * CHECKSUM_BLOCK_BYTES);
    const tableBytes = checksumTableBytes(at.length);
    const headBytes = RECORD_HEADER_BYTES + tableBytes;
    let table = this.#keptTable(chunk);
    let covering: Buffer;
    if (!table && from <= MAX_GAP_BYTES) {
      const all = await this.#bytes(chunk, at, 0, headBytes + to, spans);
      table = this.#checkHead(chunk, at, all.subarray(0, headBytes));
      covering = all.subarray(headBytes + from);
    } else {
      table ??= this.#checkHead(chunk, at, await this.#bytes(chunk, at, 0, headBytes, spans));
      covering = await this.#bytes(chunk, at, headBytes + from, to - from, spans);
    }
    const entries = table.subarray(firstBlock * CHECKSUM_BYTES, (firstBlock + blocks) * CHECKSUM_BYTES);
    if (!matchesChecksums([covering], entries)) {
      throw damaged(chunk, at, `bytes ${from} to ${to} of its payload do not match their checksums`);
    }
    const bytes = covering.subarray(offset - from, offset - from + length);
    return { bytes, checksums: checksumsOfPart(bytes, offset, at.length, entries) };
  }

  /** The chunk's checksum table. EIO when it is damaged. */
  async table(chunk: number, at: ChunkLocation): Promise<Buffer> {
    const kept = this.#keptTable(chunk);
    if (kept) return kept;
    const head = Buffer.allocUnsafe(RECORD_HEADER_BYTES + checksumTableBytes(at.length));
    // A client that asks where its bytes are reads them itself.
    const count = await this.#files.use(at.segment, async file => await file.pread(head, at.offset, true));
    if (count < head.length) throw endsEarly(chunk, at);
    return this.#checkHead(chunk, at, head);
  }

  /** Whose bytes these were, and where in the file the first one stood, when they were written. */
  async hints(
    chunk: number,
    at: ChunkLocation,
  ): Promise<{ readonly inode: number; readonly fileOffset: number }> {
    const header = decodeRecordHeader(await this.#bytes(chunk, at, 0, RECORD_HEADER_BYTES), at);
    if (!header || header.chunk !== chunk) throw damaged(chunk, at, 'its header is not as it was written');
    return { inode: header.inode, fileOffset: header.fileOffset };
  }

  /** Header, table and payload as they are on the disk, whatever they are. */
  async rawRecord(at: ChunkLocation): Promise<Buffer> {
    const target = Buffer.alloc(chunkRecordBytes(at.length));
    const count = await this.#files.use(at.segment, async file => await file.pread(target, at.offset));
    return target.subarray(0, count);
  }

  /** Forgets a chunk that is gone, so that one of the same id is not read with its checksums. */
  forget(chunk: number): void {
    this.#tables.delete(chunk);
  }

  /** Bytes of the record, counted from its header. */
  async #bytes(
    chunk: number,
    at: ChunkLocation,
    from: number,
    length: number,
    spans?: SegmentSpans,
  ): Promise<Buffer> {
    const read = spans?.bytes(at.segment, at.offset + from, length);
    if (read) return read;
    const target = Buffer.allocUnsafe(length);
    const count = await this.#files.use(at.segment, async file => await file.pread(target, at.offset + from));
    if (count < length) throw endsEarly(chunk, at);
    return target;
  }

  #checkHead(chunk: number, at: ChunkLocation, head: Buffer): Buffer {
    const header = decodeRecordHeader(head, at);
    if (!header || header.chunk !== chunk || header.length !== at.length || !isHeadIntact(head)) {
      throw damaged(chunk, at, 'its header or checksum table is not as it was written');
    }
    // A copy: the table would keep the payload that was read with it in memory.
    const table = Buffer.from(head.subarray(RECORD_HEADER_BYTES));
    this.#tables.set(chunk, table.toString('latin1'));
    return table;
  }

  #keptTable(chunk: number): Buffer | undefined {
    const kept = this.#tables.get(chunk);
    return kept === undefined ? undefined : Buffer.from(kept, 'latin1');
  }
}

function endsEarly(chunk: number, at: ChunkLocation): DfsError {
  return damaged(chunk, at, 'the segment file ends before it');
}

function damaged(chunk: number, at: ChunkLocation, what: string): DfsError {
  return new DfsError(
    'EIO',
    `chunk ${chunk} is damaged on this node (segment ${at.segment}, offset ${at.offset}): ${what}; read another replica`,
  );
}

/** Checksums of whole blocks are known; only the ends that were cut are computed. */
function checksumsOfPart(bytes: Buffer, offset: number, chunkLength: number, entries: Buffer): Buffer {
  const end = offset + bytes.length;
  const startsInBlock = offset % CHECKSUM_BLOCK_BYTES !== 0;
  const endsInBlock = end % CHECKSUM_BLOCK_BYTES !== 0 && end !== chunkLength;
  if (!startsInBlock && !endsInBlock) return entries;
  if (entries.length <= 2 * CHECKSUM_BYTES) return computeChecksums([bytes], offset);
  const checksums = Buffer.from(entries);
  if (startsInBlock) {
    const first = bytes.subarray(0, CHECKSUM_BLOCK_BYTES - (offset % CHECKSUM_BLOCK_BYTES));
    computeChecksums([first], offset).copy(checksums, 0);
  }
  if (endsInBlock) {
    const last = bytes.subarray(bytes.length - (end % CHECKSUM_BLOCK_BYTES));
    computeChecksums([last]).copy(checksums, checksums.length - CHECKSUM_BYTES);
  }
  return checksums;
}
