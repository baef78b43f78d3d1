/** A backup that is made while the database is written is the database as it was at one moment. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { restoreNewestBackup, type BackupHolder } from '../../../src/metadata/recovery/restore-backup.js';
import { SqliteStore } from '../../../src/metadata/store/sqlite/sqlite-store.js';
import { PageSet } from '../../../src/metadata/store/sqlite/page-set.js';
import type { BackupPlan, WrittenBackup } from '../../../src/metadata/store/store.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import type { BackupFile } from '../../../src/protocol/backup-commands.js';
import { LOG, temporaryDirectory } from './support/harness.js';

const PART_PAGES = 40;

/** One generation, kept in a directory. */
class Copies implements BackupHolder {
  readonly files: BackupFile[] = [];
  readonly generation: number;
  readonly #directory: string;

  constructor(directory: string, generation: number) {
    this.#directory = directory;
    this.generation = generation;
  }

  pathOf({ generation, file }: Pick<BackupFile, 'generation' | 'file'>): string {
    return join(this.#directory, `${generation}-${file}`);
  }

  async add(write: (plan: BackupPlan) => Promise<WrittenBackup>): Promise<void> {
    const { generation } = this;
    const file = this.files.length;
    const path = this.pathOf({ generation, file });
    const previous = this.files.at(-1)?.sha256 ?? '';
    const written = await write({ path, cluster: 'c', generation, file, previous, madeMs: file });
    this.files.push({ generation, file, ...written });
  }

  async read(file: BackupFile, offset: number, length: number): Promise<Buffer> {
    return (await readFile(this.pathOf(file))).subarray(offset, offset + length);
  }
}

/** Writes in transactions in each of which several rows change together, until told to stop. */
class Writer {
  readonly #store: SqliteStore;
  count = 0;
  #isStopped = false;
  #running: Promise<void> | undefined;

  constructor(store: SqliteStore) {
    this.#store = store;
  }

  async write(): Promise<void> {
    await this.#store.ready();
    const tx = this.#store.begin();
    this.count += 1;
    tx.counters.set('inode', this.count);
    // A large row, so that pages of many kinds come and go.
    tx.xattrs.put(
      this.count % 200,
      Buffer.from(`${this.count % 7}`),
      systemRandom.bytes(1 + (this.count % 4000)),
    );
    if (this.count % 11 === 0) tx.xattrs.deleteAll(this.count % 97);
    tx.counters.set('chunk', this.count);
    tx.commit();
    if (this.count % 50 === 0) await this.#store.flush();
  }

  start(): void {
    const loop = async (): Promise<void> => {
      while (!this.#isStopped) {
        await this.write();
        await new Promise<void>(resolve => {
          setTimeout(resolve, 2);
        });
      }
    };
    this.#running = loop();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

async function openStore(t: Test): Promise<{ store: SqliteStore; directory: string }> {
  const directory = await temporaryDirectory(t);
  const path = join(directory, 'dfs.db');
  await createDatabase(path, { clock: systemClock, random: systemRandom });
  const store = await SqliteStore.open(path, LOG);
  t.teardown(async () => await store.close());
  return { store, directory };
}

async function beginCopy(store: SqliteStore, directory: string, generation: number): Promise<Copies> {
  const copies = new Copies(directory, generation);
  const pages = await store.backup.beginCopy();
  for (let from = 1; from <= pages; from += PART_PAGES)
    await copies.add(async plan => await store.backup.copyPages(plan, from, PART_PAGES));
  await copies.add(async plan => await store.backup.copyChanges(plan));
  return copies;
}

/** The state of a restored database, which must be one that there was between two transactions. */
function stateOf(path: string): { inode: number; chunk: number; content: string } {
  const database = new Database(path);
  try {
    const counter = database.prepare<[string], number>('SELECT value FROM counters WHERE name = ?').pluck();
    const hash = createHash('sha256');
    for (const row of database.prepare('SELECT * FROM xattrs ORDER BY inode, name').raw().iterate())
      for (const cell of row as (number | Buffer)[]) hash.update(String(cell));
    const content = hash.digest('hex');
    return { inode: counter.get('inode') ?? 0, chunk: counter.get('chunk') ?? 0, content };
  } finally {
    database.close();
  }
}

t.test('every increment makes the copy the database of one moment, while it is written', async t => {
  const { store, directory } = await openStore(t);
  const writer = new Writer(store);
  for (let round = 0; round < 700; round += 1) await writer.write();
  writer.start();
  const restored = join(directory, 'restored.db');
  let last = 0;
  for (const generation of [1, 2]) {
    const copies = await beginCopy(store, directory, generation);
    t.ok(copies.files.length > 2, 'the copy has several parts');
    for (let increment = 0; increment < 4; increment += 1) {
      const before = writer.count;
      const { files, troubles } = await restoreNewestBackup([copies], restored);
      t.same([files, troubles.length], [copies.files.length, 0]);
      const { inode, chunk } = stateOf(restored);
      t.equal(inode, chunk, `one moment: transaction ${inode}`);
      t.ok(inode > last && inode <= before, 'later than the one before');
      last = inode;
      await copies.add(async plan => await store.backup.copyChanges(plan));
    }
  }
  await writer.stop();
  const copies = await beginCopy(store, directory, 3);
  for (let round = 0; round < 20; round += 1) await writer.write();
  await copies.add(async plan => await store.backup.copyChanges(plan));
  const sizes = copies.files.map(({ bytes }) => bytes);
  t.ok(
    (sizes.at(-1) ?? 0) < sizes.slice(0, -1).reduce((sum, bytes) => sum + bytes, 0) / 2,
    'cost follows changes',
  );
  await restoreNewestBackup([copies], restored);
  const copied = stateOf(restored);
  await store.close();
  t.same(copied, stateOf(join(directory, 'dfs.db')), 'the last one is the database');
});

t.test('damage is found, and what was sound before it is taken', async t => {
  const { store, directory } = await openStore(t);
  const writer = new Writer(store);
  for (let round = 0; round < 50; round += 1) await writer.write();
  const old = await beginCopy(store, directory, 1);
  await writer.write();
  await old.add(async plan => await store.backup.copyChanges(plan));
  await writer.write();
  const newer = await beginCopy(store, directory, 2);
  const restored = join(directory, 'restored.db');
  const damage = async (copies: Copies, index: number): Promise<void> => {
    const path = copies.pathOf({ generation: copies.generation, file: index });
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    await writeFile(path, bytes);
  };
  const holders: BackupHolder = {
    files: [...old.files, ...newer.files],
    read: async (file, offset, length) => await old.read(file, offset, length),
  };
  t.equal((await restoreNewestBackup([holders], restored)).generation, 2);
  await damage(newer, newer.files.length - 1);
  const { generation, troubles } = await restoreNewestBackup([holders], restored);
  t.equal(generation, 1, 'a copy that is not complete is none');
  t.equal(troubles.length, 2);
  t.equal(stateOf(restored).inode, 51);
  await damage(old, old.files.length - 1);
  await restoreNewestBackup([holders], restored);
  t.equal(stateOf(restored).inode, 50, 'the increment before');
  await damage(old, 0);
  await t.rejects(restoreNewestBackup([holders], restored), { code: 'ENOENT' });
});

t.test('a set of pages', async t => {
  const pages = new PageSet();
  for (const page of [9, 1, 1_000_000, 9, 8]) pages.add(page);
  t.same(pages.upTo(1_000_000), [1, 8, 9, 1_000_000]);
  t.same(pages.upTo(8), [1, 8]);
  pages.clear();
  t.same(pages.upTo(1_000_000), []);
});
