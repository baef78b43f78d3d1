/** What may happen to the files of a data directory, and what is still true afterwards. */
import { mkdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { IndexDatabase } from '../../../src/datanode/index-database.js';
import { KeptIntents } from '../../../src/datanode/kept-intents.js';
import { IndexWriter } from '../../../src/datanode/index-writer.js';
import { isNodeDirectory, loadIdentity, saveIdentity } from '../../../src/datanode/node-identity.js';
import { SegmentIndex } from '../../../src/datanode/segment-index.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { systemRandom } from '../../../src/platform/random.js';
import { ascending } from '../../support/ascending.js';
import {
  HeldTimers,
  holds,
  NODE_ID,
  openStore,
  randomChunk,
  silent,
  temporaryDirectory,
} from './store-fixture.js';

const MIB = 1 << 20;
const PAGE_BYTES = 4096;

t.test('whatever bit flips in index.db, everything is found where it is', async t => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'index.db');
  const chunks = Array.from({ length: 40 }, (_, index) => randomChunk(1000 + index, 200 + index));
  const first = await openStore(t, directory);
  for (const chunk of chunks) await first.put(chunk);
  await first.drop([1003]);
  await first.close();
  const sound = await readFile(path);
  const left = chunks.filter(({ chunk }) => chunk !== 1003);
  for (let at = 0; at < sound.length; at += 61) {
    const damaged = Buffer.from(sound);
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (at % 8)), at);
    await writeFile(path, damaged);
    const store = await openStore(t, directory);
    t.same(
      [...store.chunkIds()],
      left.map(({ chunk }) => chunk),
      `byte ${at}`,
    );
    for (const chunk of left) if (!(await holds(store, chunk))) t.fail(`byte ${at}: chunk ${chunk.chunk}`);
    await store.close();
  }
});

t.test(
  'an index.db that is damaged while it is used is given up; the next start reads every segment',
  async t => {
    const directory = await temporaryDirectory(t);
    const path = join(directory, 'index.db');
    const index = new SegmentIndex();
    const count = 20_000;
    for (let chunk = 1; chunk <= count; chunk += 1)
      index.applyChunk(chunk, { segment: 1, offset: chunk * 100, length: 10 });
    const end = { segment: 1, offset: (count + 10) * 100 };
    const open = (): IndexDatabase => new IndexDatabase(nodeDisk.openDatabase(path, 'create'), NODE_ID);
    const database = open();
    database.persist(index.takeJournal(end, Infinity), end);
    database.close();

    // SQLite is to read what is on the disk, not what it remembers.
    const file = nodeDisk.openDatabase(path, 'existing');
    file.pragma('cache_size = 10');
    const writer = new IndexWriter(new IndexDatabase(file, NODE_ID), {
      disk: nodeDisk,
      directory,
      node: NODE_ID,
      index,
      intents: new KeptIntents(systemClock),
      segments: { syncedEnd: end, failure: undefined },
      clock: new HeldTimers(1),
      log: silent,
    });
    const bytes = await readFile(path);
    bytes.fill(0xff, 2 * PAGE_BYTES);
    await writeFile(path, bytes);
    for (let chunk = 1; chunk <= count; chunk += 1000)
      index.applyTombstone(chunk, { segment: 1, offset: end.offset - 100 });
    await writer.write();
    t.equal(index.journalLength, 0, 'nothing waits for ever');
    writer.close();
    const rebuilt = open();
    t.same(rebuilt.watermark, { segment: 0, offset: 0 }, 'it knows nothing');
    rebuilt.close();
  },
);

t.test(
  'a segment that somebody deletes is noticed: its chunks are told of, and nothing more is promised',
  async t => {
    const directory = await temporaryDirectory(t);
    const store = await openStore(t, directory, { segmentBytes: MIB });
    const chunks = Array.from({ length: 8 }, (_, index) => randomChunk(index + 1, MIB / 2));
    for (const chunk of chunks) await store.put(chunk);
    await store.sync();
    await store.checkSegments();
    t.equal(store.troubles.damagedCount, 0, 'all is well');
    await unlink(join(directory, 'segments', '00000001.seg'));
    await store.checkSegments();
    const { damaged } = store.troubles.take(chunk => store.has(chunk));
    t.same(damaged.toSorted(ascending), [1, 2], 'the chunks that were in it');
    t.notOk(store.isReadOnly, 'an old segment does not matter to new chunks');
    await store.put(randomChunk(100, 10));
    const last = [...(await nodeDisk.list(join(directory, 'segments')))].sort().at(-1) ?? '';
    await unlink(join(directory, 'segments', last));
    await store.checkSegments();
    t.ok(store.isReadOnly);
    await t.rejects(store.sync(), { code: 'EIO', message: /was deleted/ });
    await t.rejects(store.put(randomChunk(101, 10)), { code: 'EIO' });
  },
);

t.test('who a node is stands twice in its directory, and is only believed unharmed', async t => {
  const directory = await temporaryDirectory(t);
  const [path, copy] = [join(directory, 'node.json'), join(directory, 'node-copy.json')];
  t.notOk(await isNodeDirectory(nodeDisk, directory));
  const made = await loadIdentity(nodeDisk, directory, systemRandom);
  const identity = { ...made, node: 7, cluster: 'some cluster' };
  await saveIdentity(nodeDisk, directory, identity);
  t.ok(await isNodeDirectory(nodeDisk, directory));
  const sound = await readFile(path);
  for (const victim of [path, copy]) {
    for (let at = 0; at < sound.length; at += 1) {
      const damaged = Buffer.from(sound);
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (at % 8)), at);
      await writeFile(victim, damaged);
      t.same(await loadIdentity(nodeDisk, directory, systemRandom), identity, `byte ${at} of ${victim}`);
      t.same((await readFile(victim)).length, sound.length);
    }
  }
  await rm(copy);
  t.same(await loadIdentity(nodeDisk, directory, systemRandom), identity, 'as earlier versions left it');
  t.same(await readFile(copy), await readFile(path));
  const { version, id, node, cluster } = identity;
  await writeFile(path, JSON.stringify({ version, id, node, cluster }));
  await rm(copy);
  t.same(await loadIdentity(nodeDisk, directory, systemRandom), identity, 'and without a checksum');
  for (const victim of [path, copy]) await writeFile(victim, '{');
  await t.rejects(loadIdentity(nodeDisk, directory, systemRandom), {
    code: 'EINVAL',
    message: /node\.json and its copy are damaged/,
  });
  await rm(path);
  await rm(copy);
  await mkdir(join(directory, 'segments'));
  await t.rejects(loadIdentity(nodeDisk, directory, systemRandom), { message: /does not know who it is/ });
  t.notOk(await isNodeDirectory(nodeDisk, join(directory, 'gone')));
});

t.test('no row of index.db is believed that does not match its checksum', async t => {
  const path = join(await temporaryDirectory(t), 'index.db');
  const open = (): IndexDatabase => new IndexDatabase(nodeDisk.openDatabase(path, 'create'), NODE_ID);
  const index = new SegmentIndex();
  index.applyChunk(5, { segment: 1, offset: 0, length: 10 });
  index.seal(1, 500);
  const end = { segment: 1, offset: 500 };
  const database = open();
  database.persist(index.takeJournal(end, Infinity), end);
  database.close();
  const change = (sql: string): void => {
    const file = new Database(path);
    file.exec(sql);
    file.close();
  };
  const read = (): void => {
    const opened = open();
    try {
      opened.sealedSegments();
      opened.forEachChunk(() => undefined);
    } finally {
      opened.close();
    }
  };
  read();
  for (const [what, back] of [
    ['chunks SET length = length + 1', 'chunks SET length = length - 1'],
    ['segments SET bytes = bytes + 1', 'segments SET bytes = bytes - 1'],
    ['state SET watermark_offset = 7', 'state SET watermark_offset = 500'],
  ] as const) {
    change(`UPDATE ${what}`);
    t.throws(read, { message: /does not match its checksum/ }, what);
    change(`UPDATE ${back}`);
    read();
  }
});
