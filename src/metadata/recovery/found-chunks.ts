/** The chunks found on data nodes, in temporary tables: millions of them need not fit into memory. */
import type Database from 'better-sqlite3';
import type { BackupNode } from './backup-node.js';

/** A chunk that no file of the backup knows. */
export interface FoundChunk {
  readonly chunk: number;
  readonly inode: number;
  readonly fileOffset: number;
  readonly length: number;
  readonly checksum: number;
}

/**
 * Chunks that had not been committed when the backup was made are those that were granted then, and all above every id that
 * the backup knows. An unknown id below was dead already.
 */
const UNKNOWN = `
  SELECT min(least, highest + 1) - 1 AS floor, highest FROM (
    SELECT coalesce((SELECT min(chunk) FROM grants), 9007199254740991) AS least, max(
      coalesce((SELECT max(chunk) FROM chunks), 0), coalesce((SELECT max(chunk) FROM grants), 0),
      coalesce((SELECT max(chunk) FROM retired), 0), coalesce((SELECT max(chunk) FROM drops), 0)) AS highest)`;

export class FoundChunks {
  readonly #database: Database.Database;
  readonly #holders: Database.Statement<[number], number>;
  /** Chunks whose headers could not be read. */
  damaged = 0;
  /** The highest chunk id on any node. */
  highestChunk = 0;

  constructor(database: Database.Database) {
    this.#database = database;
    database.exec(`
      CREATE TEMP TABLE held (chunk INTEGER, node INTEGER, PRIMARY KEY (chunk, node)) WITHOUT ROWID;
      CREATE TEMP TABLE found (
        chunk INTEGER PRIMARY KEY, inode INTEGER, file_offset INTEGER, length INTEGER, checksum INTEGER);
      CREATE INDEX temp.found_by_inode ON found (inode, chunk);`);
    this.#holders = database
      .prepare<[number], number>('SELECT node FROM held WHERE chunk = ? ORDER BY node')
      .pluck();
  }

  /** Notes what a node has; `node` is its number. Call it before anything is changed in the books. */
  async ask(source: Pick<BackupNode, 'chunks'>, node: number): Promise<void> {
    const database = this.#database;
    const hold = database.prepare('INSERT OR IGNORE INTO held VALUES (?, ?)');
    for await (const { chunks } of source.chunks(0, false)) {
      database.transaction(() => {
        for (const { chunk } of chunks) hold.run(chunk, node);
      })();
      this.highestChunk = Math.max(this.highestChunk, chunks.at(-1)?.chunk ?? 0);
    }
    const bounds = database.prepare<[], { floor: number; highest: number }>(UNKNOWN).get();
    const { floor, highest } = bounds ?? { floor: 0, highest: 0 };
    const isKnown = database.prepare('SELECT 1 FROM chunks WHERE chunk = ?').pluck();
    const isGranted = database.prepare('SELECT 1 FROM grants WHERE chunk = ?').pluck();
    const note = database.prepare('INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?)');
    for await (const { chunks, damaged } of source.chunks(floor, true)) {
      this.damaged += damaged;
      database.transaction(() => {
        for (const { chunk, inode, fileOffset, length, checksum } of chunks) {
          if (isKnown.get(chunk) || (chunk <= highest && !isGranted.get(chunk))) continue;
          note.run(chunk, inode, fileOffset, length, checksum);
        }
      })();
    }
  }

  /** The nodes that have the chunk. */
  holdersOf(chunk: number): number[] {
    return this.#holders.all(chunk);
  }

  /** The chunks that no file of the backup knows, after (inode, chunk) in that order. */
  after(inode: number, chunk: number, limit: number): FoundChunk[] {
    return this.#database
      .prepare<[number, number, number], FoundChunk>(
        `SELECT chunk, inode, file_offset AS fileOffset, length, checksum FROM found
         WHERE (inode, chunk) > (?, ?) ORDER BY inode, chunk LIMIT ?`,
      )
      .all(inode, chunk, limit);
  }

  /** The highest inode that any of them names. */
  get highestInode(): number {
    return this.#database.prepare<[], number>('SELECT coalesce(max(inode), 0) FROM found').pluck().get() ?? 0;
  }
}
