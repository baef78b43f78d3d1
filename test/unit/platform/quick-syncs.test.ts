/** Promise: a sync holds up the main thread only where the disk has been quick, and only for little. */
import t from 'tap';
import { QuickSyncs } from '../../../src/platform/quick-syncs.js';

const LITTLE = 4096;
const MUCH = 1 << 20;
const MANY = 2000;

/** Syncs of one disk, each of which takes `tookMs`; returns how many were done at once. */
function sync(syncs: QuickSyncs, tookMs: number, count: number, bytes = LITTLE): number {
  let atOnce = 0;
  for (let index = 0; index < count; index += 1) {
    const isAtOnce = syncs.mayBeAtOnce(bytes);
    if (isAtOnce) atOnce += 1;
    syncs.note(bytes, isAtOnce, tookMs);
  }
  return atOnce;
}

t.test('a disk of which nothing is known has its first syncs from a thread', t => {
  t.equal(sync(new QuickSyncs(), 0.2, 10), 0);
  t.end();
});

t.test('little is synced at once on a quick disk, much never is', t => {
  const syncs = new QuickSyncs();
  t.ok(sync(syncs, 0.2, MANY) > MANY - 50);
  t.equal(sync(syncs, 0.2, MANY, MUCH), 0);
  t.equal(sync(syncs, 50, MANY, MUCH), 0);
  t.equal(sync(syncs, 0.2, MANY), MANY, 'how long much took says nothing of little');
  t.end();
});

t.test('a slow disk has all syncs from threads', t => {
  t.equal(sync(new QuickSyncs(), 5, MANY), 0);
  t.end();
});

t.test('a disk that becomes slow holds up the main thread a few times in a thousand at most', t => {
  const syncs = new QuickSyncs();
  sync(syncs, 0.2, 100);
  t.ok(sync(syncs, 3, MANY) < 10);
  t.ok(sync(syncs, 0.2, MANY) > 500, 'and is found quick again');
  t.end();
});

t.test('one sync that takes very long is enough', t => {
  const syncs = new QuickSyncs();
  sync(syncs, 0.2, 100);
  t.equal(sync(syncs, 100, 1), 1);
  t.equal(sync(syncs, 0.2, 500), 0);
  t.end();
});
