/** The rows of a data node's `index.db`, as they are taken over when it starts (src/datanode/recovery.ts). */
import Database from 'better-sqlite3';
import { crc32 } from 'node:zlib';
import { IndexDatabase } from '../../../src/datanode/index-database.js';
import { KeptIntents } from '../../../src/datanode/kept-intents.js';
import { encodeRecordHead, RecordKind } from '../../../src/datanode/record.js';
import { recover } from '../../../src/datanode/recovery.js';
import { SegmentFiles } from '../../../src/datanode/segment-files.js';
import { SegmentIndex } from '../../../src/datanode/segment-index.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { computeChecksums } from '../../../src/protocol/checksum.js';
import type { SeededRandom } from '../../simulation/world/seeded-random.js';
import { promise, type Decoder } from '../decoder.js';
import { MemoryDisk } from '../memory-disk.js';

const NODE = 'node';
const SEGMENT_BYTES = 1 << 20;
const CHUNKS = 3;
const PAYLOAD_BYTES = 100;
const CELL_BYTES = 8;
/** kind of row, then its cells: five of a chunk, three of a segment, two of the watermark; then whether its checksum is right */
const ROW_CELLS = [5, 3, 2];
const log = createLogger('fuzz', 'silent');

export const indexRows: Decoder = {
  name: 'index-rows',
  maxInputBytes: 1024,
  make(random) {
    const rows: Buffer[] = [];
    for (let left = random.integer(1, 8); left > 0; left -= 1) rows.push(rowOf(random));
    return Buffer.concat(rows);
  },
  async decode(input) {
    const disk = new MemoryDisk();
    disk.files.set('00000001.seg', SEGMENT);
    disk.database = databaseOf(input);
    const files = new SegmentFiles(disk, '/', log);
    await files.load();
    const index = new SegmentIndex();
    const place = { disk, directory: '/', node: NODE };
    const found = { log, files, index, intents: new KeptIntents(systemClock) };
    const { database, current } = await recover({ ...place, ...found, segmentBytes: SEGMENT_BYTES });
    try {
      promise(current === 0 || files.numbers().includes(current), 'the segment to append to is there');
      for (const chunk of index.chunkIds()) {
        const at = index.find(chunk);
        const isInside =
          at && at.offset >= 0 && at.length >= 1 && at.offset + at.length <= files.sizeOf(at.segment);
        promise(isInside === true, `chunk ${chunk} is in a segment that is there`);
      }
    } finally {
      database.close();
      await files.close();
    }
  },
  mayThrow: () => false,
};

const SEGMENT = segmentWith(CHUNKS);

function segmentWith(chunks: number): Buffer {
  const parts: Buffer[] = [];
  let offset = 0;
  for (let chunk = 1; chunk <= chunks; chunk += 1) {
    const payload = Buffer.alloc(PAYLOAD_BYTES, chunk);
    const record = { kind: RecordKind.chunk, chunk, inode: 1, fileOffset: 0, length: payload.length };
    const head = encodeRecordHead(record, computeChecksums([payload]), { segment: 1, offset });
    parts.push(head, payload);
    offset += head.length + payload.length;
  }
  return Buffer.concat(parts);
}

/** Cells are often those of what is really there. */
function rowOf(random: SeededRandom): Buffer {
  const kind = random.integer(0, ROW_CELLS.length);
  const recordBytes = SEGMENT.length / CHUNKS;
  const likely = [0, 1, 2, CHUNKS, PAYLOAD_BYTES, recordBytes, 2 * recordBytes, SEGMENT.length];
  const unlikely = [-1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53) + 1];
  const row = Buffer.alloc(2 + (ROW_CELLS[kind] ?? 0) * CELL_BYTES);
  row.writeUInt8(kind, 0);
  for (let cell = 0; cell < (ROW_CELLS[kind] ?? 0); cell += 1)
    row.writeBigInt64LE(BigInt(random.pick(random.isChance(0.8) ? likely : unlikely)), 1 + cell * CELL_BYTES);
  row.writeUInt8(random.isChance(0.9) ? 1 : 0, row.length - 1);
  return row;
}

/** A database with these rows, whatever they say. */
function databaseOf(input: Buffer): Database.Database {
  const database = new Database(':memory:');
  // Makes the tables.
  const made = new IndexDatabase(database, NODE);
  promise(made.watermark.segment === 0, 'a new index knows nothing');
  const chunk = database.prepare('INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)');
  const segment = database.prepare('INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)');
  const watermark = database.prepare('UPDATE state SET watermark_segment = ?, watermark_offset = ?, sum = ?');
  const statements = [chunk, segment, watermark];
  for (let at = 0; at < input.length;) {
    const kind = (input[at] ?? 0) % ROW_CELLS.length;
    const end = at + 1 + (ROW_CELLS[kind] ?? 0) * CELL_BYTES;
    if (end >= input.length) break;
    const cells: bigint[] = [];
    for (let cell = at + 1; cell < end; cell += CELL_BYTES) cells.push(input.readBigInt64LE(cell));
    const sum = (input[end] ?? 0) === 0 ? 0 : sumOf(cells);
    statements[kind]?.run(...cells, sum);
    at = end + 1;
  }
  return database;
}

/** As index-database.ts sums a row. */
function sumOf(cells: readonly bigint[]): number {
  const columns = new Float64Array(5);
  for (const [index, cell] of cells.entries()) columns[index] = Number(cell);
  return crc32(new Uint8Array(columns.buffer));
}
