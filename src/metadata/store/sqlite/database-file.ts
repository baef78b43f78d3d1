/** The database file: opened only when it is ours, with the same settings for every connection. */
import { basename, dirname } from 'node:path';
import Database from 'better-sqlite3';
import { nodeDisk, type Disk } from '../../../platform/disk.js';
import { DfsError, hasCode, toDfsError } from '../../../protocol/errors.js';
import { APPLICATION_ID, migrate, SCHEMA_VERSION } from './schema.js';
import { fromSqliteError, isSqliteError } from './sqlite-errors.js';

/** Memory that SQLite may use for pages of the database. */
const DEFAULT_PAGE_CACHE_BYTES = 64 << 20;
/** After a checkpoint the write-ahead log is cut to this, so that one large burst does not keep its disk space. */
const WAL_KEPT_BYTES = 64 << 20;

/** ENOENT, with the way out, unless there is a file. */
export async function requireDatabaseFile(path: string, disk: Disk = nodeDisk): Promise<void> {
  if (await isFile(path, disk)) return;
  throw new DfsError(
    'ENOENT',
    `there is no metadata database at ${path}; create one with: createdb --db ${path}`,
  );
}

async function isFile(path: string, disk: Disk): Promise<boolean> {
  try {
    return (await disk.list(dirname(path))).includes(basename(path));
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw toDfsError(error);
  }
}

/**
 * Opens the database, which is there, for the server, and brings its schema up to date. EINVAL when the file is no
 * metadata database, or one of a newer DFS.
 * @param pageCacheBytes memory for its pages; default: 64 MiB
 * @param onMigrated told the schema that it had, when that was an older one
 */
export function openDatabaseFile(
  path: string,
  disk: Disk = nodeDisk,
  pageCacheBytes = DEFAULT_PAGE_CACHE_BYTES,
  onMigrated: (from: number) => void = () => undefined,
): Database.Database {
  let database: Database.Database | undefined;
  try {
    database = disk.openDatabase(path, 'existing');
    checkIdentity(database, path);
    const version = Number(database.pragma('user_version', { simple: true }));
    if (version > SCHEMA_VERSION) {
      throw new DfsError(
        'EINVAL',
        `${path} was written by a newer DFS (schema ${version}, this one knows ${SCHEMA_VERSION}); upgrade this program`,
      );
    }
    configure(database, pageCacheBytes);
    database.pragma('journal_mode = WAL');
    migrate(database, version);
    if (version < SCHEMA_VERSION) onMigrated(version);
    return database;
  } catch (error) {
    database?.close();
    if (isSqliteError(error) && error.code === 'SQLITE_NOTADB') throw notOurs(path);
    throw fromSqliteError(error, path);
  }
}

/**
 * What a connection that writes has set. With synchronous NORMAL a commit is a write(2) into the log and no fsync; the
 * log is fsynced by us (wal-flusher.ts), and by SQLite before a checkpoint changes the database file.
 */
export function configure(database: Database.Database, pageCacheBytes: number): void {
  database.pragma('synchronous = NORMAL');
  database.pragma(`cache_size = -${Math.ceil(pageCacheBytes / 1024)}`);
  database.pragma(`journal_size_limit = ${WAL_KEPT_BYTES}`);
  database.pragma('wal_autocheckpoint = 0');
  database.pragma('temp_store = MEMORY');
}

/**
 * Opens a database to read all of it, as it is: its schema may be an older one. ENOENT, EINVAL as openDatabaseFile().
 * @returns the database, and the version of its schema
 */
export async function openForReading(path: string): Promise<{
  readonly database: Database.Database;
  readonly schema: number;
}> {
  await requireDatabaseFile(path);
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { fileMustExist: true });
    checkIdentity(database, path);
    return { database, schema: Number(database.pragma('user_version', { simple: true })) };
  } catch (error) {
    database?.close();
    if (isSqliteError(error) && error.code === 'SQLITE_NOTADB') throw notOurs(path);
    throw fromSqliteError(error, path);
  }
}

function checkIdentity(database: Database.Database, path: string): void {
  if (database.pragma('application_id', { simple: true }) !== APPLICATION_ID) throw notOurs(path);
}

function notOurs(path: string): DfsError {
  return new DfsError(
    'EINVAL',
    `${path} is not a DFS metadata database; give the path of one, or create one with: createdb --db PATH (one that is damaged is brought back with dfs recover)`,
  );
}
