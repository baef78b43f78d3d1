/** Where the local cluster is mounted: the path as the kernel's table has it. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  canonicalPath,
  chooseMountPoint,
  clearMountPoint,
  DEFAULT_MOUNT_POINT,
} from '../../../../src/cli/local/mount-place.js';

const directory = realpathSync(mkdtempSync(join(tmpdir(), 'dfs-mount-place-')));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
mkdirSync(join(directory, 'real', 'below'), { recursive: true });
symlinkSync('real/below', join(directory, 'link'));

t.test('symbolic links and dots are followed, and what is missing stays', async t => {
  const cases = [
    ['real/new', 'real/new'],
    ['link', 'real/below'],
    ['link/new', 'real/below/new'],
    ['link/..', 'real'],
    ['link/../new', 'real/new'],
    ['real/.', 'real'],
    ['no/such/directory', 'no/such/directory'],
    ['real/below/', 'real/below'],
  ] as const;
  for (const [path, expected] of cases)
    t.equal(await canonicalPath(`${directory}/${path}`), join(directory, expected), path);
  const relative = await canonicalPath('somewhere');
  t.equal(relative, join(realpathSync(process.cwd()), 'somewhere'));
});

t.test('the one asked for, else where it was last, else the default', async t => {
  const record = { pid: 1, started: '1', boot: '1', logMark: 0, address: undefined, directory: '/last' };
  t.equal(await chooseMountPoint(`${directory}/link`, record), join(directory, 'real', 'below'));
  t.equal(await chooseMountPoint(undefined, record), '/last');
  t.equal(await chooseMountPoint(undefined, undefined), DEFAULT_MOUNT_POINT);
});

t.test('a place where something else is mounted, or that cannot be made, is refused', async t => {
  await t.rejects(clearMountPoint('/proc', undefined), {
    code: 'EBUSY',
    message: /^\/proc is already the mount point of \S+ \(proc\); unmount it, or give another mount point$/,
  });
  await t.rejects(clearMountPoint('/proc/none', undefined), {
    message: /; give one of your own, such as .*up ~\/dfs$/,
  });
  await clearMountPoint(join(directory, 'made', 'for', 'it'), undefined);
  t.ok(realpathSync(join(directory, 'made', 'for', 'it')));
});
