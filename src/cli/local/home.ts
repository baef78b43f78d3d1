/** The directory of the local cluster's state: whose it is, and the lock on it. */
import { execFile } from 'node:child_process';
import { accessSync, chmodSync, closeSync, constants, openSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { sleep, systemClock } from '../../platform/clock.js';
import { tryLockFile } from '../../platform/file-lock.js';
import { makeDirectories } from '../../platform/make-directories.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import type { LocalPaths } from './settings.js';
import { warn } from './words.js';

const OWNER_ALONE = 0o700;
const LOCK_MODE = 0o600;
const LOCK_MS = 600_000;
const LOCK_POLL_MS = 50;
const { R_OK, W_OK, X_OK } = constants;

export type Purpose = 'read' | 'change';
export type HomePaths = Pick<LocalPaths, 'home' | 'run' | 'log'>;

/** EACCES when the directory is somebody else's, and this user may not do that there. */
export async function requireHome({ home, run }: HomePaths, purpose: Purpose): Promise<void> {
  let owner: number | undefined;
  try {
    const directory = statSync(run, { throwIfNoEntry: false });
    if (!directory || (purpose === 'read' ? mayRead(run) : mayAccess(run, W_OK | X_OK))) return;
    owner = directory.uid;
  } catch (error) {
    if (hasCode(error, 'ENOTDIR')) return;
    if (!hasCode(error, 'EACCES')) throw error;
    owner = ownerOf(home);
  }
  const name = owner === undefined ? 'another user' : await userName(owner);
  const self = await userName(process.geteuid?.() ?? 0);
  throw new DfsError(
    'EACCES',
    `${home} belongs to ${name}, and ${self} may not ${purpose} what is in it; run this as ${name}, or set DFS_HOME to a directory of your own`,
  );
}

function mayRead(run: string): boolean {
  if (!mayAccess(run, R_OK | X_OK)) return false;
  const records = readdirSync(run).filter(name => name.endsWith('.process'));
  return records.every(name => mayAccess(join(run, name), R_OK));
}

/** What has gone meanwhile does no harm. */
function mayAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch (error) {
    return !hasCode(error, 'EACCES', 'EROFS', 'EPERM');
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}

/** The name of a user, or its number where it has none. */
export async function userName(uid: number): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)('id', ['-un', String(uid)]);
    return stdout.trim();
  } catch {
    return `user ${uid}`;
  }
}

/** Makes the directory with what belongs in it. What is in the files is nobody else's business. */
export async function makeHome({ home, run, log }: HomePaths): Promise<void> {
  await makeDirectories(dirname(home));
  for (const directory of [home, run, log]) await makeDirectories(directory, OWNER_ALONE);
  // A process that can open the lock can hold it, and keep the cluster from starting.
  for (const directory of [run, log]) chmodSync(directory, OWNER_ALONE);
}

/**
 * Does `work` while no other process starts or stops what belongs to this home. Where the file system has no locks, as some
 * network file systems, the servers' own have to do: no two of them serve one directory. EBUSY.
 */
export async function withHomeLock<Result>(
  { home, run }: HomePaths,
  work: () => Promise<Result>,
): Promise<Result> {
  const descriptor = openSync(join(run, 'lock'), 'a', LOCK_MODE);
  try {
    await takeLock(descriptor, home);
    return await work();
  } finally {
    closeSync(descriptor);
  }
}

async function takeLock(descriptor: number, home: string): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + LOCK_MS;
  for (let hasWarned = false; (await tryLockFile(descriptor)) === 'held'; hasWarned = true) {
    if (!hasWarned) warn(`another process starts or stops ${home}; waiting for it`);
    if (systemClock.monotonicMs() > deadlineMs)
      throw new DfsError(
        'EBUSY',
        `another process has been starting or stopping ${home} for ${LOCK_MS / 1000} seconds`,
      );
    await sleep(systemClock, LOCK_POLL_MS);
  }
}
