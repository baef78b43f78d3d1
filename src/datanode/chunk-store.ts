/** The chunks of one data node: stored in a log of segments, found by an index, never changed. */
import { join } from 'node:path';
import type { Clock } from '../platform/clock.js';
import type { Disk } from '../platform/disk.js';
import type { Logger } from '../platform/log.js';
import type { ReplyOf } from '../protocol/command.js';
import type { locate } from '../protocol/datanode-commands.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { computeChecksums } from '../protocol/checksum.js';
import type { Payload } from '../protocol/frame.js';
import type { Intent } from '../protocol/intents.js';
import { ChunkReader, type ChunkPart } from './chunk-reader.js';
import { Compactor } from './compactor.js';
import { FreeSpace, type NodeSpace } from './free-space.js';
import { Quarantine } from './quarantine.js';
import { ReplicaTroubles } from './replica-troubles.js';
import { IndexWriter } from './index-writer.js';
import { encodeIntent, KeptIntents } from './kept-intents.js';
import { chunkRecordBytes, RECORD_HEADER_BYTES, RecordKind } from './record.js';
import { recover } from './recovery.js';
import { SEGMENTS_DIRECTORY, SegmentFiles } from './segment-files.js';
import { SegmentIndex, type ChunkLocation } from './segment-index.js';
import { SegmentLog } from './segment-log.js';
import { StoredChunks, type ChunkHead, type WantedPart } from './stored-chunks.js';

const DEFAULT_SEGMENT_BYTES = 256 << 20;
const DEFAULT_TABLE_BYTES = 8 << 20;
const DEFAULT_READING_BYTES = 32 << 20;

export interface ChunkStoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  /** The node's data directory. */
  readonly directory: string;
  /** The node's identity. */
  readonly node: string;
  /** Default: 256 MiB. */
  readonly segmentBytes?: number | undefined;
  /** Memory for the checksum tables of chunks that are read; a 4 MiB chunk's has 1 KiB. Default: 8 MiB. */
  readonly tableBytes?: number | undefined;
  /** Payload bytes that are being read at once. Default: 32 MiB. */
  readonly maxReadingBytes?: number | undefined;
  /** As SegmentLogOptions. */
  readonly minAlignedBytes?: number | undefined;
}

/** A chunk to store. */
export interface NewChunk {
  readonly chunk: number;
  readonly inode: number;
  readonly fileOffset: number;
  /** Bytes of the payload. */
  readonly length: number;
  /** The checksums of its blocks, which were checked against the payload. */
  readonly table: Uint8Array;
  readonly payload: Payload;
  /** What is to be done with it. */
  readonly intent?: Intent | undefined;
}

export class ChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #files: SegmentFiles;
  readonly #index = new SegmentIndex();
  readonly #log: SegmentLog;
  readonly #reader: ChunkReader;
  readonly #stored: StoredChunks;
  readonly #compactor: Compactor;
  readonly #space: FreeSpace;
  /** chunk id → the storing or dropping under way; it never rejects */
  readonly #puts = new Map<number, Promise<void>>();
  readonly #drops = new Map<number, Promise<void>>();
  readonly #quarantine: Quarantine;
  /** What came with chunks, and may be asked for. */
  readonly intents: KeptIntents;
  /** What readers found wrong. */
  readonly troubles: ReplicaTroubles;
  /** Segments whose file was deleted by somebody. */
  readonly #missing = new Set<number>();
  /** While the store is open. */
  #indexWriter: IndexWriter | undefined;

  constructor(options: ChunkStoreOptions) {
    const { disk, directory, clock, log } = options;
    const segmentBytes = options.segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    this.#options = options;
    this.intents = new KeptIntents(clock);
    this.#quarantine = new Quarantine(disk, directory);
    this.troubles = new ReplicaTroubles(clock);
    this.#files = new SegmentFiles(disk, join(directory, SEGMENTS_DIRECTORY), log);
    this.#reader = new ChunkReader(this.#files, options.tableBytes ?? DEFAULT_TABLE_BYTES);
    this.#stored = new StoredChunks({
      files: this.#files,
      index: this.#index,
      reader: this.#reader,
      troubles: this.troubles,
      maxReadingBytes: options.maxReadingBytes ?? DEFAULT_READING_BYTES,
    });
    this.#space = new FreeSpace(disk, directory, clock);
    this.#log = new SegmentLog({
      files: this.#files,
      clock,
      log,
      segmentBytes,
      minAlignedBytes: options.minAlignedBytes,
      onSealed: (segment, bytes) => {
        this.#index.seal(segment, bytes);
        this.#compactor.wake();
      },
    });
    this.#compactor = new Compactor({
      files: this.#files,
      index: this.#index,
      log: this.#log,
      reader: this.#reader,
      clock,
      logger: log,
      pending: chunk => this.#pending(chunk),
      isBeingDropped: chunk => this.#drops.has(chunk),
      hasIntents: segment => this.intents.isIn(segment),
      persistIndex: async () => await this.#indexWriter?.write(),
    });
  }

  /** Finds everything that was stored before; see recovery.ts. */
  async open(): Promise<void> {
    const { disk, clock, log, directory, node } = this.#options;
    const segmentBytes = this.#options.segmentBytes ?? DEFAULT_SEGMENT_BYTES;
    await this.#files.load();
    const { database, current } = await recover({
      disk,
      log,
      directory,
      node,
      files: this.#files,
      index: this.#index,
      intents: this.intents,
      segmentBytes,
    });
    const place = {
      disk,
      directory,
      node,
      index: this.#index,
      intents: this.intents,
      segments: this.#log,
    };
    this.#indexWriter = new IndexWriter(database, { ...place, clock, log });
    await this.#log.open(current);
    await this.#space.measure();
    this.#compactor.wake();
  }

  get chunkCount(): number {
    return this.#index.chunkCount;
  }

  get segmentCount(): number {
    return this.#files.count;
  }

  /** Whether the disk failed, so that only reads are answered until the next start. */
  get isReadOnly(): boolean {
    return this.#log.failure !== undefined;
  }

  /** What the node holds and could still take. */
  async space(): Promise<NodeSpace> {
    const space = await this.#space.report(this.#files.totalBytes);
    return this.isReadOnly ? { ...space, freeBytes: 0 } : space;
  }

  /**
   * Stores a chunk; resolves when the operating system has it. Storing the same again changes nothing. EEXIST when
   * there is another chunk of this id, ENOSPC when the disk is full, EIO when it failed.
   */
  async put(chunk: NewChunk): Promise<void> {
    for (let work = this.#pending(chunk.chunk); work; work = this.#pending(chunk.chunk)) await work;
    const failure = this.#log.failure;
    if (failure) throw failure;
    const held = this.#index.find(chunk.chunk);
    if (held) {
      await this.#checkSame(chunk, held);
      return;
    }
    await track(this.#puts, chunk.chunk, this.#append(chunk));
  }

  /** Part of a chunk. ENOENT when it is not here, EINVAL when it is shorter, EIO when it is damaged. */
  async read(chunk: number, offset: number, length: number): Promise<ChunkPart> {
    return await this.#stored.read({ chunk, offset, length });
  }

  /** As StoredChunks.readParts. */
  async readParts(parts: readonly WantedPart[]): Promise<(ChunkPart | undefined)[]> {
    return await this.#stored.readParts(parts);
  }

  /** Reads the chunk and checks it; returns its bytes, 0 when it is gone. What is damaged is noted. Never rejects. */
  async verify(chunk: number): Promise<number> {
    const at = this.#index.find(chunk);
    if (!at) return 0;
    try {
      await this.read(chunk, 0, at.length);
    } catch (error) {
      this.#options.log.error({ chunk, reason: toDfsError(error).message }, 'a chunk does not read well');
    }
    return at.length;
  }

  /**
   * Notices segments that somebody deleted: their chunks are told of as damaged, and if one of them was being written to,
   * nothing more is written. ENOENT when the directory of the segments itself has gone.
   */
  async checkSegments(): Promise<void> {
    for (const segment of await this.#files.missing()) {
      if (this.#missing.has(segment)) continue;
      this.#missing.add(segment);
      const chunks = this.#index.chunksIn(segment);
      this.#options.log.error(
        { segment, chunks: chunks.length },
        'the file of a segment was deleted; its chunks are lost here',
      );
      this.#log.noteMissing(segment);
      for (const chunk of chunks) this.troubles.noteDamaged(chunk);
    }
  }

  /** Bytes of all chunks that are here. */
  payloadBytes(): number {
    return this.#index.payloadBytes();
  }

  /** Puts a chunk aside for inspection, as it is on the disk, and drops it. */
  async quarantine(chunk: number): Promise<void> {
    const at = this.#index.find(chunk);
    // The segment itself may be gone, and with it what could be inspected.
    const record = at && (await this.#reader.rawRecord(at).catch(() => undefined));
    if (record) await this.#quarantine.keep(chunk, record);
    await this.drop([chunk]);
    this.troubles.forget(chunk);
  }

  /** Whether the chunk is here. */
  has(chunk: number): boolean {
    return this.#index.find(chunk) !== undefined;
  }

  /** The ids of all chunks that are here, ascending. */
  chunkIds(): Float64Array {
    return this.#index.chunkIds();
  }

  /** Bytes of a chunk's payload; undefined when it is not here. */
  lengthOf(chunk: number): number | undefined {
    return this.#index.find(chunk)?.length;
  }

  /** What the record of a chunk says besides its payload. ENOENT when it is not here, EIO when it is damaged. */
  async head(chunk: number): Promise<ChunkHead> {
    return await this.#stored.head(chunk);
  }

  /** The checksums of all of a chunk's blocks. ENOENT, EIO as for `head`. */
  async table(chunk: number): Promise<Buffer> {
    return await this.#stored.table(chunk);
  }

  /** Where a chunk is in the node's files, by the shape of `locate`. ENOENT, EIO as for `head`. */
  async locate(chunk: number): Promise<ReplyOf<typeof locate>> {
    return await this.#stored.locate(chunk);
  }

  /** A chunk with what belongs to it, as it was stored. ENOENT, EIO as for `head`. */
  async readWhole(chunk: number): Promise<Omit<NewChunk, 'chunk'>> {
    return await this.#stored.readWhole(chunk);
  }

  /** What was stored or dropped before this call is on stable storage when it returns; EIO if that cannot be had. */
  async sync(): Promise<void> {
    await this.#log.sync();
  }

  /** Drops chunks; when it resolves they are gone for good. Those that are not here are gone already. */
  async drop(chunks: readonly number[]): Promise<void> {
    await Promise.all(chunks.map(async chunk => await this.#dropOne(chunk)));
    await this.#log.sync();
    this.#compactor.wake();
  }

  /** Resolves when the compactor has nothing to do. */
  async compacted(): Promise<void> {
    this.#compactor.wake();
    await this.#compactor.idle();
  }

  /** Finishes what is under way, syncs it and writes the index. May be called twice. */
  async close(): Promise<void> {
    const { log } = this.#options;
    const writer = this.#indexWriter;
    this.#indexWriter = undefined;
    if (writer) {
      await this.#compactor.close();
      try {
        await this.#log.close();
        await writer.write();
      } catch (error) {
        // The next start replays the log; nothing that was acknowledged depends on this.
        log.error({ err: error }, 'the store could not be closed cleanly');
      }
      writer.close();
    }
    await this.#files.close();
  }

  #pending(chunk: number): Promise<void> | undefined {
    return this.#puts.get(chunk) ?? this.#drops.get(chunk);
  }

  async #checkSame(chunk: NewChunk, held: ChunkLocation): Promise<void> {
    const isSame =
      held.length === chunk.length && (await this.#stored.table(chunk.chunk)).equals(chunk.table);
    if (!isSame) {
      throw new DfsError('EEXIST', `chunk ${chunk.chunk} is already on this node, with other content`);
    }
  }

  async #append(chunk: NewChunk): Promise<void> {
    const bytes = chunkRecordBytes(chunk.length);
    if (!(await this.#space.hasRoomFor(bytes))) {
      throw new DfsError('ENOSPC', 'the disk of this data node is full; free some space or add a node');
    }
    await this.#log.room();
    const stored = this.#log.enqueue({
      ...chunk,
      kind: RecordKind.chunk,
      apply: position => {
        this.#index.applyChunk(chunk.chunk, { ...position, length: chunk.length });
        this.#space.noteWritten(bytes);
        this.#indexWriter?.wake();
      },
    });
    // Enqueued right behind it, so that one write takes both.
    if (chunk.intent && this.intents.hasRoom(chunk.intent.log))
      await Promise.all([stored, this.#appendIntent(chunk, chunk.intent)]);
    else await stored;
  }

  async #appendIntent({ chunk, inode }: NewChunk, intent: Intent): Promise<void> {
    const payload = encodeIntent(intent);
    const table = computeChecksums([payload]);
    const bytes = RECORD_HEADER_BYTES + table.length + payload.length;
    const { log, sequence } = intent;
    // A view of the request would keep all of it in memory.
    const change = Buffer.from(intent.change);
    await this.#log.enqueue({
      kind: RecordKind.intent,
      chunk,
      inode,
      fileOffset: 0,
      length: payload.length,
      table,
      payload: [payload],
      apply: ({ segment, offset }) => {
        this.intents.trim(log, intent.done);
        this.intents.add({ log, sequence, chunk, change, segment });
        this.#index.pass({ segment, offset: offset + bytes });
        this.#space.noteWritten(bytes);
      },
    });
  }

  async #dropOne(chunk: number): Promise<void> {
    for (let work = this.#pending(chunk); work; work = this.#pending(chunk)) await work;
    if (!this.#index.find(chunk)) return;
    await track(this.#drops, chunk, this.#appendTombstone(chunk));
  }

  async #appendTombstone(chunk: number): Promise<void> {
    await this.#log.room();
    await this.#log.enqueue({
      kind: RecordKind.tombstone,
      chunk,
      inode: 0,
      fileOffset: 0,
      length: 0,
      table: new Uint8Array(),
      payload: [],
      apply: position => {
        this.#index.applyTombstone(chunk, position);
        this.#reader.forget(chunk);
        this.#indexWriter?.wake();
      },
    });
  }
}

/** Notes `work` under `key` until it ends. */
async function track(pending: Map<number, Promise<void>>, key: number, work: Promise<void>): Promise<void> {
  const settled = work
    .catch(() => {
      // Who started the work is told; this promise only says that it ended.
    })
    .then(() => {
      pending.delete(key);
    });
  pending.set(key, settled);
  await work;
  await settled;
}
