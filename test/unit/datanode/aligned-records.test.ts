/** Large payloads begin at blocks of their segment. Segments in which they do not, written before that was so, go on being used. */
import { open, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { ChunkStore } from '../../../src/datanode/chunk-store.js';
import { RECORD_BLOCK_BYTES } from '../../../src/datanode/record.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { holds, openStore, randomChunk, temporaryDirectory } from './store-fixture.js';

/** As earlier versions of DFS wrote: every record right behind the one before it. */
const UNALIGNED = { minAlignedBytes: Infinity };
/** Two are as long as the usual limit; the others are shorter, and lie anywhere. */
const LENGTHS = [100, 512 << 10, 4097, 1_000_003, 1, 4096, 600_000, 40_000];

type Chunk = ReturnType<typeof randomChunk>;

async function fill(store: ChunkStore, from: number): Promise<Chunk[]> {
  const chunks = LENGTHS.map((length, index) => randomChunk(from + index, length));
  for (const chunk of chunks) await store.put(chunk);
  await store.drop([from]);
  return chunks.slice(1);
}

async function allHold(t: Test, store: ChunkStore, chunks: readonly Chunk[], what: string): Promise<void> {
  for (const chunk of chunks) t.ok(await holds(store, chunk), `${what}: chunk ${chunk.chunk}`);
}

/** What a reader of the file itself would find there (short circuit). */
async function isWhereItSays(store: ChunkStore, directory: string, chunk: Chunk): Promise<boolean> {
  const { file, offset, length } = await store.locate(chunk.chunk);
  const target = Buffer.alloc(length);
  const opened = await open(join(directory, file));
  await opened.read(target, 0, length, offset);
  await opened.close();
  return target.equals(chunk.bytes);
}

t.test('large payloads begin at blocks, and are found again by the index and without it', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory);
  const chunks = await fill(store, 1);
  for (const chunk of chunks) {
    const { offset } = await store.locate(chunk.chunk);
    if (chunk.length >= 512 << 10) t.equal(offset % RECORD_BLOCK_BYTES, 0, `chunk of ${chunk.length} bytes`);
    t.ok(await isWhereItSays(store, directory, chunk));
  }
  await store.close();
  const again = await openStore(t, directory);
  await allHold(t, again, chunks, 'with the index');
  const more = await fill(again, 100);
  await again.close();
  await rm(join(directory, 'index.db'));
  const rebuilt = await openStore(t, directory);
  await allHold(t, rebuilt, [...chunks, ...more], 'from the segments alone');
  t.notOk(rebuilt.has(1), 'what was dropped stays dropped');
  t.equal(rebuilt.chunkCount, chunks.length + more.length);
});

t.test('a disk on which payloads begin anywhere is read, written to and compacted', async t => {
  const directory = await temporaryDirectory(t);
  const segmentBytes = 3 << 20;
  const before = await openStore(t, directory, { ...UNALIGNED, segmentBytes });
  const old = [...(await fill(before, 1)), ...(await fill(before, 20))];
  t.not((await before.locate(2)).offset % RECORD_BLOCK_BYTES, 0, 'as it was');
  await before.close();
  const store = await openStore(t, directory, { segmentBytes });
  await allHold(t, store, old, 'of before');
  const fresh = [...(await fill(store, 40)), ...(await fill(store, 60))];
  await allHold(t, store, [...old, ...fresh], 'together');
  // The first segments become mostly dead; what lives there is copied out, aligned.
  const [kept, ...dead] = old.filter(({ length }) => length >= 512 << 10);
  await store.drop(dead.map(({ chunk }) => chunk));
  await store.compacted();
  const living = [...old, ...fresh].filter(chunk => !dead.includes(chunk));
  await allHold(t, store, living, 'compacted');
  if (kept) t.equal((await store.locate(kept.chunk)).offset % RECORD_BLOCK_BYTES, 0);
  await store.close();
  await rm(join(directory, 'index.db'));
  await allHold(t, await openStore(t, directory, { segmentBytes }), living, 'from the segments alone');
});

t.test('a record that a power loss tore is cut off with the zeros before it', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory);
  const first = randomChunk(1, 1000);
  await store.put(first);
  const path = join(directory, 'segments', '00000001.seg');
  await store.sync();
  const end = (await readFile(path)).length;
  const second = randomChunk(2, 600_000);
  await store.put(second);
  const { offset } = await store.locate(2);
  await store.close();
  for (const bytes of [
    end + 1,
    end + 500,
    offset - 700,
    offset - 1,
    offset,
    offset + 300_000,
    offset + 599_999,
  ]) {
    await rm(join(directory, 'index.db'));
    await truncate(path, bytes);
    const torn = await openStore(t, directory);
    t.ok(await holds(torn, first), `cut at ${bytes}`);
    t.notOk(torn.has(2));
    await torn.put(second);
    t.ok(await holds(torn, second));
    t.equal((await torn.locate(2)).offset, offset, 'it stands where it stood');
    await torn.close();
    t.equal((await readFile(path)).length, offset + 600_000);
  }
});

t.test('zeros that are not those before a record are damage, and what follows is found', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory);
  const chunks = await fill(store, 1);
  await store.close();
  const path = join(directory, 'segments', '00000001.seg');
  const file = await nodeDisk.open(path, 'existing');
  await file.writev([Buffer.alloc(10_000)], 512 << 10);
  await file.close();
  await rm(join(directory, 'index.db'));
  const found = await openStore(t, directory);
  const last = chunks.slice(-3);
  await allHold(t, found, last, 'behind the damage');
});
