/** A directory of a test to mount on, which is let go of whatever happens. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, realpath, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import type { FuseMountOptions } from '../../../../src/fuse/driver.js';
import { findMount, type MountEntry } from '../../../../src/fuse/mount-table.js';
import { systemClock, type Clock } from '../../../../src/platform/clock.js';
import { recordedLog } from './recorded-log.js';

export const run = promisify(execFile);
const FASTER = 5;

/** For the option `skip` of a test that mounts what is no DFS. */
export const WHY_NO_MOUNT = process.getuid?.() === 0 ? false : 'only root can mount';

/** Five seconds are one: for waits that only a clock ends. */
export const fastClock: Clock = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * FASTER,
  setTimer: (delayMs, callback, background) => systemClock.setTimer(delayMs / FASTER, callback, background),
};

/**
 * An empty directory. This process must have no file open on its own mount when it starts another process: that one would
 * close its copies before Node goes on to answer. What is mounted there is detached at the end of the test. */
export async function mountPlace(t: Test): Promise<string> {
  const place = await realpath(await mkdtemp(join(tmpdir(), 'dfs-place-')));
  // The daemon of a mount ends with its device; the test goes on.
  const alive = setInterval(() => undefined, 60_000);
  t.teardown(async () => {
    clearInterval(alive);
    while (await findMount(place)) await run('umount', ['-l', '--', place]);
    await rmdir(place);
  });
  return place;
}

export function mountOptions(mountPoint: string, more: Partial<FuseMountOptions> = {}) {
  const { log, lines } = recordedLog();
  const options: FuseMountOptions = {
    mountPoint,
    source: 'dfs@127.0.0.1:1',
    allowOther: false,
    allowSuid: false,
    allowDevices: false,
    entryTimeoutMs: 0,
    attrTimeoutMs: 0,
    negativeTimeoutMs: 0,
    busyPollMs: 0,
    keepsNames: true,
    atime: 'noatime',
    clock: fastClock,
    log,
    ...more,
  };
  return { options, lines };
}

/** What is mounted there; a failure when nothing is. */
export async function mountedAt(place: string): Promise<MountEntry> {
  const entry = await findMount(place);
  if (!entry) throw new Error(`nothing is mounted at ${place}`);
  return entry;
}

export async function mountTmpfs(place: string): Promise<MountEntry> {
  await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'dfs-test', place]);
  return await mountedAt(place);
}

/** A mount that nobody serves yet: requests wait at the descriptor, which the caller closes. */
export function mountUnserved(place: string): number {
  const fd = openSync('/dev/fuse', 'r+');
  const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
  const parameters = ['-i', '-t', 'fuse.dfs', '-o', options, 'dead', place];
  const { status } = spawnSync('mount', parameters, { stdio: ['ignore', 'inherit', 'inherit', fd] });
  if (status === 0) return fd;
  closeSync(fd);
  throw new Error('mount(8) failed');
}

/** What a mount daemon leaves that was killed. */
export async function mountDead(place: string): Promise<MountEntry> {
  closeSync(mountUnserved(place));
  return await mountedAt(place);
}

/** A process that has a file open below `place`. */
export async function holdFile(t: Test, place: string) {
  const script =
    'exec 3<>"$1/held" && echo held && read -r _word; cat <&3 >/dev/null && echo read || echo failed';
  const child = spawn('sh', ['-c', script, 'sh', place], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.stdin.end();
    await exited;
  });
  await once(child.stdout, 'data');
  return {
    /** What becomes of its next read(2), after which it ends. */
    async readOn(): Promise<string> {
      const said = once(child.stdout, 'data');
      child.stdin.end();
      return String((await said)[0]).trim();
    },
  };
}
