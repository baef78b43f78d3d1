/** Slow disks take few of the threads that everything else needs, and not for long (client/local/disk-reads.ts). */
import t from 'tap';
import { DiskReads } from '../../../../src/client/local/disk-reads.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { refusal } from '../../metadata/support/harness.js';

const MAX_AT_ONCE = 4;
const PATIENCE_MS = 2000;
const REST_MS = 10_000;

/** Disk reads that end when the test says so. */
function scene() {
  const clock = new ManualClock();
  const reads = new DiskReads(clock);
  const finish: ((bytes: number) => void)[] = [];
  const read = async (): Promise<number> => await new Promise<number>(resolve => finish.push(resolve));
  return { clock, reads, read, finish };
}

t.test('a read is done, and fails as it fails', async t => {
  const { reads } = scene();
  t.equal(await reads.run(async () => 7), 7);
  const broken = reads.run(async () => await Promise.reject(new DfsError('EIO', 'the disk is broken')));
  t.equal(await refusal(broken), 'EIO');
});

t.test('no more than so many are under way, and each makes room for another', async t => {
  const { reads, read, finish } = scene();
  const running = Array.from({ length: MAX_AT_ONCE }, async () => await reads.run(read));
  t.equal(await reads.run(read), undefined);
  t.equal(finish.length, MAX_AT_ONCE, 'it was not begun');
  finish[0]?.(1);
  t.equal(await running[0], 1);
  const next = reads.run(read);
  t.equal(finish.length, MAX_AT_ONCE + 1);
  for (const end of finish) end(2);
  t.equal(await next, 2);
  t.same(await Promise.all(running), [1, 2, 2, 2]);
});

t.test('a read that fails makes room, too', async t => {
  const { reads, read } = scene();
  for (let count = 0; count <= MAX_AT_ONCE; count += 1) {
    await refusal(reads.run(async () => await Promise.reject(new DfsError('EIO', 'broken'))));
  }
  const running = reads.run(read);
  t.not(running, undefined);
  t.equal(await reads.run(async () => 1), 1);
});

t.test('a read that takes too long is given up, and the disks are left alone for a while', async t => {
  const { clock, reads, read, finish } = scene();
  const slow = refusal(reads.run(read));
  clock.advance(PATIENCE_MS);
  t.equal(await slow, 'ETIMEDOUT');
  t.equal(await reads.run(async () => 1), undefined);
  clock.advance(REST_MS - 1);
  t.equal(await reads.run(async () => 1), undefined);
  clock.advance(1);
  t.equal(await reads.run(async () => 1), 1);
  finish[0]?.(1);
});

t.test('the thread of a read that was given up counts until the disk answers', async t => {
  const { clock, reads, read, finish } = scene();
  const slow = Array.from({ length: MAX_AT_ONCE }, async () => await refusal(reads.run(read)));
  clock.advance(PATIENCE_MS + REST_MS);
  t.same(await Promise.all(slow), ['ETIMEDOUT', 'ETIMEDOUT', 'ETIMEDOUT', 'ETIMEDOUT']);
  t.equal(await reads.run(async () => 1), undefined);
  finish[0]?.(1);
  await new Promise(setImmediate);
  t.equal(await reads.run(async () => 1), 1);
});

t.test('a read that ends in time leaves no patience to run out', async t => {
  const { clock, reads } = scene();
  await reads.run(async () => 1);
  clock.advance(PATIENCE_MS);
  t.equal(await reads.run(async () => 2), 2);
});

t.test('those that wait for their turn get it, and go another way when the disk is given up', async t => {
  const { clock, reads, read, finish } = scene();
  const first = [1, 2, 3].map(async () => await reads.runInTurn(read));
  const next = reads.runInTurn(read);
  t.equal(finish.length, 3, 'it waits');
  finish[0]?.(1);
  await first[0];
  await new Promise(setImmediate);
  t.equal(finish.length, 4);
  finish[3]?.(4);
  t.equal(await next, 4);
  const slow = [first[1], first[2]].map(async reading => await refusal(Promise.resolve(reading)));
  const third = refusal(reads.runInTurn(read));
  const waiting = reads.runInTurn(read);
  clock.advance(PATIENCE_MS);
  t.equal(await waiting, undefined);
  t.same(await Promise.all([...slow, third]), ['ETIMEDOUT', 'ETIMEDOUT', 'ETIMEDOUT']);
  for (const end of finish) end(0);
});
