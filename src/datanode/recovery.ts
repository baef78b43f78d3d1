/**
 * Start-up: brings the index to the end of the log. The state in `index.db` is taken over, and records behind its
 * watermark are replayed; when `index.db` is missing, damaged or does not fit the segments, every segment is read.
 */
import { join } from 'node:path';
import type { Disk, DiskFile } from '../platform/disk.js';
import type { Logger } from '../platform/log.js';
import { hasCode, toDfsError } from '../protocol/errors.js';
import { IndexDatabase } from './index-database.js';
import { decodeIntent, type KeptIntents } from './kept-intents.js';
import {
  chunkRecordBytes,
  RECORD_HEADER_BYTES,
  RecordKind,
  TOMBSTONE_BYTES,
  type LogPosition,
  type RecordHeader,
} from './record.js';
import type { SegmentFiles } from './segment-files.js';
import type { SegmentIndex } from './segment-index.js';
import { scanSegment } from './segment-scan.js';

const INDEX_NAME = 'index.db';

/** Whose `index.db` it is. */
export interface IndexPlace {
  readonly disk: Disk;
  /** Where `index.db` is. */
  readonly directory: string;
  /** The node's identity. */
  readonly node: string;
}

export interface RecoveryOptions extends IndexPlace {
  readonly log: Logger;
  readonly files: SegmentFiles;
  readonly index: SegmentIndex;
  readonly intents: KeptIntents;
  /** A segment that has this many bytes gets no more records. */
  readonly segmentBytes: number;
}

export interface Recovered {
  readonly database: IndexDatabase;
  /** The segment to append to, or 0 for a new one. */
  readonly current: number;
}

/** Brings `options.index` up to date, cuts a torn tail off the last segment, and opens `index.db`. */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { log, index, intents } = options;
  let database: IndexDatabase | undefined;
  try {
    database = openIndex(options);
    await removeForgotten(options, database);
    load(options, database);
  } catch (error) {
    log.warn({ reason: toDfsError(error).message }, 'index.db is of no use; building it again');
    database?.close();
    index.clear();
    intents.clear();
    database = await newIndex(options);
  }
  try {
    const current = await replay(options, database);
    // What came behind the last sync may have been lost with the power, and what was dropped nobody needs.
    intents.prune(chunk => index.find(chunk) !== undefined);
    return { database, current };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** An `index.db` that knows nothing, instead of the one that is there: the next start reads every segment. */
export async function newIndex(place: IndexPlace): Promise<IndexDatabase> {
  await deleteIndex(place);
  return openIndex(place);
}

function openIndex({ disk, directory, node }: IndexPlace): IndexDatabase {
  const database = disk.openDatabase(join(directory, INDEX_NAME), 'create');
  try {
    return new IndexDatabase(database, node);
  } catch (error) {
    database.close();
    throw error;
  }
}

async function deleteIndex({ disk, directory }: IndexPlace): Promise<void> {
  for (const suffix of ['', '-wal', '-shm', '-journal']) {
    try {
      await disk.unlink(join(directory, `${INDEX_NAME}${suffix}`));
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }
}

/** Finishes what the compactor had begun when the node was stopped. */
async function removeForgotten({ files, index }: RecoveryOptions, database: IndexDatabase): Promise<void> {
  const there = new Set(files.numbers());
  for (const { segment, isForgotten } of database.sealedSegments()) {
    if (!isForgotten) continue;
    if (there.has(segment)) await files.remove(segment);
    index.unlinked(segment);
  }
}

/** Takes over what `index.db` knows; throws when it does not fit the segment files. */
function load({ files, index, intents }: RecoveryOptions, database: IndexDatabase): void {
  const { watermark } = database;
  const there = new Set(files.numbers());
  const sealed = new Set<number>();
  for (const { segment, bytes, isForgotten } of database.sealedSegments()) {
    if (isForgotten) continue;
    sealed.add(segment);
    if (!there.has(segment)) throw new Error(`segment ${segment} is missing`);
    if (files.sizeOf(segment) < bytes) throw new Error(`segment ${segment} is shorter than it was`);
  }
  for (const segment of there) {
    if (segment < watermark.segment && !sealed.has(segment))
      throw new Error(`segment ${segment} is not known`);
  }
  if (files.sizeOf(watermark.segment) < watermark.offset) {
    throw new Error(`segment ${watermark.segment} is missing or shorter than it was`);
  }
  database.forEachChunk((chunk, entry) => {
    const end = entry.offset + (entry.length > 0 ? chunkRecordBytes(entry.length) : TOMBSTONE_BYTES);
    const isThere = there.has(entry.segment) && end <= files.sizeOf(entry.segment);
    // A tombstone may stand in a segment that is gone when nothing needs it any more.
    if (!isThere && entry.length > 0)
      throw new Error(`chunk ${chunk} should be where segment ${entry.segment} has nothing`);
    index.restore(chunk, entry);
  });
  database.forEachIntent(intent => intents.restore(intent));
}

/** Applies every record behind the watermark; returns the segment to append to. */
async function replay(options: RecoveryOptions, database: IndexDatabase): Promise<number> {
  const { files, index, intents, log, segmentBytes } = options;
  const { watermark } = database;
  const numbers = files.numbers();
  const last = numbers.at(-1) ?? 0;
  const isFromNothing = watermark.segment === 0 && last > 0;
  if (isFromNothing) log.info({ segments: numbers.length }, 'reading every segment to build index.db');
  for (const segment of numbers) {
    if (segment < watermark.segment) continue;
    const from = segment === watermark.segment ? watermark.offset : 0;
    // Payloads that were synced long ago are verified when they are read; those at the end of the log may be torn.
    const verifyPayload = !isFromNothing || segment === last;
    await replaySegment(options, { segment, offset: from }, verifyPayload, segment === last);
    // What is known of the segment must not be on stable storage before the segment itself is.
    await files.use(segment, async file => await file.datasync());
    await files.syncNames();
    if (segment !== last) index.seal(segment, files.sizeOf(segment));
    const end = { segment, offset: files.sizeOf(segment) };
    database.persist(index.takeJournal(end, Infinity), end, intents.all());
  }
  if (last === 0) return 0;
  if (files.sizeOf(last) < segmentBytes) return last;
  index.seal(last, files.sizeOf(last));
  return 0;
}

async function replaySegment(
  { files, index, intents, log }: RecoveryOptions,
  from: LogPosition,
  verifyPayload: boolean,
  isLastSegment: boolean,
): Promise<void> {
  const { segment } = from;
  await files.use(segment, async file => {
    const scan = { file, segment, from: from.offset, size: files.sizeOf(segment), verifyPayload };
    for await (const found of scanSegment(scan)) {
      if (found.is === 'record') {
        const { kind, chunk, length } = found.header;
        if (kind === RecordKind.chunk) index.applyChunk(chunk, { segment, offset: found.offset, length });
        else if (kind === RecordKind.intent) {
          const change = await readIntent(file, found);
          if (change) intents.restore({ ...change, chunk, segment });
          index.pass({ segment, offset: found.end });
        } else index.applyTombstone(chunk, { segment, offset: found.offset });
        continue;
      }
      const { offset, end, why } = found;
      const where = { segment, offset, bytes: end - offset, why };
      if (found.isRoom || (isLastSegment && found.isLast)) {
        if (!found.isRoom) log.warn(where, 'cutting off the torn end of the last segment');
        await file.truncate(offset);
        files.setSize(segment, offset);
      } else {
        log.error(where, 'skipping damaged bytes in a segment');
      }
    }
  });
}

/** An intent by its record; undefined when the record holds something else. */
async function readIntent(
  file: DiskFile,
  { offset, header }: { readonly offset: number; readonly header: RecordHeader },
): Promise<ReturnType<typeof decodeIntent> | undefined> {
  const payload = Buffer.allocUnsafe(header.length);
  const bytes = await file.pread(payload, offset + RECORD_HEADER_BYTES + header.tableBytes);
  try {
    return bytes === payload.length ? decodeIntent(payload) : undefined;
  } catch (error) {
    if (!hasCode(error, 'EPROTO')) throw error;
    return undefined;
  }
}
