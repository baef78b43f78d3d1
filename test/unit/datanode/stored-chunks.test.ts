import t from 'tap';
import { listChunks } from '../../../src/datanode/chunk-list.js';
import { FailingDisk, openStore, randomChunk, temporaryDirectory } from './store-fixture.js';

interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

function gate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>(resolve => (open = resolve));
  return { opened, open };
}

for (const what of ['head', 'locate', 'readWhole', 'read', 'put'] as const) {
  t.test(`${what} succeeds while the compactor moves the chunk and removes its segment`, async t => {
    const directory = await temporaryDirectory(t);
    const disk = new FailingDisk();
    const settings = { disk, segmentBytes: 1 << 20, tableBytes: 1 };
    const store = await openStore(t, directory, settings);
    const chunks = Array.from({ length: 20 }, (_, i) => randomChunk(i + 1, 100_000));
    for (const chunk of chunks) await store.put(chunk);
    const [first] = chunks;
    if (!first) return;
    const held = gate();
    const isReading = gate();
    disk.afterRead = async path => {
      if (!path.endsWith('00000001.seg')) return;
      disk.afterRead = async () => undefined;
      isReading.open();
      await held.opened;
    };
    const act = {
      head: async () => (await store.head(1)).table,
      locate: async () => (await store.locate(1)).checksums,
      readWhole: async () => (await store.readWhole(1)).table,
      read: async () => (await store.read(1, 0, first.length)).checksums,
      put: async () => {
        await store.put(first);
        return first.table;
      },
    }[what];
    const done = act();
    await isReading.opened;
    await store.drop(chunks.slice(1, 10).map(({ chunk }) => chunk));
    await store.compacted();
    held.open();
    t.same(Buffer.from(await done), Buffer.from(first.table));
    t.equal(store.troubles.damagedCount, 0);
  });
}

t.test('the list for a recovery leaves out no chunk that the compactor moves meanwhile', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  const store = await openStore(t, directory, { disk, segmentBytes: 1 << 20, tableBytes: 1 });
  const chunks = Array.from({ length: 20 }, (_, i) => randomChunk(i + 1, 100_000));
  for (const chunk of chunks) await store.put(chunk);
  disk.afterRead = async () => {
    disk.afterRead = async () => undefined;
    await store.drop(chunks.slice(1, 10).map(({ chunk }) => chunk));
    await store.compacted();
  };
  const { chunks: listed, damaged } = await listChunks(store, { after: 0, limit: 100, hints: true });
  t.same(
    listed.map(({ chunk, inode }) => [chunk, inode]),
    [1, ...chunks.slice(10).map(({ chunk }) => chunk)].map(chunk => [chunk, chunk + 1]),
  );
  t.equal(damaged, 0);
});

t.test('parts that are read together take no more memory than the budget allows', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  const maxReadingBytes = 400_000;
  const store = await openStore(t, directory, { disk, maxReadingBytes, tableBytes: 1 });
  const chunks = Array.from({ length: 40 }, (_, i) => randomChunk(i + 1, 60_000));
  for (const chunk of chunks) await store.put(chunk);
  let readingBytes = 0;
  let mostBytes = 0;
  const held = gate();
  disk.afterRead = async (_path, bytes) => {
    readingBytes += bytes;
    mostBytes = Math.max(mostBytes, readingBytes);
    await held.opened;
    readingBytes -= bytes;
  };
  const reads = Array.from({ length: 10 }, async (_, i) => {
    const wanted = chunks.slice(4 * i, 4 * i + 4);
    const parts = await store.readParts(wanted.map(({ chunk, length }) => ({ chunk, offset: 0, length })));
    return parts.every((part, index) => part?.bytes.equals(wanted[index]?.bytes ?? Buffer.alloc(0)));
  });
  held.open();
  t.same(
    await Promise.all(reads),
    reads.map(() => true),
  );
  t.ok(mostBytes > 0 && mostBytes <= maxReadingBytes, `${mostBytes} bytes were being read at once`);
});

t.test('a small part keeps nothing in memory of the wide span with which it was read', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory, {});
  // Small chunks, with others between them that nobody wants.
  for (let id = 1; id <= 60; id += 1) await store.put(randomChunk(id, id % 2 === 0 ? 15_000 : 300));
  const wanted = Array.from({ length: 30 }, (_, i) => ({ chunk: 2 * i + 1, offset: 0, length: 300 }));
  const parts = await store.readParts(wanted);
  const memory = new Set(parts.map(part => part?.bytes.buffer));
  let bytes = 0;
  for (const buffer of memory) bytes += buffer?.byteLength ?? Number.NaN;
  // The pages from which Node allocates small buffers, at whose end the first one may begin.
  t.ok(bytes <= 2 * Buffer.poolSize, `${bytes} bytes are kept for ${30 * 300}`);
});
