/** The directory on which DFS is mounted: made fit before, and let go after. */
import { execFile } from 'node:child_process';
import { opendir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { sleep, type Clock } from '../platform/clock.js';
import { umount2 } from '../platform/umount.js';
import type { Logger } from '../platform/log.js';
import { DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { findMount, isAutomountPoint, isSameMount, type MountEntry } from './mount-table.js';

const run = promisify(execFile);
/** A command that touches a hung mount hangs with it. */
const COMMAND_OPTIONS = { timeout: 10_000, killSignal: 'SIGKILL' } as const;
const PROBE_TIMEOUT_MS = 3000;
const WATCH_MS = 250;
/** How long a shutdown waits for those who use the mount. */
const BUSY_MOUNT_MS = 2000;

/**
 * The path under which the kernel's table shows what is mounted at `path`: without symbolic links. What is mounted
 * there already is not touched, since it may hang.
 */
export async function canonicalMountPoint(path: string): Promise<string> {
  try {
    const canonical = join(await realpath(dirname(path)), basename(path));
    return (await findMount(canonical)) ? canonical : await realpath(canonical);
  } catch (error) {
    throw toDfsError(error).within(`cannot mount at ${path}`);
  }
}

/**
 * Checks that DFS can be mounted at `mountPoint`, and takes away what a mount daemon that was killed left there.
 * EBUSY when something lives there already, ENOTDIR, ENOENT, ENOTEMPTY.
 */
export async function prepareMountPoint(mountPoint: string, log: Logger): Promise<void> {
  const mounted = await findMount(mountPoint);
  if (mounted) {
    if (!mounted.type.startsWith('fuse') || (await isAlive(mountPoint))) {
      throw new DfsError(
        'EBUSY',
        `${mountPoint} is already the mount point of ${mounted.source} (${mounted.type}); unmount it or choose another directory`,
      );
    }
    log.warn({ mountPoint, source: mounted.source }, 'detaching a mount whose daemon is gone');
    await detach(mountPoint);
  }
  if (!(await isAutomountPoint(mountPoint))) await checkEmptyDirectory(mountPoint);
}

async function checkEmptyDirectory(path: string): Promise<void> {
  try {
    const directory = await opendir(path);
    const first = await directory.read();
    await directory.close();
    if (!first) return;
  } catch (error) {
    const { code } = toDfsError(error);
    if (code === 'ENOENT') throw new DfsError('ENOENT', `there is no directory ${path}; create it first`);
    if (code === 'ENOTDIR') throw new DfsError('ENOTDIR', `${path} is not a directory`);
    throw error;
  }
  throw new DfsError(
    'ENOTEMPTY',
    `${path} is not empty, and a mount would hide what is in it; choose an empty directory`,
  );
}

/** Whether the mount's daemon still answers; a dead one leaves ENOTCONN behind. */
async function isAlive(mountPoint: string): Promise<boolean> {
  try {
    // In a process of its own: should the mount hang, only that process does.
    // Of the file system rather than the directory, whose attributes the kernel may know without the daemon.
    const env = { ...process.env, LC_ALL: 'C' };
    await run('stat', ['-f', '--', mountPoint], { timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL', env });
    return true;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    return !said.includes('Transport endpoint is not connected');
  }
}

/**
 * Unmounts, or detaches a mount that is in use: then it is gone from the tree at once and ends with its last user.
 * Nothing mounted there is no error.
 */
export async function unmountOrDetach(mountPoint: string): Promise<void> {
  // Detaching is unmounting where nobody uses the mount. Without -l umount(8) asks the file system what it is, which
  // never ends while a server is away.
  if (await findMount(mountPoint)) await detach(mountPoint);
}

/**
 * Unmounts, waiting a little for whoever uses the mount to be done with it. Returns whether it is gone; what is in use
 * for longer stays mounted.
 */
export async function unmountUnlessBusy(mountPoint: string, clock: Clock): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + BUSY_MOUNT_MS;
  while (await findMount(mountPoint)) {
    await unmountCommand(mountPoint);
    if (clock.monotonicMs() > deadlineMs) return !(await findMount(mountPoint));
    await sleep(clock, WATCH_MS);
  }
  return true;
}

/** How many mounts that killed daemons left on top of each other are taken away at most. */
const MAX_DEAD_MOUNTS = 5;

/**
 * Takes away what mount daemons that were killed left at `mountPoint`; mounts that are served stay.
 * @param onFirst is called before the first one goes
 */
export async function detachDeadMounts(mountPoint: string, onFirst: () => void): Promise<void> {
  for (let round = 0; round < MAX_DEAD_MOUNTS; round++) {
    const mounted = await findMount(mountPoint);
    if (!mounted?.type.startsWith('fuse') || (await isAlive(mountPoint))) return;
    if (round === 0) onFirst();
    await detach(mountPoint);
  }
}

/** Detaches `mount`, whose connection has ended, if it is still the one that is seen there. Never rejects. */
export async function detachDead(mount: MountEntry, log: Logger): Promise<void> {
  const { mountPoint } = mount;
  try {
    const top = await findMount(mountPoint);
    if (!top || !isSameMount(top, mount)) return;
    log.warn({ mountPoint }, 'the connection was ended, but not the mount; detaching it');
    await detach(mountPoint);
  } catch (error) {
    log.error({ mountPoint, reason: toDfsError(error).message }, 'a dead mount is left; unmount it');
  }
}

async function detach(mountPoint: string): Promise<void> {
  try {
    await detachCommand(mountPoint);
  } catch (error) {
    if (await findMount(mountPoint)) throw toDfsError(error).within(`cannot unmount ${mountPoint}`);
  }
}

/** umount(8) is for root, without a helper that would ask the daemon; everybody else has fusermount, in fuse3 or in fuse. */
async function detachCommand(mountPoint: string): Promise<void> {
  if (isRoot()) await run('umount', ['-i', '-l', '--', mountPoint], COMMAND_OPTIONS);
  else await fusermount('-uz', mountPoint);
}

/** Unmounts what nobody uses. Never rejects: whether it was done the mount table tells. */
async function unmountCommand(mountPoint: string): Promise<void> {
  try {
    if (isRoot()) await umount2(mountPoint);
    else await fusermount('-u', mountPoint);
  } catch {
    // In use, or gone already.
  }
}

async function fusermount(how: '-u' | '-uz', mountPoint: string): Promise<void> {
  const parameters = [how, '--', mountPoint];
  try {
    await run('fusermount3', parameters, COMMAND_OPTIONS);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
    await run('fusermount', parameters, COMMAND_OPTIONS);
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Resolves when nothing of type `type` is mounted at `mountPoint` any more, whoever unmounted it. */
export async function waitUntilUnmounted(mountPoint: string, clock: Clock): Promise<void> {
  for (;;) {
    const mounted = await findMount(mountPoint);
    if (!mounted?.type.startsWith('fuse')) return;
    await new Promise<void>(resolve => {
      clock.setTimer(WATCH_MS, resolve);
    });
  }
}
