/** A database has one user: the server, or a command that reads all of it. */
import { LockHeldError, takeExclusiveLock, type ExclusiveLock } from '../platform/exclusive-lock.js';
import { DfsError, toDfsError } from '../protocol/errors.js';

/**
 * Takes the lock of the database at `path`. EBUSY, naming who has it.
 * @param holder what others are told of us
 */
export function takeDatabaseLock(path: string, holder: string): ExclusiveLock {
  try {
    return takeExclusiveLock(`${path}.lock`, `${holder}, process ${process.pid}`);
  } catch (error) {
    if (!(error instanceof LockHeldError)) throw toDfsError(error).within(`cannot lock ${path}`);
    throw new DfsError(
      'EBUSY',
      `${path} is in use by ${error.holder}; stop that one first, or give another database`,
    );
  }
}
