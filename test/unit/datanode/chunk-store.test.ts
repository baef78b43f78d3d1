import { copyFile, cp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { computeChecksums } from '../../../src/protocol/checksum.js';
import { until } from './registry.js';
import {
  FailingDisk,
  HeldTimers,
  holds,
  openStore,
  randomChunk,
  temporaryDirectory,
} from './store-fixture.js';

const MIB = 1 << 20;

async function segmentPath(directory: string, segment = 1): Promise<string> {
  return join(directory, 'segments', `${String(segment).padStart(8, '0')}.seg`);
}

function chunksInIndex(directory: string): number {
  const database = new Database(join(directory, 'index.db'), { readonly: true });
  try {
    return Number(database.prepare('SELECT count(*) FROM chunks').pluck().get());
  } finally {
    database.close();
  }
}

async function flipByte(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, position);
    byte.writeUInt8(byte.readUInt8(0) ^ 0xff, 0);
    await file.write(byte, 0, 1, position);
  } finally {
    await file.close();
  }
}

t.test(
  'what was stored is read back, whole and in parts, with the checksums of exactly these bytes',
  async t => {
    const store = await openStore(t, await temporaryDirectory(t));
    const chunk = randomChunk(2 ** 50, 100_000);
    await store.put(chunk);
    const ranges = [
      [0, 100_000],
      [0, 1],
      [99_999, 1],
      [16_384, 16_384],
      [16_383, 2],
      [5, 70_000],
      [32_768, 67_232],
      [50_000, 100],
    ] as const;
    for (const [offset, length] of ranges) {
      const part = await store.read(chunk.chunk, offset, length);
      t.ok(part.bytes.equals(chunk.bytes.subarray(offset, offset + length)), `${offset}+${length}`);
      t.ok(part.checksums.equals(computeChecksums([part.bytes], offset)), `checksums of ${offset}+${length}`);
    }
  },
);

t.test('a read of what is not there says which it is', async t => {
  const store = await openStore(t, await temporaryDirectory(t));
  await store.put(randomChunk(1, 10));
  await t.rejects(store.read(2, 0, 1), { code: 'ENOENT' });
  await t.rejects(store.read(1, 5, 6), { code: 'EINVAL' });
});

t.test('storing the same chunk twice is fine, other content is EEXIST', async t => {
  const store = await openStore(t, await temporaryDirectory(t));
  const chunk = randomChunk(1, 50_000);
  await Promise.all([store.put(chunk), store.put(chunk), store.put(chunk)]);
  await store.put(chunk);
  t.equal(store.chunkCount, 1);
  await t.rejects(store.put(randomChunk(1, 50_000)), { code: 'EEXIST' });
  await t.rejects(store.put(randomChunk(1, 40_000)), { code: 'EEXIST' });
  t.ok(await holds(store, chunk));
});

t.test('everything is there after a restart, and after index.db was lost or damaged', async t => {
  const directory = await temporaryDirectory(t);
  const chunks = Array.from({ length: 60 }, (_, i) => randomChunk(i + 1, 1 + i * 2000));
  const first = await openStore(t, directory, { segmentBytes: MIB });
  await Promise.all(chunks.map(async chunk => await first.put(chunk)));
  await first.drop([3, 4, 5]);
  await first.close();
  t.ok(first.segmentCount > 2, 'several segments');

  const check = async (name: string): Promise<void> => {
    const store = await openStore(t, directory, { segmentBytes: MIB });
    t.equal(store.chunkCount, 57, name);
    for (const chunk of chunks) {
      if ([3, 4, 5].includes(chunk.chunk)) await t.rejects(store.read(chunk.chunk, 0, 1), { code: 'ENOENT' });
      else if (!(await holds(store, chunk))) t.fail(`chunk ${chunk.chunk}: ${name}`);
    }
    await store.close();
  };
  await check('after a restart');
  await rm(join(directory, 'index.db'));
  await check('without index.db');
  await writeFile(join(directory, 'index.db'), 'this is no database at all, but long enough to be looked at');
  await check('with a damaged index.db');
  await truncate(join(directory, 'index.db'), 8192);
  await check('with a cut index.db');
  await check('after a restart again');
});

t.test('an index.db that does not fit the segments is built again', async t => {
  const directory = await temporaryDirectory(t);
  const index = join(directory, 'index.db');
  const first = await openStore(t, directory);
  const chunks = [randomChunk(1, 1000), randomChunk(2, 1000)];
  for (const chunk of chunks) await first.put(chunk);
  await first.close();
  await copyFile(index, `${index}.old`);
  // Another history of the same segment: shorter than the index says.
  await rm(await segmentPath(directory));
  await rm(index);
  const second = await openStore(t, directory);
  const other = randomChunk(3, 500);
  await second.put(other);
  await second.close();
  await copyFile(`${index}.old`, index);
  const third = await openStore(t, directory);
  t.equal(third.chunkCount, 1);
  t.ok(await holds(third, other));
});

t.test('a torn tail is cut off and the log goes on behind the last good record', async t => {
  const directory = await temporaryDirectory(t);
  const first = await openStore(t, directory);
  const chunks = [randomChunk(1, 30_000), randomChunk(2, 30_000), randomChunk(3, 30_000)];
  for (const chunk of chunks) await first.put(chunk);
  await first.close();
  const path = await segmentPath(directory);
  const { size } = await stat(path);
  for (const index of ['index.db', 'index.db-wal', 'index.db-shm'])
    await rm(join(directory, index), { force: true });
  for (const cut of [1, 29_999, 30_010, 30_059]) {
    await truncate(path, size - cut);
    const store = await openStore(t, directory);
    t.equal(store.chunkCount, 2, `cut by ${cut}`);
    t.notOk(
      await store.read(3, 0, 1).then(
        () => true,
        () => false,
      ),
    );
    const [, , third] = chunks;
    if (third) await store.put(third);
    await store.close();
    const again = await openStore(t, directory);
    for (const chunk of chunks) t.ok(await holds(again, chunk));
    await again.close();
    for (const index of ['index.db', 'index.db-wal', 'index.db-shm'])
      await rm(join(directory, index), { force: true });
    t.equal((await stat(path)).size, size);
  }
});

t.test('a damaged record in the middle costs only itself', async t => {
  const directory = await temporaryDirectory(t);
  const first = await openStore(t, directory);
  const chunks = [1, 2, 3, 4].map(id => randomChunk(id, 200_000));
  for (const chunk of chunks) await first.put(chunk);
  await first.close();
  await rm(join(directory, 'index.db'));
  const recordBytes = (await stat(await segmentPath(directory))).size / 4;
  await flipByte(await segmentPath(directory), recordBytes + 20);
  const store = await openStore(t, directory);
  t.equal(store.chunkCount, 3);
  for (const chunk of chunks) if (chunk.chunk !== 2) t.ok(await holds(store, chunk));
  const more = randomChunk(5, 1000);
  await store.put(more);
  await store.close();
  const again = await openStore(t, directory);
  t.ok(await holds(again, more));
  t.equal(again.chunkCount, 4);
});

t.test('records inside a payload are not taken for records of the log', async t => {
  const directory = await temporaryDirectory(t);
  const first = await openStore(t, directory);
  await first.put(randomChunk(1, 5000));
  await first.put(randomChunk(2, 5000));
  // Somebody stores a copy of our own segment file, with the chunks 1 and 2 in it, which are then dropped.
  const copy = await readFile(await segmentPath(directory));
  await first.drop([1, 2]);
  const start = (await stat(await segmentPath(directory))).size;
  const nested = {
    ...randomChunk(3, copy.length),
    table: computeChecksums([copy]),
    payload: [copy],
    bytes: copy,
  };
  await first.put(nested);
  await first.put(randomChunk(4, 100));
  await first.close();
  await rm(join(directory, 'index.db'));
  // The header around it is damaged, so the next record is searched for: nothing may come back out of the copy.
  await flipByte(await segmentPath(directory), start + 10);
  const store = await openStore(t, directory);
  t.equal(store.chunkCount, 1);
  for (const chunk of [1, 2, 3]) await t.rejects(store.read(chunk, 0, 1), { code: 'ENOENT' });
});

t.test('index.db never knows more than what a power loss leaves of the segments', async t => {
  const directory = await temporaryDirectory(t);
  const clock = new HeldTimers(1000);
  const store = await openStore(t, directory, { clock });
  const [synced, lost] = [randomChunk(1, 50_000), randomChunk(2, 50_000)];
  await store.put(synced);
  await store.sync();
  const syncedBytes = (await stat(await segmentPath(directory))).size;
  await store.put(lost);
  t.ok(clock.fire() > 0, 'index.db is written now');
  await until('index.db has the first chunk', () => chunksInIndex(directory) > 0);
  // The power goes: the file system has noted the file's length, but not what was not synced.
  const after = await temporaryDirectory(t);
  await cp(directory, after, { recursive: true });
  const { size } = await stat(await segmentPath(after));
  const file = await open(await segmentPath(after), 'r+');
  await file.write(Buffer.alloc(size - syncedBytes), 0, size - syncedBytes, syncedBytes);
  await file.close();
  const again = await openStore(t, after);
  t.equal(again.chunkCount, 1);
  t.ok(await holds(again, synced));
  await t.rejects(again.read(2, 0, 1), { code: 'ENOENT' });
  await again.put(lost);
  t.ok(await holds(again, lost));
});

t.test('damaged bytes are EIO, the other blocks of the chunk can still be read', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory);
  const chunk = randomChunk(1, 64 << 10);
  await store.put(chunk);
  const { size } = await stat(await segmentPath(directory));
  await flipByte(await segmentPath(directory), size - 10);
  await t.rejects(store.read(1, 0, 64 << 10), { code: 'EIO', message: /damaged/ });
  await t.rejects(store.read(1, (64 << 10) - 1, 1), { code: 'EIO' });
  const { bytes } = await store.read(1, 0, 48 << 10);
  t.ok(bytes.equals(chunk.bytes.subarray(0, 48 << 10)));
  await store.close();
  await flipByte(await segmentPath(directory), 20);
  const again = await openStore(t, directory);
  await t.rejects(again.read(1, 0, 1), { code: 'EIO', message: /header/ });
});

t.test('of chunks that are read together what is damaged or absent is left out', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory);
  const chunks = [4096, 100, 40_000, 200_000, 1, 2 * MIB, 5000].map((length, index) =>
    randomChunk(index + 1, length),
  );
  for (const chunk of chunks) await store.put(chunk);
  const { size } = await stat(await segmentPath(directory));
  await flipByte(await segmentPath(directory), size - 10);
  const wanted = [...chunks.toReversed(), { chunk: 99, length: 10 }];
  const parts = await store.readParts(wanted.map(({ chunk, length }) => ({ chunk, offset: 0, length })));
  t.equal(parts.length, 8);
  t.equal(parts[0], undefined, 'the last one is damaged');
  t.equal(parts.at(-1), undefined, 'there is no such');
  for (const [index, chunk] of chunks.slice(0, -1).entries()) {
    const part = parts[6 - index];
    t.ok(part?.bytes.equals(chunk.bytes), `chunk ${chunk.chunk}`);
    t.ok(part?.checksums.equals(computeChecksums([chunk.bytes])), `its checksums`);
  }
  const [inside, beyond] = await store.readParts([
    { chunk: 4, offset: 50_000, length: 60_000 },
    { chunk: 1, offset: 4000, length: 97 },
  ]);
  t.ok(inside?.bytes.equals(chunks[3]?.bytes.subarray(50_000, 110_000) ?? Buffer.alloc(0)));
  t.equal(beyond, undefined);
});

t.test('a full disk is an answer: nothing half-written stays, reads go on, and it recovers', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  const store = await openStore(t, directory, { disk });
  const before = randomChunk(1, 100_000);
  await store.put(before);
  const { size } = await stat(await segmentPath(directory));
  disk.roomBytes = 50_000;
  await t.rejects(store.put(randomChunk(2, 100_000)), { code: 'ENOSPC' });
  t.equal((await stat(await segmentPath(directory))).size, size, 'the partial record is cut off');
  t.ok(await holds(store, before));
  disk.roomBytes = 10_000_000;
  const after = randomChunk(2, 100_000);
  await store.put(after);
  t.ok(await holds(store, after));
  await store.close();
  const again = await openStore(t, directory);
  t.equal(again.chunkCount, 2);
  t.ok(await holds(again, after));
});

t.test('below the reserve writes are refused up front, and the reserve is not offered', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  disk.availableBytes = 64 * MIB + 150_000;
  const store = await openStore(t, directory, { disk });
  t.ok((await store.space()).freeBytes <= 150_000 + 63 * MIB);
  disk.availableBytes = 1000;
  await store.space();
  const { writes } = disk;
  await t.rejects(store.put(randomChunk(2, 100_000)), { code: 'ENOSPC' });
  t.equal(disk.writes, writes, 'the disk was not even tried');
  t.equal((await store.space()).freeBytes, 0);
  disk.availableBytes = undefined;
  await store.space();
  await store.put(randomChunk(2, 100_000));
});

t.test('after a failed fsync nothing is promised any more, but reads go on', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  const store = await openStore(t, directory, { disk });
  const chunk = randomChunk(1, 1000);
  await store.put(chunk);
  disk.datasyncFails = true;
  await t.rejects(store.sync(), { code: 'EIO', message: /started again/ });
  disk.datasyncFails = false;
  await t.rejects(store.sync(), { code: 'EIO' }, 'a second fsync would lie');
  await t.rejects(store.put(randomChunk(2, 1000)), { code: 'EIO' });
  t.ok(store.isReadOnly);
  t.equal((await store.space()).freeBytes, 0);
  t.ok(await holds(store, chunk));
  await store.close();
  const again = await openStore(t, directory);
  t.ok(await holds(again, chunk));
});

t.test('a disk that fails to write makes the node read-only, not wrong', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  const store = await openStore(t, directory, { disk });
  const chunk = randomChunk(1, 1000);
  await store.put(chunk);
  disk.writesFail = true;
  await t.rejects(store.put(randomChunk(2, 1000)), { code: 'EIO' });
  disk.writesFail = false;
  await t.rejects(store.put(randomChunk(3, 1000)), { code: 'EIO' });
  await t.rejects(store.drop([1]), { code: 'EIO' });
  t.ok(await holds(store, chunk));
  await store.close();
  const again = await openStore(t, directory);
  t.equal(again.chunkCount, 1);
  t.ok(await holds(again, chunk));
});

t.test('syncs that come together share one fsync, and unsynced data is synced soon by itself', async t => {
  const directory = await temporaryDirectory(t);
  const disk = new FailingDisk();
  const store = await openStore(t, directory, { disk });
  await store.put(randomChunk(1, 1000));
  const before = disk.datasyncs;
  await Promise.all(Array.from({ length: 20 }, async () => await store.sync()));
  t.ok(disk.datasyncs - before <= 2, `${disk.datasyncs - before} fsyncs`);
  const quiet = disk.datasyncs;
  await store.sync();
  t.equal(disk.datasyncs, quiet, 'nothing to sync, nothing done');
  await store.put(randomChunk(2, 1000));
  const deadline = Date.now() + 5000;
  while (disk.datasyncs === quiet && Date.now() < deadline) {
    await new Promise(resolve => {
      setTimeout(resolve, 10);
    });
  }
  t.ok(disk.datasyncs > quiet);
});

t.test('space counts what the node holds and what it could take', async t => {
  const directory = await temporaryDirectory(t);
  const store = await openStore(t, directory);
  await store.put(randomChunk(1, 3 * MIB));
  await store.sync();
  const { totalBytes, freeBytes } = await store.space();
  t.ok(freeBytes > 0 && totalBytes >= freeBytes + 3 * MIB);
  t.same(await readdir(join(directory, 'segments')), ['00000001.seg']);
});
