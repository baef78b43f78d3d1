import t from 'tap';
import { accessed } from '../../../src/metadata/operations/accessed.js';
import type { Timespec } from '../../../src/platform/clock.js';
import { startHarness, type TestClient } from './support/harness.js';

async function access(client: TestClient, inode: number, atime: Timespec) {
  return (await client.ask(accessed, { accesses: [{ inode, atime }] })).attributes;
}

t.test('a read moves the access time, once, and nothing else', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const file = await client.file('f');
  harness.clock.advance(10);
  const readAt = harness.clock.now();
  const moved = { ...file, atime: readAt };
  t.same(await access(client, file.inode, readAt), [moved]);
  t.same(await client.stat(file.inode), moved);
  harness.clock.advance(10);
  t.same(await access(client, file.inode, harness.clock.now()), [moved], 'it is later than mtime and ctime');
});

t.test('a read from before the last change moves nothing, one from the future counts as now', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const before = harness.clock.now();
  harness.clock.advance(10);
  const file = await client.file('f');
  t.same(await access(client, file.inode, before), [file]);
  harness.clock.advance(10);
  const now = harness.clock.now();
  t.same(await access(client, file.inode, { sec: now.sec + 3600, nsec: 0 }), [{ ...file, atime: now }]);
});

t.test('an inode that is gone is left out', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  t.same(await access(client, 4711, harness.clock.now()), []);
});
