/** Makes the metadata database of a new cluster. */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from '../platform/clock.js';
import { removeAtExit } from '../platform/exit-removal.js';
import { makeDirectories } from '../platform/make-directories.js';
import type { Random } from '../platform/random.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { ROOT_INODE, S_IFDIR } from '../protocol/file-mode.js';
import type { InodeRecord } from './store/store.js';
import { GOAL_OF_CREATOR } from '../protocol/limits.js';
import { SqliteExports } from './store/sqlite/export-table.js';
import { INITIAL_EXPORTS } from './exports/initial-exports.js';
import { SqliteConnection } from './store/sqlite/connection.js';
import { SqliteCounters } from './store/sqlite/server-tables.js';
import { SqliteInodes } from './store/sqlite/namespace-tables.js';
import { APPLICATION_ID, migrate } from './store/sqlite/schema.js';
import { fromSqliteError } from './store/sqlite/sqlite-errors.js';
import { writeKeys } from './store/sqlite/sqlite-store.js';

const CLUSTER_ID_BYTES = 16;
const GRANT_KEY_BYTES = 32;
/** The file holds the key that signs grants. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

export interface CreateDatabaseOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Of the cluster's key; a database without one takes that of the first server that uses it. */
  readonly keyFingerprint?: string | undefined;
}

/** Makes an empty file system at `path`. Errors as publishDatabase(). */
export async function createDatabase(path: string, options: CreateDatabaseOptions): Promise<void> {
  await publishDatabase(path, options.random, async temporary => writeDatabase(temporary, options));
}

/**
 * Makes a database at `path`, and its directory too if need be. The database is complete or not there: `write` makes it
 * under another name, where an empty file is, and leaves it on stable storage; then it is linked to its own name, which
 * fails when somebody has that name. EEXIST when there is a database already, or the log of one that was deleted.
 */
export async function publishDatabase(
  path: string,
  random: Random,
  write: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.new-${random.bytes(8).toString('hex')}`;
  const files = ['', '-journal', '-wal', '-shm'].map(ending => `${temporary}${ending}`);
  await makeDirectories(dirname(path), DIRECTORY_MODE);
  const keep = removeAtExit(...files);
  try {
    refuseExisting(path);
    // Made by us first, for SQLite has no say in the file's mode.
    closeSync(openSync(temporary, 'wx', FILE_MODE));
    await write(temporary);
    linkSync(temporary, path);
    syncDirectory(dirname(path));
  } catch (error) {
    if (hasCode(error, 'EEXIST')) throw exists(path);
    const reason = fromSqliteError(error, path);
    throw reason instanceof DfsError && error === reason
      ? reason
      : withPath(reason, temporary, path).within(`cannot create ${path}`);
  } finally {
    for (const file of files) rmSync(file, { force: true });
    keep();
  }
}

/** The error in terms of the path that the user gave. */
function withPath(error: unknown, temporary: string, path: string): DfsError {
  const { code, message } = toDfsError(error);
  return new DfsError(
    code,
    message.replaceAll(temporary, () => path),
    { cause: error },
  );
}

/** EEXIST when there is a database already, EINVAL for the log of one that was deleted. */
export function refuseExisting(path: string): void {
  if (existsSync(path)) throw exists(path);
  const log = `${path}-wal`;
  if (existsSync(log)) {
    // SQLite would take the old log for part of the new database.
    throw new DfsError(
      'EINVAL',
      `${log} belongs to a database that is gone; move it away before creating a new one`,
    );
  }
}

function exists(path: string): DfsError {
  return new DfsError(
    'EEXIST',
    `${path} exists already and is left as it is; choose another path, or move it away first`,
  );
}

function writeDatabase(path: string, options: CreateDatabaseOptions): void {
  const database = new Database(path);
  try {
    database.pragma('synchronous = FULL');
    fillDatabase(database, options);
  } finally {
    database.close();
  }
}

/** Makes an empty database that of a new cluster, with an empty file system. */
export function fillDatabase(
  database: Database.Database,
  { clock, random, keyFingerprint }: CreateDatabaseOptions,
): void {
  database.pragma(`application_id = ${APPLICATION_ID}`);
  migrate(database, 0);
  const now = clock.now();
  const root: InodeRecord = {
    inode: ROOT_INODE,
    generation: 1,
    mode: S_IFDIR | 0o755,
    nlink: 2,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    rdev: 0,
    size: 0,
    allocated: 0,
    atime: now,
    mtime: now,
    ctime: now,
    version: 1,
    goal: GOAL_OF_CREATOR,
    parent: ROOT_INODE,
  };
  database.transaction(() => {
    const connection = new SqliteConnection(database);
    const inodes = new SqliteInodes(connection);
    inodes.insert(root);
    inodes.saveCount();
    new SqliteCounters(connection).set('inode', ROOT_INODE);
    const exports = new SqliteExports(connection);
    for (const rule of INITIAL_EXPORTS) exports.insert(rule);
    new SqliteCounters(connection).set('export', INITIAL_EXPORTS.length);
    const setting = database.prepare('INSERT INTO settings (name, value) VALUES (?, ?)');
    setting.run('cluster', Buffer.from(random.bytes(CLUSTER_ID_BYTES).toString('hex')));
    writeKeys(database, { grantKey: newGrantKey(random), keyFingerprint });
  })();
}

/** The key that signs grants. */
export function newGrantKey(random: Random): Buffer {
  return random.bytes(GRANT_KEY_BYTES);
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
