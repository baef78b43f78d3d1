/** `dfs umount`, and umount(8) by its helper: unmounts, and waits until everything is stored and the process that served is gone. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { systemClock } from '../../platform/clock.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { mountAt, parseMountTable, type MountEntry } from '../../fuse/mount-table.js';
import { EndWatch } from './end-watch.js';

const MOUNT_TABLE = '/proc/self/mountinfo';
/** For each file system with a connection of its own, by the number of its device. */
const DEVICES = '/sys/class/bdi';
/** How long the end of the kernel's connection is waited for where it cannot be seen. */
const CONNECTION_END_MS = 2000;
/** After which it is said that something is waited for. */
const SILENT_MS = 3000;
/** As umount(8): the mount is there still, or what was written is not stored. */
export const FAILED = 32;

/** Writes one sentence for the user. */
type Tell = (sentence: string) => void;

/**
 * Unmounts what is seen at `mountPoint`, and returns the exit code as umount(8) has it: 0 when it is unmounted and everything is stored, or
 * when it goes on at another place. The program that unmounts says itself why it cannot.
 * @param mountPoint as the kernel's table shows it
 * @param flags for umount(8), when root calls
 */
export async function unmountStored(
  mountPoint: string,
  flags: readonly string[],
  tell: Tell,
): Promise<number> {
  const mount = mountAt(await mountTable(), mountPoint);
  let watch: EndWatch | undefined;
  try {
    watch = mount && (await watchOf(mount, tell));
    const code = await unmount(mountPoint, flags);
    if (code !== 0 || !watch || !mount) return code;
    await stored(mount, watch, tell);
    return 0;
  } catch (error) {
    tell(toDfsError(error).message);
    return FAILED;
  } finally {
    watch?.close();
  }
}

/**
 * Unmounts without anything more.
 * @param flags for umount(8), when root calls
 */
export async function unmount(mountPoint: string, flags: readonly string[]): Promise<number> {
  try {
    if (process.getuid?.() === 0) return await run('umount', ['-i', ...flags, '--', mountPoint]);
    const how = flags.includes('-l') ? '-uz' : '-u';
    const code = await run('fusermount3', [how, '--', mountPoint]);
    return code === 0 ? 0 : FAILED;
  } catch (error) {
    throw toDfsError(error).within(`cannot unmount ${mountPoint}`);
  }
}

/** Undefined when nobody can be asked, of which the user is told. EPERM for a mount of another user. */
async function watchOf(mount: MountEntry, tell: Tell): Promise<EndWatch | undefined> {
  const { mountPoint, userId: owner } = mount;
  const userId = process.getuid?.() ?? 0;
  if (owner !== undefined && owner !== userId) {
    const whose = `${mountPoint} was mounted by the user with the id ${owner}`;
    if (userId !== 0) throw new DfsError('EPERM', `${whose}; unmount it as that user, or as root`);
    // Root does not wait for a process of another user, which may make it wait for ever.
    tell(`${whose}, whose process stores what was written; it is not waited for`);
    return undefined;
  }
  const watch = await EndWatch.begin(mount, userId, systemClock);
  if (!watch)
    tell(
      `the process that serves ${mountPoint} does not answer: whether everything is stored stands in its log`,
    );
  return watch;
}

/** Rejects when not everything was stored. */
async function stored(mount: MountEntry, watch: EndWatch, tell: Tell): Promise<void> {
  const { deviceMinor, mountPoint } = mount;
  // As after mount --bind, or where it was mounted twice.
  if ((await mountTable()).some(other => other.deviceMinor === deviceMinor)) return;
  const isGone = existsSync(DEVICES) && !existsSync(`${DEVICES}/0:${deviceMinor}`);
  const notice = systemClock.setTimer(
    SILENT_MS,
    () => tell(`${mountPoint} is unmounted; waiting until everything that was written is stored`),
    true,
  );
  try {
    const isEnded = await watch.ended(isGone ? undefined : CONNECTION_END_MS);
    if (!isEnded)
      tell(`${mountPoint} is unmounted here, and goes on elsewhere: in a container, or detached and in use`);
  } catch (error) {
    throw toDfsError(error).within(`${mountPoint} is unmounted`);
  } finally {
    notice.cancel();
  }
}

async function mountTable(): Promise<MountEntry[]> {
  return parseMountTable(await readFile(MOUNT_TABLE, 'utf8'));
}

/** Its exit code, or 32 after a signal. */
async function run(program: string, parameters: readonly string[]): Promise<number> {
  return await new Promise((resolve, reject) => {
    const child = spawn(program, parameters, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', error => {
      reject(hasCode(error, 'ENOENT') ? new DfsError('ENOENT', `there is no ${program}`) : error);
    });
    child.once('close', code => resolve(code ?? FAILED));
  });
}
