/** The embedded store: one SQLite file in WAL mode, one writer. */
import type Database from 'better-sqlite3';
import { nodeDisk, type Disk } from '../../../platform/disk.js';
import type { Logger } from '../../../platform/log.js';
import { DfsError } from '../../../protocol/errors.js';
import type { BackupSource, ClusterRecord, KeyStore, OwnedTransaction, Store } from '../store.js';
import { Checkpointer } from './checkpointer.js';
import { SqliteConnection } from './connection.js';
import {
  SqliteChunks,
  SqliteDoomed,
  SqliteDrops,
  SqliteExtents,
  SqliteGrants,
  SqliteIntentLogs,
  SqliteRetired,
} from './content-tables.js';
import { SqliteExports } from './export-table.js';
import { openDatabaseFile, requireDatabaseFile } from './database-file.js';
import { DatabaseRoom } from './database-room.js';
import {
  SqliteDentries,
  SqliteInodes,
  SqliteInodeSet,
  SqliteSymlinks,
  SqliteXattrs,
} from './namespace-tables.js';
import { notesOnMigrationFrom } from './schema.js';
import { SqliteMembers, SqliteCertificates, SqliteTokens } from './member-tables.js';
import { SqliteCounters, SqliteNodes, SqliteReplies, SqliteSessions } from './server-tables.js';
import { fromSqliteError } from './sqlite-errors.js';
import { SqliteCheck } from './sqlite-check.js';
import { WalFlusher } from './wal-flusher.js';

/** The tables of a connection; there is one transaction at a time, so one object serves them all. */
export class SqliteTransaction implements OwnedTransaction {
  readonly inodes: SqliteInodes;
  readonly symlinks: SqliteSymlinks;
  readonly dentries: SqliteDentries;
  readonly extents: SqliteExtents;
  readonly chunks: SqliteChunks;
  readonly doomed: SqliteDoomed;
  readonly retired: SqliteRetired;
  readonly grants: SqliteGrants;
  readonly drops: SqliteDrops;
  readonly xattrs: SqliteXattrs;
  readonly sessions: SqliteSessions;
  readonly replies: SqliteReplies;
  readonly orphans: SqliteInodeSet;
  readonly garbage: SqliteInodeSet;
  readonly fragmented: SqliteInodeSet;
  readonly intentLogs: SqliteIntentLogs;
  readonly nodes: SqliteNodes;
  readonly counters: SqliteCounters;
  readonly members: SqliteMembers;
  readonly tokens: SqliteTokens;
  readonly exports: SqliteExports;
  readonly certificates: SqliteCertificates;
  readonly #connection: SqliteConnection;
  readonly #begin: Database.Statement;
  readonly #commit: Database.Statement;
  readonly #rollback: Database.Statement;
  readonly #onCommit: () => void;
  #changesAtBegin = 0;

  constructor(connection: SqliteConnection, onCommit: () => void) {
    this.#connection = connection;
    this.#onCommit = onCommit;
    this.inodes = new SqliteInodes(connection);
    this.symlinks = new SqliteSymlinks(connection);
    this.dentries = new SqliteDentries(connection);
    this.extents = new SqliteExtents(connection);
    this.chunks = new SqliteChunks(connection);
    this.doomed = new SqliteDoomed(connection);
    this.retired = new SqliteRetired(connection);
    this.grants = new SqliteGrants(connection);
    this.drops = new SqliteDrops(connection);
    this.xattrs = new SqliteXattrs(connection);
    this.sessions = new SqliteSessions(connection);
    this.replies = new SqliteReplies(connection);
    this.orphans = new SqliteInodeSet(connection, 'orphans');
    this.garbage = new SqliteInodeSet(connection, 'garbage');
    this.fragmented = new SqliteInodeSet(connection, 'fragmented');
    this.intentLogs = new SqliteIntentLogs(connection);
    this.nodes = new SqliteNodes(connection);
    this.counters = new SqliteCounters(connection);
    this.members = new SqliteMembers(connection);
    this.tokens = new SqliteTokens(connection);
    this.exports = new SqliteExports(connection);
    this.certificates = new SqliteCertificates(connection);
    this.#begin = connection.database.prepare('BEGIN');
    this.#commit = connection.database.prepare('COMMIT');
    this.#rollback = connection.database.prepare('ROLLBACK');
  }

  get changes(): number {
    return this.#connection.changes;
  }

  begin(): void {
    this.#changesAtBegin = this.changes;
    this.#begin.run();
  }

  commit(): void {
    const hasChanges = this.changes > this.#changesAtBegin;
    if (hasChanges) this.inodes.saveCount();
    this.#commit.run();
    if (!hasChanges) return;
    this.inodes.committed();
    this.#onCommit();
  }

  rollback(): void {
    // After a full disk or a failed read SQLite may have rolled back by itself.
    if (this.#connection.database.inTransaction) this.#rollback.run();
    this.inodes.rolledBack();
  }
}

export class SqliteStore implements Store, KeyStore {
  #cluster: ClusterRecord;
  readonly room: DatabaseRoom;
  readonly #path: string;
  readonly #database: Database.Database;
  readonly #transaction: SqliteTransaction;
  readonly #wal: WalFlusher;
  readonly #checkpointer: Checkpointer;
  #isClosed = false;

  private constructor(
    path: string,
    database: Database.Database,
    log: Logger,
    disk: Disk,
    room: DatabaseRoom,
  ) {
    this.#path = path;
    this.room = room;
    this.#database = database;
    this.#wal = new WalFlusher(disk, `${path}-wal`);
    this.#checkpointer = new Checkpointer(path, log, room);
    this.#transaction = new SqliteTransaction(new SqliteConnection(database), () => this.#wal.noteCommit());
    this.#cluster = readCluster(database, path);
  }

  /**
   * Opens the database at `path`, which only this process uses. ENOENT when there is none; EINVAL when it is no
   * metadata database or a newer one.
   * @param pageCacheBytes memory for its pages; default: 64 MiB
   */
  static async open(
    path: string,
    log: Logger,
    disk: Disk = nodeDisk,
    pageCacheBytes?: number,
  ): Promise<SqliteStore> {
    await requireDatabaseFile(path, disk);
    const room = await DatabaseRoom.open(disk, log, path);
    const database = openDatabaseFile(path, disk, pageCacheBytes, from => {
      for (const note of notesOnMigrationFrom(from)) log.warn({ schema: from }, note);
    });
    try {
      const pageBytes = Number(database.pragma('page_size', { simple: true }));
      room.emptyBytes = () => pageBytes * Number(database.pragma('freelist_count', { simple: true }));
      const store = new SqliteStore(path, database, log, disk, room);
      await store.#wal.open();
      // What a killed server left in the log may be in the page cache only.
      store.#wal.noteCommit();
      await store.#wal.flush();
      return store;
    } catch (error) {
      database.close();
      throw fromSqliteError(error, path);
    }
  }

  get cluster(): ClusterRecord {
    return this.#cluster;
  }

  async setKeys(keys: Omit<ClusterRecord, 'cluster'>): Promise<void> {
    try {
      this.#database.transaction(() => writeKeys(this.#database, keys))();
    } catch (error) {
      throw fromSqliteError(error, this.#path);
    }
    this.#cluster = { ...this.#cluster, ...keys };
    this.#wal.noteCommit();
    await this.#wal.flush();
  }

  get backup(): BackupSource {
    const [wal, checkpointer] = [this.#wal, this.#checkpointer];
    return {
      get commits() {
        return wal.commits;
      },
      beginCopy: async () => await checkpointer.beginCopy(),
      copyPages: async (plan, from, count) => await checkpointer.copyPages(plan, from, count),
      copyChanges: async plan => await checkpointer.copyChanges(plan),
    };
  }

  ready(): Promise<void> | undefined {
    return this.room.isCloseToShort ? this.#readyInLittleRoom() : this.#checkpointer.gate;
  }

  /** What was just committed may have taken the room, and a log that is long must not grow while it is copied. */
  async #readyInLittleRoom(): Promise<void> {
    await this.room.look();
    if (!this.#isClosed && !this.#database.inTransaction) await this.#checkpointer.consider(this.#database);
    await this.#checkpointer.gate;
  }

  begin(): SqliteTransaction {
    if (this.#isClosed) throw new DfsError('EIO', 'the metadata database is closed');
    if (this.#wal.failure) throw this.#wal.failure;
    this.#transaction.begin();
    return this.#transaction;
  }

  check(): SqliteCheck {
    return new SqliteCheck(this.#path);
  }

  get isFlushNeeded(): boolean {
    return this.#wal.isFlushNeeded;
  }

  async flush(): Promise<void> {
    await this.#wal.flush();
    if (!this.#isClosed && !this.#database.inTransaction) void this.#checkpointer.consider(this.#database);
  }

  explain(error: unknown): DfsError {
    return fromSqliteError(error, this.#path);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#checkpointer.close();
    await this.#wal.close();
    try {
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
    } catch (error) {
      throw fromSqliteError(error, this.#path);
    } finally {
      this.#database.close();
      // Not before: closing any descriptor of the file lets go SQLite's locks on it (close(2), fcntl(2)).
      this.#checkpointer.closeFile();
    }
  }
}

function readCluster(database: Database.Database, path: string): ClusterRecord {
  const select = database.prepare<[string], Buffer>('SELECT value FROM settings WHERE name = ?').pluck();
  const cluster = select.get('cluster');
  const grantKey = select.get('grant-key');
  if (!cluster || !grantKey) {
    throw new DfsError('EIO', `the metadata database ${path} has no cluster identity; restore it`);
  }
  return { cluster: cluster.toString(), grantKey, keyFingerprint: select.get('key-fingerprint')?.toString() };
}

/** Writes what the cluster's members are known by, in the caller's transaction. */
export function writeKeys(
  database: Database.Database,
  { grantKey, keyFingerprint }: Omit<ClusterRecord, 'cluster'>,
): void {
  const set = database.prepare('INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)');
  set.run('grant-key', grantKey);
  if (keyFingerprint !== undefined) set.run('key-fingerprint', Buffer.from(keyFingerprint));
}
