import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { holds, openStore, randomChunk, temporaryDirectory } from './store-fixture.js';

const SEGMENT_BYTES = 1 << 20;
const settings = { segmentBytes: SEGMENT_BYTES };

async function segments(directory: string): Promise<string[]> {
  return (await readdir(join(directory, 'segments'))).sort();
}

async function removeIndex(directory: string): Promise<void> {
  for (const name of ['index.db', 'index.db-wal', 'index.db-shm'])
    await rm(join(directory, name), { force: true });
}

t.test('a segment with nothing alive is removed, and what was in it stays gone', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory, settings);
  const chunks = Array.from({ length: 30 }, (_, i) => randomChunk(i + 1, 100_000));
  for (const chunk of chunks) await store.put(chunk);
  t.equal((await segments(directory)).length, 3);
  const dropped = chunks.slice(0, 22).map(({ chunk }) => chunk);
  await store.drop(dropped);
  await store.compacted();
  t.notOk((await segments(directory)).includes('00000001.seg'));
  await store.close();
  for (const round of ['with index.db', 'without']) {
    if (round === 'without') await removeIndex(directory);
    const again = await openStore(t, directory, settings);
    t.equal(again.chunkCount, 8, round);
    for (const chunk of chunks.slice(22)) t.ok(await holds(again, chunk));
    await again.close();
  }
});

t.test('living chunks of a mostly dead segment move, and survive the loss of index.db', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory, settings);
  const chunks = Array.from({ length: 30 }, (_, i) => randomChunk(i + 1, 100_000));
  for (const chunk of chunks) await store.put(chunk);
  const survivors = chunks.filter(({ chunk }) => chunk % 5 === 0);
  await store.drop(chunks.filter(({ chunk }) => chunk % 5 !== 0).map(({ chunk }) => chunk));
  await store.compacted();
  t.notOk((await segments(directory)).includes('00000001.seg'));
  t.notOk((await segments(directory)).includes('00000002.seg'));
  for (const chunk of survivors) t.ok(await holds(store, chunk));
  await store.close();
  await removeIndex(directory);
  const again = await openStore(t, directory, settings);
  t.equal(again.chunkCount, survivors.length);
  for (const chunk of survivors) t.ok(await holds(again, chunk));
});

t.test('a tombstone lives as long as an older segment still has its chunk', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory, settings);
  // Segment 1 stays mostly alive, but has one dead chunk: 1. Its tombstone goes to segment 2.
  const kept = Array.from({ length: 10 }, (_, i) => randomChunk(100 + i, 100_000));
  await store.put(randomChunk(1, 50_000));
  for (const chunk of kept) await store.put(chunk);
  const short = Array.from({ length: 11 }, (_, i) => randomChunk(200 + i, 100_000));
  for (const chunk of short.slice(0, 5)) await store.put(chunk);
  await store.drop([1]);
  for (const chunk of short.slice(5)) await store.put(chunk);
  await store.put(randomChunk(300, 100_000));
  t.equal((await segments(directory)).length, 3);
  // All of segment 2 dies: it is removed, but chunk 1 must not come back.
  await store.drop(short.map(({ chunk }) => chunk));
  await store.compacted();
  t.same(await segments(directory), ['00000001.seg', '00000003.seg']);
  await store.close();
  await removeIndex(directory);
  const again = await openStore(t, directory, settings);
  await t.rejects(again.read(1, 0, 1), { code: 'ENOENT' });
  t.equal(again.chunkCount, 11);
});

t.test('a chunk that is stored again after it was dropped lives', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory, settings);
  const chunk = randomChunk(1, 100_000);
  for (let round = 0; round < 25; round += 1) {
    await store.put(chunk);
    await store.drop([1]);
  }
  await store.put(chunk);
  await store.compacted();
  t.ok((await segments(directory)).length <= 2);
  t.ok(await holds(store, chunk));
  await store.close();
  await removeIndex(directory);
  const again = await openStore(t, directory, settings);
  t.equal(again.chunkCount, 1);
  t.ok(await holds(again, chunk));
});

t.test(
  'storing, reading and dropping go on while segments are compacted, with and without index.db after',
  async t => {
    const directory = await temporaryDirectory(t);
    let store = await openStore(t, directory, settings);
    const alive = new Map<number, ReturnType<typeof randomChunk>>();
    let id = 0;
    for (let round = 0; round < 6; round += 1) {
      for (let batch = 0; batch < 15; batch += 1) {
        const fresh = Array.from({ length: 8 }, () => randomChunk((id += 1), 1 + ((id * 7919) % 60_000)));
        const doomed = [...alive.keys()].filter(chunk => (chunk * 31 + batch) % 7 < 2);
        for (const chunk of doomed) alive.delete(chunk);
        await Promise.all([
          ...fresh.map(async chunk => await store.put(chunk)),
          store.drop(doomed),
          ...[...alive.values()].slice(0, 20).map(async chunk => {
            if (!(await holds(store, chunk))) t.fail(`chunk ${chunk.chunk} while compacting`);
          }),
        ]);
        for (const chunk of fresh) alive.set(chunk.chunk, chunk);
      }
      if (round % 2 === 0) await store.compacted();
      await store.close();
      if (round % 3 === 2) await removeIndex(directory);
      store = await openStore(t, directory, settings);
      t.equal(store.chunkCount, alive.size, `round ${round}`);
      for (const chunk of alive.values()) {
        if (!(await holds(store, chunk))) t.fail(`chunk ${chunk.chunk} after round ${round}`);
      }
    }
    await store.drop([...alive.keys()]);
    await store.compacted();
    t.equal(store.chunkCount, 0);
    t.equal(store.segmentCount, 1, 'only the last segment is left');
  },
);
