/** Chunks newer than a backup: of two for the same bytes the one with the higher id counts. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { FoundChunks } from '../../../src/metadata/recovery/found-chunks.js';
import { settleHolders } from '../../../src/metadata/recovery/lost-files.js';
import { Salvage, type Salvaged } from '../../../src/metadata/recovery/salvage.js';
import { SqliteConnection } from '../../../src/metadata/store/sqlite/connection.js';
import { openDatabaseFile } from '../../../src/metadata/store/sqlite/database-file.js';
import { SqliteTransaction } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import type { HeldChunk } from '../../../src/protocol/backup-commands.js';
import { ROOT_INODE, S_IFREG } from '../../../src/protocol/file-mode.js';
import { SCATTERED_OFFSET } from '../../../src/protocol/limits.js';
import { temporaryDirectory } from './support/harness.js';

const FILE = 2;
const NODE = 1;
const FIRST_FREE = 1000;

function held(chunk: number, inode: number, fileOffset: number, length: number): HeldChunk {
  return { chunk, inode, fileOffset, length, checksum: 7 };
}

/** A backup with one file of 100 bytes in chunk 10, dead chunk 5, and chunks 8 and 9 granted. */
async function setUp(t: Test) {
  const path = join(await temporaryDirectory(t), 'dfs.db');
  await createDatabase(path, { clock: systemClock, random: systemRandom });
  const database = openDatabaseFile(path);
  t.teardown(() => database.close());
  const tx = new SqliteTransaction(new SqliteConnection(database), () => undefined);
  tx.begin();
  const root = tx.inodes.get(ROOT_INODE);
  if (!root) throw new Error('there is a root');
  tx.inodes.insert({
    ...root,
    inode: FILE,
    mode: S_IFREG | 0o644,
    nlink: 1,
    size: 100,
    allocated: 100,
    goal: 3,
    parent: 0,
  });
  tx.dentries.insert(ROOT_INODE, Buffer.from('file'), FILE);
  tx.chunks.insert({ chunk: 10, length: 100, checksum: 1, references: 1, goal: 3, nodes: [NODE, 2] });
  tx.extents.insert(FILE, { offset: 0, length: 100, chunk: 10, chunkOffset: 0 });
  for (const chunk of [8, 9]) tx.grants.insert({ chunk, expiresMs: 0, nodes: [NODE] });
  tx.commit();
  const found = new FoundChunks(database);
  const salvage = async (chunks: readonly HeldChunk[]): Promise<Salvaged> => {
    const sorted = [...chunks].sort((a, b) => a.chunk - b.chunk);
    const source = {
      async *chunks(after: number, hints: boolean) {
        const above = sorted.filter(({ chunk }) => chunk > after);
        yield { chunks: hints ? above : above.map(({ chunk }) => held(chunk, 0, 0, 0)), damaged: 0 };
      },
    };
    await found.ask(source, NODE);
    return await new Salvage({ tx, found, now: systemClock.now(), firstInode: FIRST_FREE }).run();
  };
  return { database, tx, found, salvage };
}

t.test('newest over old, and what is older only where nothing is', async t => {
  const { tx, salvage } = await setUp(t);
  const result = await salvage([
    held(5, FILE, 0, 100),
    held(8, FILE, 90, 20),
    held(9, FILE, 10, 20),
    held(10, FILE, 0, 100),
    held(11, FILE, 20, 30),
    held(12, FILE, 30, 10),
    held(13, FILE, 300, 50),
  ]);
  t.match(result.placed, { chunks: 4, files: 1 });
  t.same(result.covered, { chunks: 1, bytes: 20 }, 'chunk 9 is older than what is there');
  const extents = tx.extents.range(FILE, 0, 10_000, 100);
  t.same(
    extents.map(({ offset, length, chunk, chunkOffset }) => [offset, length, chunk, chunkOffset]),
    [
      [0, 20, 10, 0],
      [20, 10, 11, 0],
      [30, 10, 12, 0],
      [40, 10, 11, 20],
      [50, 50, 10, 50],
      [100, 10, 8, 10],
      [300, 50, 13, 0],
    ],
  );
  t.match(tx.inodes.get(FILE), { size: 350, allocated: 160 });
  for (const chunk of new Set(extents.map(extent => extent.chunk))) {
    const references = extents.filter(extent => extent.chunk === chunk).length;
    t.match(tx.chunks.get(chunk), { references, goal: 3 }, `the references of chunk ${chunk}`);
  }
  t.equal(tx.grants.get(8), undefined, 'what is placed is committed');
  t.ok(tx.grants.get(9), 'what is not will be collected');
  t.equal(tx.chunks.get(5), undefined, 'what was dead stays so');
});

t.test('what has no place goes to /lost+found', async t => {
  const { tx, salvage } = await setUp(t);
  const result = await salvage([
    held(20, 77, 50, 10),
    held(21, 77, 55, 10),
    held(22, ROOT_INODE, 0, 5),
    held(23, FILE, SCATTERED_OFFSET, 30),
  ]);
  t.same(result.lostAndFound, { chunks: 4, bytes: 55, files: 3 });
  const directory = tx.dentries.get(ROOT_INODE, Buffer.from('lost+found'));
  const names = tx.dentries.after(directory?.inode ?? 0, Buffer.alloc(0), 10);
  t.same(
    names.map(({ name, inode }) => [name.toString(), inode.size]),
    [
      ['inode-1', 5],
      ['inode-2.chunk-23', 30],
      ['inode-77', 65],
    ],
  );
  const stray = names.find(({ name }) => name.toString() === 'inode-77')?.inode.inode ?? 0;
  t.ok(stray >= FIRST_FREE, 'with a number that nobody had');
  t.same(
    tx.extents.range(stray, 0, 1000, 10).map(({ offset, length, chunk }) => [offset, length, chunk]),
    [
      [50, 5, 20],
      [55, 10, 21],
    ],
  );
  t.match(tx.inodes.get(FILE), { size: 100 }, 'scattered bytes are put into no known file');
});

t.test('who holds what is set on record, and what nobody holds is named', async t => {
  const { database, tx, found, salvage } = await setUp(t);
  await salvage([]);
  t.match(settleHolders(database, tx, found, new Set([NODE])), { chunks: 0 }, 'node 2 was not asked');
  t.same(tx.chunks.get(10)?.nodes, [2]);
  database.exec('DROP TABLE temp.lost');
  t.same(settleHolders(database, tx, found, new Set([NODE, 2])), { chunks: 1, files: 1, paths: ['/file'] });
});
