import { chown, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { LockHeldError, takeExclusiveLock } from '../../../src/platform/exclusive-lock.js';

t.test('a second holder is refused and told who the first is, until that one lets go', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-lock-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'lock');
  const first = takeExclusiveLock(path, 'the first');
  t.throws(() => takeExclusiveLock(path, 'the second'), LockHeldError);
  first.describe('the first, on port 1');
  try {
    takeExclusiveLock(path, 'the second');
  } catch (error) {
    t.match(error, { code: 'EBUSY', holder: 'the first, on port 1' });
  }
  first.release();
  first.release();
  takeExclusiveLock(path, 'the third').release();
});

t.test('a lock is for its owner alone, also one that an older version has made', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-lock-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'lock');
  await writeFile(path, '', { mode: 0o644 });
  await writeFile(`${path}.holder`, 'an older one', { mode: 0o644 });
  for (const what of ['with mode 644', 'again', 'new']) {
    const lock = takeExclusiveLock(path, 'the owner');
    lock.describe('the owner, on port 1');
    for (const file of [path, `${path}.holder`])
      t.equal((await stat(file)).mode & 0o777, 0o600, `${what}: ${file}`);
    lock.release();
    if (what === 'again') await rm(path);
  }
});

t.test('a lock that a stranger has made is refused', { skip: process.getuid?.() !== 0 }, async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-lock-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'lock');
  await writeFile(path, '');
  await chown(path, 65_534, 65_534);
  t.throws(() => takeExclusiveLock(path, 'root'), { code: 'EACCES', message: /belongs to user 65534/ });
  await chown(directory, 65_534, 65_534);
  takeExclusiveLock(path, 'root, for the owner of the directory').release();
  await rm(path);
  await symlink('/etc/hostname', path);
  t.throws(() => takeExclusiveLock(path, 'root'), { code: 'EACCES' });
});
