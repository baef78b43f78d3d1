import './supported-node.js';
import { readFileSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { fileErrorText } from './file-error-text.js';
import { ForeignLockError, prepareLockFile, writeHolder } from './lock-file.js';

/** Somebody else holds the lock. */
export class LockHeldError extends Error {
  override readonly name = 'LockHeldError';
  readonly code = 'EBUSY';
  /** What the holder said of itself. */
  readonly holder: string;

  constructor(path: string, holder: string) {
    super(`${path} is held by ${holder}`);
    this.holder = holder;
  }
}

/** What SQLite says of its file, as the system says it. */
const SYSTEM_CODES: readonly (readonly [string, string])[] = [
  ['SQLITE_FULL', 'ENOSPC'],
  ['SQLITE_CANTOPEN', 'EACCES'],
  ['SQLITE_PERM', 'EACCES'],
  ['SQLITE_READONLY', 'EROFS'],
  ['SQLITE_IOERR', 'EIO'],
];

/** The lock file could not be made or locked; the message is a sentence. */
class LockFileError extends Error {
  override readonly name = 'LockFileError';
  readonly code: string;

  constructor(code: string, error: Error, path: string) {
    super(fileErrorText(error, path, code), { cause: error });
    this.code = code;
  }

  /** An error of SQLite's or of the system's as one of these; others as they are. */
  static of(error: unknown, path: string): unknown {
    if (!(error instanceof Error) || error instanceof ForeignLockError) return error;
    if (!(error instanceof Database.SqliteError)) {
      return 'code' in error ? new LockFileError(String(error.code), error, path) : error;
    }
    const [, code = 'EIO'] = SYSTEM_CODES.find(([start]) => error.code.startsWith(start)) ?? [];
    return new LockFileError(code, error, path);
  }
}

/** A lock that one process holds until it releases it or dies, however it dies. */
export interface ExclusiveLock {
  /** Changes what another process is told of the holder. */
  describe(holder: string): void;
  /** May be called twice. */
  release(): void;
}

/**
 * Takes the lock file `path` or throws LockHeldError, which names the holder; else as prepareLockFile().
 *
 * Node has no flock(2), and a file with a process id in it outlives kill -9. SQLite has the lock that is needed: a
 * write transaction holds an fcntl(2) lock, which the kernel drops when the process ends. It also refuses a second
 * holder inside this process.
 *
 * @param holder what another process is told, e.g. `meta-data, process 4711`
 */
export function takeExclusiveLock(path: string, holder: string): ExclusiveLock {
  const holderPath = `${path}.holder`;
  const database = openDatabase(path);
  try {
    database.pragma('journal_mode = DELETE');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new LockHeldError(path, readHolder(holderPath));
    }
    throw LockFileError.of(error, path);
  }
  try {
    writeHolder(holderPath, holder);
  } catch (error) {
    database.close();
    throw error;
  }
  let isHeld = true;
  return {
    describe(text) {
      if (isHeld) writeHolder(holderPath, text);
    },
    release() {
      if (!isHeld) return;
      isHeld = false;
      rmSync(holderPath, { force: true });
      database.close();
    },
  };
}

function openDatabase(path: string): Database.Database {
  try {
    prepareLockFile(path);
    return new Database(path, { timeout: 0 });
  } catch (error) {
    throw LockFileError.of(error, path);
  }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The holder is just starting or ending; the lock itself is what counts.
    return 'another process';
  }
}
