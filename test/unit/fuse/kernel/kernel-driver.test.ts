/** Real mounts through /dev/fuse (fuse/kernel/kernel-driver.ts), of a file system in memory. */
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { kernelDriver, kernelDriverCanRun } from '../../../../src/fuse/kernel/kernel-driver.js';
import { findMount } from '../../../../src/fuse/mount-table.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { MemoryFileSystem } from '../../../bench/null/memory-file-system.js';
import { waitUntil } from '../../../support/wait-until.js';
import {
  holdFile,
  mountDead,
  mountedAt,
  mountOptions,
  mountPlace,
  run,
  WHY_NO_MOUNT,
} from '../support/mount-place.js';

const SKIP = { skip: kernelDriverCanRun() ? false : 'there is no FUSE here, or nobody who may mount' };
const ROOT_ALONE = { skip: WHY_NO_MOUNT };

/** The options of a mount as the kernel has them. */
async function optionsAt(place: string): Promise<string> {
  const line = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .find(each => each.includes(` ${place} `));
  return line ?? '';
}

/** Descriptors of /dev/fuse that this process has open. */
function openDevices(): number {
  return readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === '/dev/fuse';
    } catch {
      return false;
    }
  }).length;
}

t.test('a file system is mounted, used, and unmounted', SKIP, async t => {
  const place = await mountPlace(t);
  const { options, lines } = mountOptions(place, { source: 'dfs@host:8000' });
  const mount = await kernelDriver.mount(new MemoryFileSystem(), options);
  t.equal(mount.mountPoint, place);
  t.match(await mountedAt(place), { type: 'fuse.dfs', source: 'dfs@host:8000' });
  t.match(await optionsAt(place), /nosuid,nodev,noatime/);
  await mkdir(join(place, 'd'));
  await writeFile(join(place, 'd', 'f'), 'hello');
  t.equal(await readFile(join(place, 'd', 'f'), 'utf8'), 'hello');
  t.same(await readdir(join(place, 'd')), ['f']);
  await t.rejects(readFile(join(place, 'absent')), { code: 'ENOENT' });
  await mount.unmount();
  await mount.unmount();
  await mount.unmounted;
  t.equal(await findMount(place), undefined);
  t.same(await readdir(place), [], 'what was there is the file system’s');
  t.equal(openDevices(), 0);
  t.same(
    lines.filter(({ level }) => level === 'error' || level === 'warn'),
    [],
  );
});

t.test(
  'it mounts where a symbolic link leads to; what root asks for reaches the kernel',
  ROOT_ALONE,
  async t => {
    const place = await mountPlace(t);
    const link = `${place}-link`;
    await symlink(place, link);
    t.teardown(async () => await unlink(link));
    const asked = { allowOther: true, allowSuid: true, allowDevices: true, atime: 'relatime' } as const;
    const mount = await kernelDriver.mount(new MemoryFileSystem(), mountOptions(link, asked).options);
    t.equal(mount.mountPoint, place);
    const options = await optionsAt(place);
    t.match(options, /relatime.*default_permissions,allow_other/);
    t.notMatch(options, /nosuid|nodev/);
    await mount.unmount();
    t.equal(await findMount(place), undefined);
  },
);

t.test('a mount that somebody uses is cut off: he gets errors, and nobody waits', ROOT_ALONE, async t => {
  const place = await mountPlace(t);
  const { options, lines } = mountOptions(place);
  const mount = await kernelDriver.mount(new MemoryFileSystem(), options);
  const user = await holdFile(t, place);
  await mount.unmount();
  t.equal(await findMount(place), undefined);
  t.equal(await user.readOn(), 'failed');
  t.ok(lines.some(({ msg }) => msg.includes('still uses the mount')));
  t.equal(openDevices(), 0);
});

t.test('a connection that is aborted leaves no dead mount', ROOT_ALONE, async t => {
  const place = await mountPlace(t);
  const mount = await kernelDriver.mount(new MemoryFileSystem(), mountOptions(place).options);
  const user = await holdFile(t, place);
  // In use, so that the mount itself stays.
  await run('umount', ['-f', place]).catch(() => undefined);
  await mount.unmounted;
  await waitUntil(async () => !(await findMount(place)), { deadlineMs: 10_000, what: 'it is detached' });
  t.equal(await user.readOn(), 'failed');
});

t.test('what a killed daemon left is replaced; somebody’s umount(8) ends the mount', ROOT_ALONE, async t => {
  const place = await mountPlace(t);
  const dead = await mountDead(place);
  const mount = await kernelDriver.mount(new MemoryFileSystem(), mountOptions(place).options);
  t.not((await mountedAt(place)).source, dead.source);
  t.same(await readdir(place), []);
  await run('umount', [place]);
  await mount.unmounted;
  await mount.unmount();
  t.equal(await findMount(place), undefined);
  t.equal(openDevices(), 0);
});

t.test('a file system that gives no lease is not mounted, and leaves nothing', SKIP, async t => {
  const place = await mountPlace(t);
  const away = new DfsError('EIO', 'the metadata server is away');
  const fileSystem = new MemoryFileSystem();
  fileSystem.keepCaches = async () => {
    throw away;
  };
  await t.rejects(kernelDriver.mount(fileSystem, mountOptions(place).options), away);
  t.equal(await findMount(place), undefined);
  t.equal(openDevices(), 0);
});

t.test('a place that is not fit is refused, and nothing is opened', SKIP, async t => {
  const place = await mountPlace(t);
  const mount = async (path: string) =>
    await kernelDriver.mount(new MemoryFileSystem(), mountOptions(path).options);
  await t.rejects(mount(join(place, 'absent')), { code: 'ENOENT' });
  const below = join(place, 'below');
  await mkdir(below);
  t.teardown(async () => await rmdir(below));
  await t.rejects(mount(place), { code: 'ENOTEMPTY' });
  t.equal(openDevices(), 0);
});
