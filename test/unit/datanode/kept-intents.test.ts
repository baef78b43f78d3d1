/** Intents that came with chunks are there for as long as somebody may ask for them. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { ChunkStore } from '../../../src/datanode/chunk-store.js';
import { KeptIntents } from '../../../src/datanode/kept-intents.js';
import { MAX_KEPT_INTENTS } from '../../../src/protocol/intents.js';
import { ManualClock } from '../../support/manual-clock.js';
import { holds, openStore, randomChunk, temporaryDirectory } from './store-fixture.js';

const LOG = 1234;

/** Stores a chunk with an intent, on stable storage. */
async function put(store: ChunkStore, chunk: number, sequence: number, done = 0): Promise<void> {
  const change = Buffer.from(`change ${sequence}`);
  await store.put({ ...randomChunk(chunk, 3000), intent: { log: LOG, sequence, done, change } });
  await store.sync();
}

function told(store: ChunkStore, after = 0): (readonly [number, number, string])[] {
  return store.intents
    .of(LOG, after, 100)
    .map(({ sequence, chunk, change }) => [sequence, chunk, Buffer.from(change).toString()]);
}

t.test('intents are told in order, and forgotten when they are done', async t => {
  const store = await openStore(t, await temporaryDirectory(t));
  for (const sequence of [1, 3, 2]) await put(store, 100 + sequence, sequence);
  t.same(told(store), [
    [1, 101, 'change 1'],
    [2, 102, 'change 2'],
    [3, 103, 'change 3'],
  ]);
  t.same(
    told(store, 2).map(([sequence]) => sequence),
    [3],
  );
  await put(store, 104, 4, 2);
  t.same(
    told(store).map(([sequence]) => sequence),
    [3, 4],
  );
  t.notOk(store.intents.hasOf(102), 'its chunk may be dropped');
  t.ok(store.intents.hasOf(104));
  store.intents.end([LOG]);
  t.same(told(store), []);
});

for (const [what, forget] of [
  ['', async () => undefined],
  [', when its index was lost', async (directory: string) => await rm(join(directory, 'index.db'))],
] as const) {
  t.test(`intents are there after a start${what}`, async t => {
    const directory = await temporaryDirectory(t);
    const first = await openStore(t, directory);
    await put(first, 101, 1);
    await put(first, 102, 2);
    await first.close();
    await forget(directory);
    const second = await openStore(t, directory);
    t.same(told(second), [
      [1, 101, 'change 1'],
      [2, 102, 'change 2'],
    ]);
    await put(second, 103, 3, 1);
    await second.drop([102]);
    await second.close();
    await forget(directory);
    const third = await openStore(t, directory);
    const sequences = new Set(told(third).map(([sequence]) => sequence));
    t.notOk(sequences.has(2), 'not that of a chunk that was dropped');
    t.ok(sequences.has(3));
    t.ok(third.has(101));
  });
}

t.test('a segment with intents that may be asked for is not removed', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory, { segmentBytes: 10_000 });
  await put(store, 101, 1);
  const others = Array.from({ length: 12 }, (_, index) => randomChunk(200 + index, 3000));
  for (const chunk of others) await store.put(chunk);
  await store.drop(others.slice(0, 8).map(({ chunk }) => chunk));
  await store.compacted();
  t.same(told(store).length, 1);
  await store.close();
  await rm(join(directory, 'index.db'));
  const again = await openStore(t, directory, { segmentBytes: 10_000 });
  t.same(told(again).length, 1, 'its record is there');
  const segments = again.segmentCount;
  again.intents.end([LOG]);
  await again.drop([101]);
  await again.compacted();
  t.ok(again.segmentCount < segments, 'it goes when nobody may ask');
  for (const chunk of others.slice(8)) t.ok(await holds(again, chunk));
});

t.test('what is kept is bounded, for each log and in all', async t => {
  const intents = new KeptIntents(new ManualClock());
  const change = Buffer.from('x');
  for (let sequence = 1; sequence <= MAX_KEPT_INTENTS; sequence += 1)
    intents.add({ log: 1, sequence, chunk: sequence, change, segment: 1 });
  t.notOk(intents.hasRoom(1));
  t.ok(intents.hasRoom(2));
  intents.restore({ log: 1, sequence: 5000, chunk: 5000, change, segment: 1 });
  t.equal(intents.count, MAX_KEPT_INTENTS, 'the oldest goes');
  t.notOk(intents.has({ log: 1, sequence: 1, chunk: 1 }));
  t.ok(intents.has({ log: 1, sequence: 5000, chunk: 5000 }));
});

t.test('logs of which nothing was heard are asked after now and then', async t => {
  const clock = new ManualClock();
  const intents = new KeptIntents(clock);
  intents.add({ log: 1, sequence: 1, chunk: 1, change: Buffer.alloc(1), segment: 1 });
  t.same(intents.takeIdleLogs(), []);
  clock.advance(11_000);
  t.same(intents.takeIdleLogs(), [1]);
  t.same(intents.takeIdleLogs(), [], 'not at once again');
  clock.advance(11_000);
  t.same(intents.takeIdleLogs(), [1]);
});
