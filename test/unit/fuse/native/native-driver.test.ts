/** A real mount through fuse-native (fuse/native/native-driver.ts). Programs use it in processes of their own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { nativeDriver } from '../../../../src/fuse/native/native-driver.js';
import { NATIVE_LIMITATIONS } from '../../../../src/fuse/native/limitations.js';
import { findMount } from '../../../../src/fuse/mount-table.js';
import { connect, serve, startDataNode } from '../../vfs/support/connected-clients.js';
import {
  mountedAt,
  mountOptions,
  mountPlace,
  mountTmpfs,
  run,
  WHY_NO_MOUNT,
} from '../support/mount-place.js';

const SKIP = { skip: WHY_NO_MOUNT };
// The library keeps a thread and its handles after a mount that somebody else than itself has ended.
t.teardown(() => void setImmediate(() => process.exit()));
const server = await serve(t);
await startDataNode(t, server);
const vfs = await connect(t, server);

t.test('the driver tells what it cannot do, a sentence each', async t => {
  t.equal(nativeDriver.limitations.length, NATIVE_LIMITATIONS.length);
  t.ok(nativeDriver.limitations.every(sentence => sentence.length > 0));
});

t.test('a file system is mounted, used, and unmounted', SKIP, async t => {
  const place = await mountPlace(t);
  const { options, lines } = mountOptions(place, { source: 'dfs@a,b:1', allowOther: true });
  const mount = await nativeDriver.mount(vfs, options);
  t.match(await mountedAt(place), { type: 'fuse.dfs', source: 'dfs@a,b:1' });
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const entry = table.split('\n').find(line => line.includes(` ${place} `)) ?? '';
  t.match(entry, /nosuid,nodev/);
  t.match(entry, /default_permissions,allow_other,max_read=131072/);
  const script =
    'mkdir d && printf hello >d/f && touch -d @1500000000 d/f && cat d/f && ls d && stat -c %s,%Y d/f';
  const { stdout } = await run('sh', ['-c', `cd "$1" && ${script}`, 'sh', place], { timeout: 20_000 });
  t.equal(stdout, 'hellof\n5,1500000000\n');
  await mount.unmount();
  await mount.unmount();
  await mount.unmounted;
  t.equal(await findMount(place), undefined);
  t.notOk(lines.some(({ level }) => level === 'error'));
});

t.test('the end of a mount by somebody’s umount(8) is noticed', SKIP, async t => {
  const place = await mountPlace(t);
  const mount = await nativeDriver.mount(vfs, mountOptions(place).options);
  await run('umount', [place]);
  await mount.unmounted;
  t.equal(await findMount(place), undefined);
});

t.test('a place that is not fit is refused', SKIP, async t => {
  const place = await mountPlace(t);
  const absent = mountOptions(join(place, 'absent')).options;
  await t.rejects(nativeDriver.mount(vfs, absent), { code: 'ENOENT' });
  await mountTmpfs(place);
  await t.rejects(nativeDriver.mount(vfs, mountOptions(place).options), { code: 'EBUSY' });
});
