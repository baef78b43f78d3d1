/** SQLite's errors as POSIX ones. */
import Database from 'better-sqlite3';
import { DfsError, toDfsError } from '../../../protocol/errors.js';

/** What to do about a database that is damaged. */
export const DAMAGE_ADVICE =
  'stop meta-data, and bring back what it held with: dfs recover --from DATA-NODE:PORT … --db NEW.db';

/** A full disk: also for the shared memory of the write-ahead log, which lies beside the database. */
const FULL_CODES: ReadonlySet<string> = new Set([
  'SQLITE_FULL',
  'SQLITE_IOERR_SHMSIZE',
  'SQLITE_IOERR_SHMMAP',
]);

/** Whether SQLite says that its file is damaged. */
export function isDamage(error: unknown): boolean {
  return isSqliteError(error) && error.code.startsWith('SQLITE_CORRUPT');
}

/** One finding of `PRAGMA integrity_check`, as a clause. */
export function damageText(found: string): string {
  return found.replace(/^\*\*\* in database \w+ \*\*\*\s*/, '').replaceAll('\n', ', ');
}

/** Whether SQLite itself failed, so that its transaction can no longer be trusted. */
export function isSqliteError(error: unknown): error is InstanceType<typeof Database.SqliteError> {
  return error instanceof Database.SqliteError;
}

/**
 * What a caller is told of a failed statement or commit: ENOSPC for a full disk, EROFS for a read-only one, EACCES
 * when the file may not be opened, else EIO.
 */
export function fromSqliteError(error: unknown, path: string): DfsError {
  if (!isSqliteError(error)) return toDfsError(error);
  const options = { cause: error };
  if (FULL_CODES.has(error.code)) {
    return new DfsError(
      'ENOSPC',
      `the disk of the metadata database ${path} is full; free some space`,
      options,
    );
  }
  if (error.code.startsWith('SQLITE_READONLY')) {
    return new DfsError('EROFS', `the metadata database ${path} cannot be written to`, options);
  }
  if (error.code.startsWith('SQLITE_CANTOPEN') || error.code.startsWith('SQLITE_PERM')) {
    return new DfsError(
      'EACCES',
      `the metadata database ${path} cannot be opened; check who may read and write it`,
      options,
    );
  }
  if (isDamage(error)) {
    return new DfsError(
      'EIO',
      `the metadata database ${path} is damaged: ${error.message}; ${DAMAGE_ADVICE}`,
      options,
    );
  }
  return new DfsError('EIO', `the metadata database ${path} failed: ${error.message}`, options);
}
