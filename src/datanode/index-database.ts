/**
 * `index.db`: the segment index as it was when the log ended at the watermark, so that a start need not read every
 * segment. It is only a cache: whatever is wrong with it, the segments are right.
 */
import type Database from 'better-sqlite3';
import type { ChunkEntry } from './chunk-table.js';
import type { LogPosition } from './record.js';
import type { JournalEntry } from './segment-index.js';

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    node TEXT NOT NULL,
    watermark_segment INTEGER NOT NULL,
    watermark_offset INTEGER NOT NULL
  );
  CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    segment INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    dead_copies INTEGER NOT NULL
  );
  CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL,
    forgotten INTEGER NOT NULL
  );
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
}
interface SegmentRow {
  readonly segment: number;
  readonly bytes: number;
  readonly forgotten: number;
}
type ChunkRow = [chunk: number, segment: number, offset: number, length: number, deadCopies: number];

export class IndexDatabase {
  readonly #database: Database.Database;
  readonly #persist: (entries: readonly JournalEntry[], watermark: LogPosition) => void;

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
        database.prepare('INSERT INTO state VALUES (1, ?, 0, 0)').run(node);
        database.pragma(`user_version = ${SCHEMA_VERSION}`);
      })();
    } else if (version !== SCHEMA_VERSION) {
      throw new Error(`it has version ${version}, but this program writes ${SCHEMA_VERSION}`);
    }
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
      .prepare<[], SegmentRow>('SELECT segment, bytes, forgotten FROM segments ORDER BY segment')
      .all();
    return rows.map(row => ({ segment: row.segment, bytes: row.bytes, isForgotten: row.forgotten !== 0 }));
  }

  /** Calls `visit` for every chunk, dropped ones included whose records are still there. */
  forEachChunk(visit: (chunk: number, entry: ChunkEntry) => void): void {
    const statement = this.#database.prepare<[], ChunkRow>(
      'SELECT chunk, segment, offset, length, dead_copies FROM chunks',
    );
    for (const [chunk, segment, offset, length, deadCopies] of statement.raw().iterate()) {
      visit(chunk, { segment, offset, length, deadCopies });
    }
  }

  /** Learns changes and moves the watermark, in one transaction. The log must be synced up to the watermark. */
  persist(entries: readonly JournalEntry[], watermark: LogPosition): void {
    this.#persist(entries, watermark);
  }

  /** May be called twice. */
  close(): void {
    this.#database.close();
  }

  #state(): StateRow {
    const row = this.#database
      .prepare<[], StateRow>('SELECT node, watermark_segment, watermark_offset FROM state')
      .get();
    if (!row) throw new Error('it has lost its state');
    return row;
  }

  #preparePersist(): (entries: readonly JournalEntry[], watermark: LogPosition) => void {
    const database = this.#database;
    const put = database.prepare('INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?)');
    const remove = database.prepare('DELETE FROM chunks WHERE chunk = ?');
    const seal = database.prepare('INSERT OR REPLACE INTO segments VALUES (?, ?, 0)');
    const forget = database.prepare('UPDATE segments SET forgotten = 1 WHERE segment = ?');
    const unlinked = database.prepare('DELETE FROM segments WHERE segment = ?');
    const move = database.prepare('UPDATE state SET watermark_segment = ?, watermark_offset = ?');
    const learn = (change: JournalEntry): void => {
      switch (change.is) {
        case 'chunk': {
          const { chunk, entry } = change;
          if (entry) put.run(chunk, entry.segment, entry.offset, entry.length, entry.deadCopies);
          else remove.run(chunk);
          break;
        }
        case 'sealed':
          seal.run(change.segment, change.bytes);
          break;
        case 'forgotten':
          forget.run(change.segment);
          break;
        case 'unlinked':
          unlinked.run(change.segment);
          break;
      }
    };
    return database.transaction((entries: readonly JournalEntry[], watermark: LogPosition) => {
      for (const change of entries) learn(change);
      move.run(watermark.segment, watermark.offset);
    });
  }
}
