/**
 * A metadata database that looks as if clients had filled it for years, made through the store's own tables in large
 * transactions: millions of files a minute, where requests would take hours.
 */
import { rm } from 'node:fs/promises';
import Database from 'better-sqlite3';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { ROOT_INODE, S_IFDIR, S_IFREG } from '../../../src/protocol/file-mode.js';
import { GOAL_OF_CREATOR } from '../../../src/protocol/limits.js';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { SqliteConnection } from '../../../src/metadata/store/sqlite/connection.js';
import { SqliteTransaction } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import type { InodeRecord } from '../../../src/metadata/store/store.js';

const INODES_AT_ONCE = 20_000;
const PAGE_CACHE_KIB = 512 << 10;
const FILE_BYTES = 4096;

/** A data node that the database knows. */
export interface RecordedNode {
  readonly node: number;
  readonly id: string;
}

/** Adds to a database that nobody else has open. */
export class DatabaseFiller {
  readonly #database: Database.Database;
  readonly #tx: SqliteTransaction;
  readonly #nodes: readonly RecordedNode[];
  readonly #goal: number;
  readonly #time = systemClock.now();
  #lastInode = ROOT_INODE;
  #lastChunk = 0;
  #rootLinks = 2;

  private constructor(database: Database.Database, nodes: readonly RecordedNode[], goal: number) {
    this.#database = database;
    this.#tx = new SqliteTransaction(new SqliteConnection(database), () => undefined);
    this.#nodes = nodes;
    this.#goal = goal;
  }

  /** A new database at `path`. Files are on `goal` of the nodes, in turn. */
  static async create(path: string, nodes: readonly RecordedNode[], goal: number): Promise<DatabaseFiller> {
    await createDatabase(path, { clock: systemClock, random: systemRandom });
    const database = new Database(path);
    // Should this process die, what is half made is thrown away.
    database.pragma('journal_mode = OFF');
    database.pragma('synchronous = OFF');
    database.pragma(`cache_size = -${PAGE_CACHE_KIB}`);
    const filler = new DatabaseFiller(database, nodes, goal);
    filler.#tx.begin();
    for (const [index, { node, id }] of nodes.entries()) {
      const where = { host: '127.0.0.1', port: 1 + index, domain: `machine${node}` };
      filler.#tx.nodes.insert({ node, id, ...where, isDraining: false, member: '' });
    }
    filler.#tx.counters.set('node', nodes.length);
    return filler;
  }

  /** The number that the next inode gets. */
  get nextInode(): number {
    return this.#lastInode + 1;
  }

  addDirectory(parent: number, name: string): number {
    if (parent === ROOT_INODE) this.#rootLinks += 1;
    return this.#add(parent, name, {
      mode: S_IFDIR | 0o755,
      nlink: 2,
      size: 0,
      goal: GOAL_OF_CREATOR,
      parent,
    });
  }

  /** A file of one extent and one chunk. */
  addFile(parent: number, name: string): number {
    const chunk = (this.#lastChunk += 1);
    const nodes = Array.from(
      { length: this.#goal },
      (_, index) => this.#nodes[(chunk + index) % this.#nodes.length]?.node ?? 0,
    );
    const file = { mode: S_IFREG | 0o644, nlink: 1, size: FILE_BYTES, goal: this.#goal, parent: 0 };
    const inode = this.#add(parent, name, file);
    this.#tx.extents.insert(inode, { offset: 0, length: FILE_BYTES, chunk, chunkOffset: 0 });
    this.#tx.chunks.insert({
      chunk,
      length: FILE_BYTES,
      checksum: 0,
      references: 1,
      goal: this.#goal,
      nodes,
    });
    return inode;
  }

  /** Commits the rest and closes the database. */
  finish(): void {
    const root = this.#tx.inodes.get(ROOT_INODE);
    if (root) this.#tx.inodes.update({ ...root, nlink: this.#rootLinks });
    this.#tx.counters.set('inode', this.#lastInode);
    this.#tx.counters.set('chunk', this.#lastChunk);
    this.#tx.commit();
    this.#database.close();
  }

  #add(
    parent: number,
    name: string,
    what: Pick<InodeRecord, 'mode' | 'nlink' | 'size' | 'goal' | 'parent'>,
  ): number {
    if (this.#lastInode % INODES_AT_ONCE === 0) {
      this.#tx.commit();
      this.#tx.begin();
    }
    const inode = (this.#lastInode += 1);
    const time = this.#time;
    this.#tx.inodes.insert({
      inode,
      generation: 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      allocated: what.size,
      atime: time,
      mtime: time,
      ctime: time,
      version: 1,
      ...what,
    });
    this.#tx.dentries.insert(parent, Buffer.from(name), inode);
    return inode;
  }
}

/** Removes a database and what SQLite keeps beside it. */
export async function removeDatabase(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm', '.lock']) await rm(`${path}${suffix}`, { force: true });
}
