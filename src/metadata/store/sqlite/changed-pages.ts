/**
 * Knows which pages of the database file have changed, by reading the write-ahead log before it is copied into the file.
 *
 * Why none is missed. The database file is changed by `checkpoint` here and by nothing else while the server runs.
 * `checkpoint` first opens a reading transaction, then notes the page of every frame that is committed by then, then
 * copies. The reader keeps SQLite from copying frames that were committed after it began, and from using the log from
 * its beginning again (sqlite.org/walformat.html, "Read marks"). So a frame is noted before it is copied; and since the
 * log begins anew only when every frame of it was copied, no frame disappears without having been noted.
 *
 * When a checkpoint copied the whole log, the file alone is the database as it was at that moment, and stays so
 * until the next checkpoint.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type Database from 'better-sqlite3';
import type { CheckpointRow } from './checkpoint-protocol.js';
import { PageSet } from './page-set.js';

const LOG_HEADER_BYTES = 32;
const LOG_MAGIC = 0x377f_0682;
const FRAME_HEADER_BYTES = 24;
const SALT_BYTES = 8;
const LOG_SALT_AT = 16;
const FRAME_SALT_AT = 8;

export class ChangedPages {
  readonly #database: Database.Database;
  readonly #reader: Database.Database;
  readonly #beginReading: Database.Statement;
  readonly #log: number;
  readonly #pages = new PageSet();
  /** The log that was read last, and how many frames of it. */
  #salt: Buffer | undefined;
  #framesRead = 0;
  #isFileComplete = false;

  /**
   * @param database copies the log
   * @param reader another connection to the same database, in WAL mode
   * @param logPath the log, which exists
   */
  constructor(database: Database.Database, reader: Database.Database, logPath: string) {
    this.#database = database;
    this.#reader = reader;
    this.#beginReading = reader.prepare('SELECT count(*) FROM sqlite_schema');
    this.#log = openSync(logPath, 'r');
  }

  /** Whether the file alone is the whole database, as it was at the last checkpoint. */
  get isFileComplete(): boolean {
    return this.#isFileComplete;
  }

  /** Copies what is committed into the file, as far as readers let it. */
  checkpoint(): CheckpointRow {
    this.#isFileComplete = false;
    this.#reader.exec('BEGIN');
    try {
      this.#beginReading.get();
      this.#note();
      const [row] = this.#database.pragma('wal_checkpoint(PASSIVE)') as CheckpointRow[];
      if (!row) throw new Error('the checkpoint told nothing');
      this.#isFileComplete = row.busy === 0 && row.log === row.checkpointed;
      // Frames that were committed after the reader began are noted again, for they are not in the file yet.
      if (this.#isFileComplete) this.#framesRead = Math.min(this.#framesRead, Math.max(row.log, 0));
      return row;
    } finally {
      this.#reader.exec('COMMIT');
    }
  }

  /** The pages noted since the last call, of those that a file of so many pages has; only when the file is complete. */
  take(pageCount: number): number[] {
    if (!this.#isFileComplete) throw new Error('the file is not complete');
    const pages = this.#pages.upTo(pageCount);
    this.#pages.clear();
    return pages;
  }

  close(): void {
    closeSync(this.#log);
    this.#reader.close();
  }

  #note(): void {
    const { salt, frames, pageBytes } = this.#logNow();
    if (frames === 0 || salt === undefined) {
      this.#salt = undefined;
      this.#framesRead = 0;
      return;
    }
    if (!this.#salt?.equals(salt)) this.#framesRead = 0;
    this.#salt = salt;
    const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    for (let frame = this.#framesRead; frame < frames; frame += 1) {
      const at = LOG_HEADER_BYTES + frame * (FRAME_HEADER_BYTES + pageBytes);
      const count = readSync(this.#log, header, 0, FRAME_HEADER_BYTES, at);
      const ofThisLog = header.subarray(FRAME_SALT_AT, FRAME_SALT_AT + SALT_BYTES).equals(salt);
      if (count < FRAME_HEADER_BYTES || !ofThisLog)
        throw new Error(`frame ${frame} of the log is not readable`);
      this.#pages.add(header.readUInt32BE(0));
    }
    this.#framesRead = frames;
  }

  /** How many frames are committed in which log. Both are of the same log, for it had the same salt before and after. */
  #logNow(): { salt: Buffer | undefined; frames: number; pageBytes: number } {
    for (;;) {
      const before = this.#header();
      // NOOP only reads how long the log is.
      const [row] = this.#database.pragma('wal_checkpoint(NOOP)') as CheckpointRow[];
      const after = this.#header();
      const frames = Math.max(row?.log ?? 0, 0);
      if (frames === 0 || !before || !after) return { salt: undefined, frames: 0, pageBytes: 0 };
      const salt = after.subarray(LOG_SALT_AT, LOG_SALT_AT + SALT_BYTES);
      if (before.equals(after)) return { salt, frames, pageBytes: after.readUInt32BE(8) };
    }
  }

  /** undefined when there is none yet. */
  #header(): Buffer | undefined {
    const header = Buffer.alloc(LOG_HEADER_BYTES);
    if (readSync(this.#log, header, 0, LOG_HEADER_BYTES, 0) < LOG_HEADER_BYTES) return undefined;
    // The lowest bit says in which byte order the checksums are.
    if ((header.readUInt32BE(0) & ~1) >>> 0 !== LOG_MAGIC) throw new Error('the log has no header');
    return header;
  }
}
