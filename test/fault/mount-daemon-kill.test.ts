/** A mount daemon that is killed, or that waits for a server that is away: programs get errors, and the mount goes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { findMount } from '../../src/fuse/mount-table.js';
import { shell, startCluster, waitUntil, type Cluster, type MountProcess } from '../support/cluster.js';
import { nextOutput } from '../support/next-output.js';
import { LET_GO_OF_OTHERS, withOpenFuseDevice } from '../support/open-fuse-device.js';

/** nobody: fusermount3 asks that the user has a name. */
const USER = 65_534;
const LONG = { timeout: 120_000 };
/** What a program gets told when it must not be left waiting. */
const PATIENCE_MS = 15_000;

/** Writes files without end; its exit code is how it failed. */
async function startWriter(t: Test, mount: MountProcess, user?: number): Promise<ChildProcess> {
  const script =
    'i=0; while head -c 3000000 /dev/zero > "$1/w$i"; do i=$((i+1)); [ $i -lt 20 ] || i=0; done; exit 3';
  const own = user === undefined ? {} : { uid: user, gid: user };
  const child = spawn('sh', ['-c', script, 'writer', mount.mountPoint], {
    stdio: 'ignore',
    cwd: '/',
    ...own,
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

async function hasEnded(child: ChildProcess, what: string): Promise<void> {
  await waitUntil(() => child.exitCode !== null || child.signalCode !== null, {
    deadlineMs: PATIENCE_MS,
    what,
  });
}

/** Neither a mount nor a guard of it is left. */
async function nothingIsLeft(t: Test, { mountPoint }: MountProcess): Promise<void> {
  await waitUntil(async () => (await findMount(mountPoint)) === undefined, {
    deadlineMs: PATIENCE_MS,
    what: 'the mount is gone',
  });
  t.same(await readdir(mountPoint), [], 'an empty directory is left');
  await waitUntil(async () => (await guardsOf(mountPoint)) === 0, {
    deadlineMs: PATIENCE_MS,
    what: 'the guard has ended',
  });
}

async function guardsOf(mountPoint: string): Promise<number> {
  const script = `
    for process in $(pgrep -x sh); do
      tr '\\0' '\\n' 2>/dev/null </proc/$process/environ | grep -qxF "GUARDED_PATH=${mountPoint}" && echo $process
    done; true`;
  const found = await shell(script);
  return found === '' ? 0 : found.split('\n').length;
}

async function started(
  t: Test,
  user?: number,
  timeout = 5,
): Promise<{ cluster: Cluster; mount: MountProcess }> {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, mountOptions: [`--timeout=${timeout}`] });
  const [first] = cluster.mounts;
  if (!first) throw new Error('a mount was asked for');
  if (user === undefined) return { cluster, mount: first };
  await shell(`chmod 777 ${first.mountPoint}`);
  return { cluster, mount: await cluster.addMount([], user) };
}

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) defineTests();

function defineTests(): void {
  for (const [who, user] of [
    ['root', undefined],
    ['another user', USER],
  ] as const) {
    t.test(`kill -9 of the daemon of ${who} during writes`, LONG, async t => {
      const { mount } = await started(t, user);
      const { mountPoint } = mount;
      t.equal(await guardsOf(mountPoint), 1, 'a guard watches');
      const writer = await startWriter(t, mount, user);
      const own = user === undefined ? {} : { uid: user, gid: user };
      // Has a file open and stands there, so that a plain umount would not do.
      const inside = spawn(
        'sh',
        ['-c', 'cd "$1" && exec 3>inside && echo here && exec sleep 60', 'sh', mountPoint],
        {
          stdio: ['ignore', 'pipe', 'ignore'],
          cwd: '/',
          ...own,
        },
      );
      t.teardown(() => inside.kill('SIGKILL'));
      await nextOutput(inside);
      await mount.kill9();
      await hasEnded(writer, 'the writer has ended');
      t.equal(writer.exitCode, 3, 'it was told of an error');
      await nothingIsLeft(t, mount);
      await mount.start();
      const entry = await findMount(mountPoint);
      t.equal(entry?.type, 'fuse.dfs', 'it can be mounted again at once');
      t.equal(await mount.stop(), 0);
      await nothingIsLeft(t, mount);
    });
  }

  t.test('umount -f ends requests that hang, and the daemon', LONG, async t => {
    const { cluster, mount } = await started(t);
    const { pid } = cluster.metadata;
    process.kill(pid, 'SIGSTOP');
    t.teardown(() => process.kill(pid, 'SIGCONT'));
    const hanging = spawn('mkdir', [`${mount.mountPoint}/hangs`], { stdio: 'ignore', cwd: '/' });
    t.teardown(() => hanging.kill('SIGKILL'));
    await waitUntil(
      async () => (await shell(`cat /proc/${hanging.pid}/wchan || true`)).includes('request_wait'),
      {
        what: 'the request hangs',
        deadlineMs: PATIENCE_MS,
      },
    );
    await shell(`umount -f ${mount.mountPoint} || true`);
    await hasEnded(hanging, 'mkdir has ended');
    t.equal(hanging.exitCode, 1, 'with an error');
    await nothingIsLeft(t, mount);
    await mount.exited(PATIENCE_MS * 2);
  });

  t.test('SIGTERM ends a mount of which another mount namespace has a copy', LONG, async t => {
    const { cluster, mount } = await started(t);
    const { mountPoint } = mount;
    // Of this mount alone.
    const others = LET_GO_OF_OTHERS.replace('/tmp/dfs-*)', `${mountPoint}) ;; /tmp/dfs-*)`);
    const script = `${others}\necho here && exec sleep 60`;
    const elsewhere = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: '/',
    });
    t.teardown(() => elsewhere.kill('SIGKILL'));
    await nextOutput(elsewhere);
    await shell(`echo kept > ${mountPoint}/file`);
    t.equal(await mount.stop(PATIENCE_MS), 0);
    await nothingIsLeft(t, mount);
    const copy = `/proc/${elsewhere.pid}/root${mountPoint}`;
    await t.rejects(shell(`ls ${copy}`), /not connected/, 'the copy has no file system behind it any more');
    const again = await cluster.addMount();
    t.equal(await shell(`cat ${again.mountPoint}/file`), 'kept');
  });

  t.test('SIGTERM while every server is away', LONG, async t => {
    const { cluster, mount } = await started(t, undefined, 2);
    const writer = await startWriter(t, mount);
    // Something that is written when nobody can store it.
    const held = spawn(
      'sh',
      [
        '-c',
        'exec 3>"$1/held" && echo open && read -r _ && echo data >&3 && echo written && exec sleep 60',
        'sh',
        mount.mountPoint,
      ],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
        cwd: '/',
      },
    );
    t.teardown(() => held.kill('SIGKILL'));
    await nextOutput(held);
    const servers = [cluster.metadata, ...cluster.nodes];
    for (const { pid } of servers) process.kill(pid, 'SIGSTOP');
    t.teardown(() => {
      for (const { pid } of servers) process.kill(pid, 'SIGCONT');
    });
    held.stdin.write('now\n');
    await nextOutput(held);
    const ended = mount.stop(90_000);
    await waitUntil(async () => (await findMount(mount.mountPoint)) === undefined, {
      deadlineMs: PATIENCE_MS,
      what: 'the mount is gone before the daemon, which still tries to store',
    });
    t.equal(await ended, 1, 'it says that something could not be stored');
    await hasEnded(writer, 'the writer has ended');
    await nothingIsLeft(t, mount);
  });
}
