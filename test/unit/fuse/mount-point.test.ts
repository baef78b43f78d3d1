/** The directory on which DFS is mounted (fuse/mount-point.ts), with real mounts. */
import { mkdir, open, rm, rmdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import {
  canonicalMountPoint,
  detachDead,
  prepareMountPoint,
  unmountOrDetach,
  unmountUnlessBusy,
  waitUntilUnmounted,
} from '../../../src/fuse/mount-point.js';
import { findMount } from '../../../src/fuse/mount-table.js';
import { kernelDriver } from '../../../src/fuse/kernel/kernel-driver.js';
import { MemoryFileSystem } from '../../bench/null/memory-file-system.js';
import {
  fastClock,
  mountDead,
  mountOptions,
  mountPlace,
  mountTmpfs,
  run,
  WHY_NO_MOUNT,
} from './support/mount-place.js';
import { recordedLog } from './support/recorded-log.js';

const SKIP = { skip: WHY_NO_MOUNT };

t.test('the kernel’s table has the path without symbolic links, its own last name’s too', async t => {
  const place = await mountPlace(t);
  const [real, link, chain] = [join(place, 'real'), join(place, 'link'), join(place, 'chain')];
  t.teardown(async () => {
    for (const each of [link, chain]) await unlink(each);
    await rmdir(real);
  });
  await mkdir(real);
  await symlink(real, link);
  await symlink('link', chain);
  t.equal(await canonicalMountPoint(real), real);
  t.equal(await canonicalMountPoint(link), real);
  t.equal(await canonicalMountPoint(`${place}/./real/../chain`), real);
  t.equal(await canonicalMountPoint('/'), '/');
  await t.rejects(canonicalMountPoint(join(place, 'absent')), {
    code: 'ENOENT',
    message: /cannot mount at .*absent/,
  });
  await t.rejects(canonicalMountPoint(join(place, 'absent', 'below')), { code: 'ENOENT' });
});

t.test('the path of a dead mount is found all the same', SKIP, async t => {
  const place = await mountPlace(t);
  await mountDead(place);
  t.equal(await canonicalMountPoint(place), place);
});

t.test('only an empty directory is fit', async t => {
  const place = await mountPlace(t);
  const { log } = recordedLog();
  await prepareMountPoint(place, log);
  const file = join(place, 'file');
  await writeFile(file, '');
  t.teardown(async () => await rm(file));
  await t.rejects(prepareMountPoint(place, log), { code: 'ENOTEMPTY', message: /a mount would hide/ });
  await t.rejects(prepareMountPoint(file, log), { code: 'ENOTDIR' });
  await t.rejects(prepareMountPoint(join(place, 'absent'), log), {
    code: 'ENOENT',
    message: /create it first/,
  });
});

t.test('another file system is left where it is: EBUSY', SKIP, async t => {
  const place = await mountPlace(t);
  await mountTmpfs(place);
  await t.rejects(prepareMountPoint(place, recordedLog().log), {
    code: 'EBUSY',
    message: /dfs-test \(tmpfs\)/,
  });
  t.ok(await findMount(place));
});

t.test('so is a mount whose daemon lives', SKIP, async t => {
  const place = await mountPlace(t);
  const mount = await kernelDriver.mount(new MemoryFileSystem(), mountOptions(place).options);
  await t.rejects(prepareMountPoint(place, recordedLog().log), { code: 'EBUSY', message: /\(fuse\.dfs\)/ });
  await mount.unmount();
});

t.test('what a killed daemon left is taken away, and said to be', SKIP, async t => {
  const place = await mountPlace(t);
  await mountDead(place);
  const { log, lines } = recordedLog();
  await prepareMountPoint(place, log);
  t.equal(await findMount(place), undefined);
  t.match(lines, [{ level: 'warn', source: 'dead' }]);
});

t.test('a mount that nobody uses is unmounted; one in use stays, until it is detached', SKIP, async t => {
  const place = await mountPlace(t);
  await mountTmpfs(place);
  const file = await open(join(place, 'file'), 'w');
  t.teardown(async () => await file.close());
  t.equal(await unmountUnlessBusy(place, fastClock), false);
  t.ok(await findMount(place));
  await unmountOrDetach(place);
  t.equal(await findMount(place), undefined);
  await file.write('still there');
  await mountTmpfs(place);
  t.equal(await unmountUnlessBusy(place, fastClock), true);
  t.equal(await findMount(place), undefined);
});

t.test('where nothing is mounted there is nothing to do', async t => {
  const place = await mountPlace(t);
  await unmountOrDetach(place);
  t.equal(await unmountUnlessBusy(place, fastClock), true);
  await waitUntilUnmounted(place, fastClock);
});

t.test('a dead mount is detached only if it is still the one that is seen', SKIP, async t => {
  const place = await mountPlace(t);
  const dead = await mountDead(place);
  const above = await mountTmpfs(place);
  const { log, lines } = recordedLog();
  await detachDead(dead, log);
  t.match(await findMount(place), { id: above.id }, 'another one lies on it');
  await run('umount', [place]);
  await detachDead({ ...dead, deviceMinor: dead.deviceMinor + 1 }, log);
  await detachDead({ ...dead, id: dead.id + 1 }, log);
  t.match(await findMount(place), { id: dead.id }, 'its numbers are given again');
  t.same(lines, []);
  await detachDead(dead, log);
  t.equal(await findMount(place), undefined);
  t.match(lines, [{ level: 'warn' }]);
  await detachDead(dead, log);
  t.equal(lines.length, 1, 'it is gone');
});

t.test('the end of a mount is noticed, whoever ends it', SKIP, async t => {
  const place = await mountPlace(t);
  await mountDead(place);
  let isOver = false;
  const waiting = waitUntilUnmounted(place, fastClock).then(() => (isOver = true));
  await mountTmpfs(place);
  await waiting;
  t.ok(isOver, 'what lies on it is no FUSE');
  await run('umount', [place]);
  const again = waitUntilUnmounted(place, fastClock);
  await run('umount', ['-l', place]);
  await again;
  t.equal(await findMount(place), undefined);
});
