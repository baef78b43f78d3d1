import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';

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

/** A lock that one process holds until it releases it or dies, however it dies. */
export interface ExclusiveLock {
  /** Changes what another process is told of the holder. */
  describe(holder: string): void;
  /** May be called twice. */
  release(): void;
}

/**
 * Takes the lock file `path` or throws LockHeldError, which names the holder.
 *
 * Node has no flock(2), and a file with a process id in it outlives kill -9. SQLite has the lock that is needed: a
 * write transaction holds an fcntl(2) lock, which the kernel drops when the process ends. It also refuses a second
 * holder inside this process.
 *
 * @param holder what another process is told, e.g. `meta-data, process 4711`
 */
export function takeExclusiveLock(path: string, holder: string): ExclusiveLock {
  const holderPath = `${path}.holder`;
  const database = new Database(path, { timeout: 0 });
  try {
    database.pragma('journal_mode = DELETE');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new LockHeldError(path, readHolder(holderPath));
    }
    throw error;
  }
  writeFileSync(holderPath, holder);
  let isHeld = true;
  return {
    describe(text) {
      if (isHeld) writeFileSync(holderPath, text);
    },
    release() {
      if (!isHeld) return;
      isHeld = false;
      rmSync(holderPath, { force: true });
      database.close();
    },
  };
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The holder is just starting or ending; the lock itself is what counts.
    return 'another process';
  }
}
