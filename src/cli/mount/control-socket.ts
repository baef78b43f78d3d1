/**
 * Where the process that serves a mount listens for a successor, and for those that wait for its end: in a directory that nobody but its user may reach, under the number of the
 * mount's device, which no other mount of the machine has.
 */
import { lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MountEntry } from '../../fuse/mount-table.js';
import type { Clock } from '../../platform/clock.js';
import { LocalMessages } from '../../platform/local-messages.js';
import { makeDirectories } from '../../platform/make-directories.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { dfsHome } from '../dfs-home.js';

const MODE = 0o700;
const OTHERS = 0o077;

/**
 * The directories in which it may be, the usual one first: both processes need not have the same environment.
 * @param userId whose mounts they are
 */
export function controlDirectories(userId: number): string[] {
  const usual = userId === 0 ? '/run/dfs-mounts' : `/run/user/${userId}/dfs`;
  return [usual, join(dfsHome(), 'run', 'mounts'), join(tmpdir(), `dfs-${userId}`)];
}

export function socketPath(directory: string, deviceMinor: number): string {
  return join(directory, `${deviceMinor}.socket`);
}

/** The first of them that is this user's alone; made if there is none. EACCES with the reason when none can be had. */
export async function openControlDirectory(userId: number): Promise<string> {
  let reason: DfsError | undefined;
  for (const directory of controlDirectories(userId)) {
    try {
      await makeDirectories(directory, MODE);
      await requirePrivate(directory, userId);
      return directory;
    } catch (error) {
      reason = toDfsError(error);
    }
  }
  throw reason ?? new DfsError('EACCES', 'there is no directory for the socket of the mount');
}

/** EACCES for a directory in which others could put something. */
export async function requirePrivate(directory: string, userId: number): Promise<void> {
  const found = await lstat(directory);
  if (found.isDirectory() && found.uid === userId && (found.mode & OTHERS) === 0) return;
  throw new DfsError('EACCES', `${directory} is not yours alone; remove it, or set its mode to 700`);
}

/** A conversation with the process that serves a mount. */
export interface Contact {
  readonly messages: LocalMessages;
  /** Where its socket is. */
  readonly directory: string;
}

/** Connects to the process that serves `mount`, one of the user `userId`; undefined when nobody listens there. */
export async function contactServing(
  { deviceMinor }: MountEntry,
  userId: number,
  clock: Clock,
): Promise<Contact | undefined> {
  for (const directory of controlDirectories(userId)) {
    try {
      await requirePrivate(directory, userId);
      return { messages: await LocalMessages.connect(socketPath(directory, deviceMinor), clock), directory };
    } catch (error) {
      // One that others may use is not believed.
      if (!hasCode(error, 'ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'EACCES')) throw error;
    }
  }
  return undefined;
}
