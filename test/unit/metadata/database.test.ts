import { existsSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import Database from 'better-sqlite3';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { mkdir } from '../../../src/metadata/operations/mkdir.js';
import { sync } from '../../../src/metadata/operations/sync.js';
import { SqliteStore } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { LOG, refusal, startHarness, temporaryDirectory } from './support/harness.js';

const PLATFORM = { clock: systemClock, random: systemRandom };

async function openError(path: string): Promise<DfsError> {
  try {
    const store = await SqliteStore.open(path, LOG);
    await store.close();
  } catch (error) {
    if (error instanceof DfsError) return error;
    throw error;
  }
  throw new Error(`${path} was opened`);
}

t.test('createdb makes the directory and a file that only its owner reads, and nothing else', async t => {
  const directory = join(await temporaryDirectory(t), 'a', 'b');
  const path = join(directory, 'metadata.db');
  await createDatabase(path, PLATFORM);
  t.same(await readdir(directory), ['metadata.db']);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  const store = await SqliteStore.open(path, LOG);
  t.match(store.cluster.cluster, /^[0-9a-f]{32}$/);
  t.equal(store.cluster.grantKey.length, 32);
  await store.close();
  await store.close();
  t.same(
    await readdir(directory),
    ['metadata.db', 'metadata.db-reserve'],
    'the log is gone after an orderly end, the reserve of room is kept',
  );
});

t.test('createdb never overwrites', async t => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'metadata.db');
  await writeFile(path, 'precious');
  t.equal(await refusal(createDatabase(path, PLATFORM)), 'EEXIST');
  t.same(await readdir(directory), ['metadata.db']);
  const other = join(directory, 'other.db');
  const results = await Promise.all([
    refusal(createDatabase(other, PLATFORM)),
    refusal(createDatabase(other, PLATFORM)),
  ]);
  t.same(results.toSorted(), ['EEXIST', 'OK']);
  t.equal(await refusal(createDatabase(join(path, 'below-a-file', 'x.db'), PLATFORM)), 'ENOTDIR');
});

t.test('createdb does not put a new database beside the log of an old one', async t => {
  const path = join(await temporaryDirectory(t), 'metadata.db');
  await writeFile(`${path}-wal`, 'left over');
  t.equal(await refusal(createDatabase(path, PLATFORM)), 'EINVAL');
  t.notOk(existsSync(path));
});

t.test('a file that is no metadata database is refused and left as it is', async t => {
  const directory = await temporaryDirectory(t);
  const missing = await openError(join(directory, 'missing.db'));
  t.equal(missing.code, 'ENOENT');
  t.match(missing.message, /createdb/);

  const text = join(directory, 'text.db');
  await writeFile(text, 'This is a text of more than sixteen bytes.\n'.repeat(100));
  t.match(await openError(text), { code: 'EINVAL', message: /is not a DFS metadata database/ });

  const empty = join(directory, 'empty.db');
  await writeFile(empty, '');
  t.match(await openError(empty), { code: 'EINVAL', message: /is not a DFS metadata database/ });
  t.equal((await stat(empty)).size, 0);

  const strange = join(directory, 'strange.db');
  const database = new Database(strange);
  database.exec('CREATE TABLE t (x); PRAGMA application_id = 7');
  database.close();
  t.equal((await openError(strange)).code, 'EINVAL');
});

t.test('the database of a newer version is refused', async t => {
  const path = join(await temporaryDirectory(t), 'metadata.db');
  await createDatabase(path, PLATFORM);
  const database = new Database(path);
  database.pragma('user_version = 999');
  database.close();
  t.match(await openError(path), { code: 'EINVAL', message: /newer DFS \(schema 999/ });
});

t.test('what was committed is there after the process is gone without closing', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await client.mkdir('d');
  // A copy of the files as they are now is what kill -9 leaves.
  const copy = join(await temporaryDirectory(t), 'metadata.db');
  const { copyFile } = await import('node:fs/promises');
  await copyFile(harness.path, copy);
  await copyFile(`${harness.path}-wal`, `${copy}-wal`);
  const store = await SqliteStore.open(copy, LOG);
  const tx = store.begin();
  t.ok(tx.dentries.get(1, Buffer.from('d')));
  t.equal(tx.inodes.count(), 2);
  tx.rollback();
  await store.close();
});

t.test('the log is copied into the database in the background, and used again', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  let made = 0;
  const logFrames = (): number => {
    const database = new Database(harness.path);
    try {
      const [row] = database.pragma('wal_checkpoint(NOOP)') as { log: number; checkpointed: number }[];
      return (row?.log ?? 0) - (row?.checkpointed ?? 0);
    } finally {
      database.close();
    }
  };
  const make = async (): Promise<void> => {
    made += 1;
    const owner = { parent: 1, uid: 0, gid: 0, mode: 0o755 };
    await client.execute(mkdir, { ...owner, name: Buffer.from(`directory-${made}`) });
  };
  while (logFrames() < 8192) for (let index = 0; index < 100; index += 1) await make();
  await client.ask(sync, {});
  await harness.until('the log is copied', () => logFrames() < 512, 0);
  const before = (await stat(`${harness.path}-wal`)).size;
  for (let index = 0; index < 500; index += 1) await make();
  t.ok((await stat(`${harness.path}-wal`)).size <= before, 'the log is written from its beginning');
  t.equal(harness.count('inodes'), made + 1);
});
