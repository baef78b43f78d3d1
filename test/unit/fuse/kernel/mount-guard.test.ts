/** What takes away the mount of a daemon that was killed (fuse/kernel/mount-guard.ts). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { GUARD_SCRIPT, MountGuard } from '../../../../src/fuse/kernel/mount-guard.js';
import { escapeMountPoint, findMount, type MountEntry } from '../../../../src/fuse/mount-table.js';
import { waitUntil } from '../../../support/wait-until.js';
import { mountPlace, mountTmpfs, run, WHY_NO_MOUNT } from '../support/mount-place.js';
import { recordedLog } from '../support/recorded-log.js';

const SKIP = { skip: WHY_NO_MOUNT };
const DEADLINE = { deadlineMs: 10_000 };

/** What the guard does about a mount when the daemon dies, after saying `last`: its command is echo(1). */
async function guardSays(mounted: MountEntry, last = ''): Promise<string> {
  const child = spawn('sh', ['-c', GUARD_SCRIPT, 'dfs-guard', 'echo', 'detach'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: {
      ...process.env,
      GUARDED_PATH: mounted.mountPoint,
      GUARDED_POINT: escapeMountPoint(mounted.mountPoint),
      GUARDED_ID: `${mounted.id} 0:${mounted.deviceMinor}`,
    },
  });
  const said: Buffer[] = [];
  child.stdout.on('data', (data: Buffer) => said.push(data));
  child.stdin.end(last);
  await once(child, 'close');
  return Buffer.concat(said).toString();
}

/** A daemon in a process of its own, which guards a mount and is killed. */
async function killDaemon(t: Test, mounted: MountEntry): Promise<void> {
  const module = new URL('../../../../src/fuse/kernel/mount-guard.js', import.meta.url);
  const program = `
    const { MountGuard } = await import(${JSON.stringify(module.href)});
    MountGuard.start(${JSON.stringify(mounted)}, { warn: line => console.error(line) });
    console.log('guarded');
    setInterval(() => undefined, 60_000);`;
  const daemon = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => daemon.kill('SIGKILL'));
  await once(daemon.stdout, 'data');
  daemon.kill('SIGKILL');
  await once(daemon, 'exit');
}

t.test('the mount of a daemon that is killed is taken away', SKIP, async t => {
  const place = await mountPlace(t);
  await killDaemon(t, await mountTmpfs(place));
  await waitUntil(async () => !(await findMount(place)), { ...DEADLINE, what: 'the mount is gone' });
});

t.test('a mount that came after it, or lies on it, is not', SKIP, async t => {
  const place = await mountPlace(t);
  const first = await mountTmpfs(place);
  t.equal(await guardSays(first), `detach ${place}\n`);
  const above = await mountTmpfs(place);
  t.equal(await guardSays(first), '', 'another one lies on it');
  t.equal(await guardSays(above), `detach ${place}\n`);
  await run('umount', [place]);
  await run('umount', [place]);
  t.equal(await guardSays(first), '', 'nothing is there');
  const later = await mountTmpfs(place);
  t.equal(
    await guardSays({ ...later, deviceMinor: later.deviceMinor + 1 }),
    '',
    'its numbers are given again',
  );
});

t.test('a daemon that ends in order leaves nothing to do', SKIP, async t => {
  const place = await mountPlace(t);
  t.equal(await guardSays(await mountTmpfs(place), 'unmounted\n'), '');
  t.equal(
    await guardSays(await mountTmpfs(place), 'half a line'),
    `detach ${place}\n`,
    'dead in the middle of it',
  );
});

t.test('paths are never read as shell', SKIP, async t => {
  const place = await mountPlace(t);
  const odd = `${place}/a b\\c"$(touch pwned)'*`;
  await run('mkdir', [odd]);
  t.teardown(async () => {
    while (await findMount(odd)) await run('umount', ['-l', odd]);
    await run('rmdir', [odd]);
  });
  t.equal(await guardSays(await mountTmpfs(odd)), `detach ${odd}\n`);
});

t.test('an end that is called twice is an end, and the mount stays', SKIP, async t => {
  const place = await mountPlace(t);
  const mounted = await mountTmpfs(place);
  const { log, lines } = recordedLog();
  const guard = MountGuard.start(mounted, log);
  guard.end();
  guard.end();
  t.ok(await findMount(place));
  t.same(lines, []);
});

t.test('a guard that cannot be started is told, and keeps nobody from mounting', async t => {
  const { PATH } = process.env;
  t.teardown(() => void (process.env['PATH'] = PATH));
  process.env['PATH'] = '/nonexistent';
  const { log, lines } = recordedLog();
  const mounted = { id: 1, mountPoint: '/nowhere', type: 'fuse.dfs', source: 'dfs', deviceMinor: 1 };
  const guard = MountGuard.start(mounted, log);
  await waitUntil(() => lines.length > 0, { ...DEADLINE, what: 'the log says so' });
  t.match(lines[0], { level: 'warn', msg: /nobody unmounts/ });
  guard.end();
});
