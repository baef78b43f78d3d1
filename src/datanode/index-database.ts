/**
 * `index.db`: the segment index as it was when the log ended at the watermark, so that a start need not read every
 * segment. It is only a cache: when the two differ, the segments are right. SQLite notices no bit that flips
 * inside a number, so each row has a checksum of its own.
 */
import { crc32 } from 'node:zlib';
import type Database from 'better-sqlite3';
import { MAX_CHUNK_BYTES } from '../protocol/limits.js';
import type { ChunkEntry } from './chunk-table.js';
import type { NodeIntent } from './kept-intents.js';
import type { LogPosition } from './record.js';
import type { JournalEntry } from './segment-index.js';

const SCHEMA_VERSION = 2;
const SCHEMA = `
  CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    node TEXT NOT NULL,
    watermark_segment INTEGER NOT NULL,
    watermark_offset INTEGER NOT NULL,
    sum INTEGER NOT NULL
  );
  CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    dead_copies INTEGER NOT NULL,
    sum INTEGER NOT NULL
  );
  CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL,
    forgotten INTEGER NOT NULL,
    sum INTEGER NOT NULL
  );
`;
/** Came later; programs from before leave it alone. */
const INTENTS_SCHEMA = `
  CREATE TABLE IF NOT EXISTS intents (
    log INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    change BLOB NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (log, sequence)
  ) WITHOUT ROWID;
`;

/** A segment that gets no more records. */
export interface SealedSegment {
  readonly segment: number;
  readonly bytes: number;
  /** Nothing in it counts; its file may still be there. */
  readonly isForgotten: boolean;
}

interface StateRow {
  readonly node: string;
  readonly watermark_segment: number;
  readonly watermark_offset: number;
  readonly sum: number;
}
interface SegmentRow {
  readonly segment: number;
  readonly bytes: number;
  readonly forgotten: number;
  readonly sum: number;
}
type IntentRow = [log: number, sequence: number, chunk: number, segment: number, change: Buffer, sum: number];
type ChunkRow = [
  chunk: number,
  segment: number,
  offset: number,
  length: number,
  deadCopies: number,
  sum: number,
];

const COLUMNS = new Float64Array(5);
const COLUMN_BYTES = new Uint8Array(COLUMNS.buffer);

/** The checksum of a row's other columns. */
function rowSum(a: number, b: number, c = 0, d = 0, e = 0): number {
  COLUMNS[0] = a;
  COLUMNS[1] = b;
  COLUMNS[2] = c;
  COLUMNS[3] = d;
  COLUMNS[4] = e;
  return crc32(COLUMN_BYTES);
}

function intentSum({ log, sequence, chunk, segment, change }: NodeIntent): number {
  return crc32(change, rowSum(log, sequence, chunk, segment));
}

function checkRow(sum: number, expected: number): void {
  if (sum !== expected) throw new Error('a row of it does not match its checksum');
}

/** What a table of the index holds (chunk-table.ts). */
const U32_MAX = 0xffff_ffff;

/** A row that matches its checksum and says what cannot be was not written by this program. */
function checkCells(arePossible: boolean): void {
  if (!arePossible) throw new Error('a row of it says what cannot be');
}

function isPlace(segment: number, offset: number): boolean {
  return isWhole(segment, U32_MAX) && isWhole(offset, U32_MAX);
}

function isWhole(value: number, maximum: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= maximum;
}

/** @param intents all that are kept by now; undefined: the same as before */
type Persist = (
  entries: readonly JournalEntry[],
  watermark: LogPosition,
  intents?: readonly NodeIntent[],
) => void;

export class IndexDatabase {
  readonly #database: Database.Database;
  readonly #persist: Persist;

  /**
   * Takes over the open database and creates the tables if there are none.
   * @param node the identity of the node whose segments it describes
   * @throws when the file is damaged, of another version or of another node; the caller closes the database
   */
  constructor(database: Database.Database, node: string) {
    this.#database = database;
    // It may fall behind at a power loss, never ahead: the watermark only moves after the segments are synced.
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = NORMAL');
    const version = Number(database.pragma('user_version', { simple: true }));
    if (version === 0) {
      database.transaction(() => {
        database.exec(SCHEMA);
        database.prepare('INSERT INTO state VALUES (1, ?, 0, 0, ?)').run(node, rowSum(0, 0));
        database.pragma(`user_version = ${SCHEMA_VERSION}`);
      })();
    } else if (version !== SCHEMA_VERSION) {
      throw new Error(`it has version ${version}, but this program writes ${SCHEMA_VERSION}`);
    }
    database.exec(INTENTS_SCHEMA);
    const found = String(database.pragma('quick_check(1)', { simple: true }));
    if (found !== 'ok') throw new Error(`it is damaged: ${found}`);
    if (this.#state().node !== node) throw new Error('it describes the segments of another node');
    this.#persist = this.#preparePersist();
  }

  /** Every record before it is in the index. */
  get watermark(): LogPosition {
    const { watermark_segment: segment, watermark_offset: offset } = this.#state();
    return { segment, offset };
  }

  sealedSegments(): SealedSegment[] {
    const rows = this.#database
      .prepare<[], SegmentRow>('SELECT segment, bytes, forgotten, sum FROM segments ORDER BY segment')
      .all();
    return rows.map(({ segment, bytes, forgotten, sum }) => {
      checkRow(sum, rowSum(segment, bytes, forgotten));
      checkCells(isPlace(segment, bytes));
      return { segment, bytes, isForgotten: forgotten !== 0 };
    });
  }

  /** Calls `visit` for every chunk, dropped ones included whose records are still there. */
  forEachChunk(visit: (chunk: number, entry: ChunkEntry) => void): void {
    const statement = this.#database.prepare<[], ChunkRow>(
      'SELECT chunk, segment, offset, length, dead_copies, sum FROM chunks',
    );
    for (const [chunk, segment, offset, length, deadCopies, sum] of statement.raw().iterate()) {
      checkRow(sum, rowSum(chunk, segment, offset, length, deadCopies));
      const isChunk = isWhole(chunk, Number.MAX_SAFE_INTEGER) && chunk > 0;
      checkCells(
        isChunk &&
          isPlace(segment, offset) &&
          isWhole(length, MAX_CHUNK_BYTES) &&
          isWhole(deadCopies, U32_MAX),
      );
      visit(chunk, { segment, offset, length, deadCopies });
    }
  }

  /** Calls `visit` for every intent. */
  forEachIntent(visit: (intent: NodeIntent) => void): void {
    const statement = this.#database.prepare<[], IntentRow>(
      'SELECT log, sequence, chunk, segment, change, sum FROM intents ORDER BY log, sequence',
    );
    for (const [log, sequence, chunk, segment, change, sum] of statement.raw().iterate()) {
      const intent = { log, sequence, chunk, segment, change };
      checkRow(sum, intentSum(intent));
      visit(intent);
    }
  }

  /**
   * Learns changes and moves the watermark, in one transaction. The log must be synced up to the watermark.
   * @param intents all that are kept by now; undefined: the same as before
   */
  persist(...learned: Parameters<Persist>): void {
    this.#persist(...learned);
  }

  /** May be called twice. */
  close(): void {
    this.#database.close();
  }

  #state(): StateRow {
    const row = this.#database
      .prepare<[], StateRow>('SELECT node, watermark_segment, watermark_offset, sum FROM state')
      .get();
    if (!row) throw new Error('it has lost its state');
    checkRow(row.sum, rowSum(row.watermark_segment, row.watermark_offset));
    checkCells(isPlace(row.watermark_segment, row.watermark_offset));
    return row;
  }

  #preparePersist(): Persist {
    const database = this.#database;
    const put = database.prepare('INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)');
    const remove = database.prepare('DELETE FROM chunks WHERE chunk = ?');
    const seal = database.prepare('INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?)');
    const bytesOf = database
      .prepare<[number], number>('SELECT bytes FROM segments WHERE segment = ?')
      .pluck();
    const unlinked = database.prepare('DELETE FROM segments WHERE segment = ?');
    const move = database.prepare('UPDATE state SET watermark_segment = ?, watermark_offset = ?, sum = ?');
    const learn = (change: JournalEntry): void => {
      switch (change.is) {
        case 'chunk': {
          const { chunk, entry } = change;
          if (entry) {
            const { segment, offset, length, deadCopies } = entry;
            const sum = rowSum(chunk, segment, offset, length, deadCopies);
            put.run(chunk, segment, offset, length, deadCopies, sum);
          } else {
            remove.run(chunk);
          }
          break;
        }
        case 'sealed': {
          const { segment, bytes } = change;
          seal.run(segment, bytes, 0, rowSum(segment, bytes, 0));
          break;
        }
        case 'forgotten': {
          const { segment } = change;
          const bytes = bytesOf.get(segment);
          if (bytes !== undefined) seal.run(segment, bytes, 1, rowSum(segment, bytes, 1));
          break;
        }
        case 'unlinked':
          unlinked.run(change.segment);
          break;
      }
    };
    const forgetIntents = database.prepare('DELETE FROM intents');
    const putIntent = database.prepare('INSERT INTO intents VALUES (?, ?, ?, ?, ?, ?)');
    return database.transaction((entries, watermark, intents) => {
      for (const change of entries) learn(change);
      if (intents) forgetIntents.run();
      for (const intent of intents ?? []) {
        const { log, sequence, chunk, segment, change } = intent;
        putIntent.run(log, sequence, chunk, segment, change, intentSum(intent));
      }
      move.run(watermark.segment, watermark.offset, rowSum(watermark.segment, watermark.offset));
    });
  }
}
