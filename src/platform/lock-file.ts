/** The file of a lock. A process that can open the file can hold the lock, so the file belongs to its owner alone. */
import { chmodSync, closeSync, lstatSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const OWNER_ALONE = 0o600;
const PERMISSIONS = 0o777;

/** The lock file is somebody else's, who could hold it. */
export class ForeignLockError extends Error {
  override readonly name = 'ForeignLockError';
  readonly code = 'EACCES';

  constructor(path: string, owner: number) {
    super(`${path} belongs to user ${owner}, who could keep this from starting; look at it, and remove it`);
  }
}

/**
 * Makes the file if there is none, and keeps it from others, who could read those of older versions. ForeignLockError for
 * one that neither root, nor this user, nor the owner of its directory has made. One that exists is not opened: closing
 * it would let go a lock that this process may have on it (fcntl(2)).
 */
export function prepareLockFile(path: string): void {
  const existing = lstatSync(path, { throwIfNoEntry: false });
  if (!existing) {
    makeLockFile(path);
    return;
  }
  const own = process.geteuid?.() ?? 0;
  const owners = [0, own, lstatSync(dirname(path)).uid];
  if (!existing.isFile() || !owners.includes(existing.uid)) throw new ForeignLockError(path, existing.uid);
  if ((existing.mode & PERMISSIONS) !== OWNER_ALONE) chmodSync(path, OWNER_ALONE);
}

function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', OWNER_ALONE));
  } catch (error) {
    // Somebody who starts at the same time was quicker.
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    prepareLockFile(path);
  }
}

/** Writes who holds the lock, in a file beside it. */
export function writeHolder(path: string, holder: string): void {
  rmSync(path, { force: true });
  writeFileSync(path, holder, { mode: OWNER_ALONE, flag: 'wx' });
}
