import { mkdtemp, rm } from 'node:fs/promises';
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
