/** Backups on a data node: whole or not there, checked, and three of them. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import { BackupStore } from '../../../src/datanode/backup-store.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import type { BackupFile } from '../../../src/protocol/backup-commands.js';

const PIECE = 1000;

async function directoryOf(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-backup-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  return join(directory, 'backup');
}

function describe(bytes: Buffer, generation: number, file: number, isComplete: boolean): BackupFile {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { generation, file, isComplete, sha256, bytes: bytes.length };
}

async function put(store: BackupStore, file: BackupFile, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += PIECE) {
    const piece = bytes.subarray(offset, offset + PIECE);
    await store.write(file, offset, crc32(piece), [piece]);
  }
}

t.test('what was written is there after a start, and what was not finished is not', async t => {
  const directory = await directoryOf(t);
  const store = new BackupStore(nodeDisk, directory);
  await store.open();
  const bytes = randomBytes(2500);
  const file = describe(bytes, 5, 0, true);
  await put(store, file, bytes);
  await put(store, file, bytes);
  const begun = describe(bytes, 6, 0, false);
  await store.write(begun, 0, crc32(bytes.subarray(0, PIECE)), [bytes.subarray(0, PIECE)]);
  const again = new BackupStore(nodeDisk, directory);
  await again.open();
  t.same(again.list(), [file]);
  const { bytes: read, crc } = await again.read(file, 1000, 4000);
  t.ok(read.equals(bytes.subarray(1000)) && crc === crc32(read));
  t.same(await readdir(directory), ['5']);
  await t.rejects(again.read(begun, 0, 1), { code: 'ENOENT' });
});

t.test('damage and disorder are refused, and the next attempt is taken', async t => {
  const store = new BackupStore(nodeDisk, await directoryOf(t));
  await store.open();
  const bytes = randomBytes(2500);
  const file = describe(bytes, 1, 0, true);
  const piece = bytes.subarray(0, PIECE);
  await t.rejects(store.write(file, 0, crc32(piece) ^ 1, [piece]), { code: 'EBADMSG' }, 'a damaged piece');
  await t.rejects(store.write(file, 2000, crc32(piece), [piece]), { code: 'EINVAL' }, 'not the next one');
  const other = { ...file, sha256: '0'.repeat(64) };
  await t.rejects(put(store, other, bytes), { code: 'EBADMSG' }, 'the whole does not match');
  t.same(store.list(), []);
  await put(store, file, bytes);
  t.same(store.list(), [file]);
  await store.close();
});

t.test('the newest three complete copies are kept, and the one that is being made', async t => {
  const directory = await directoryOf(t);
  const store = new BackupStore(nodeDisk, directory);
  await store.open();
  const bytes = randomBytes(10);
  for (const generation of [1, 2, 3, 4]) {
    await put(store, describe(bytes, generation, 0, false), bytes);
    t.ok((await readdir(directory)).includes(String(generation)));
    await put(store, describe(bytes, generation, 1, true), bytes);
  }
  await put(store, describe(bytes, 5, 0, false), bytes);
  t.same((await readdir(directory)).sort(), ['2', '3', '4', '5']);
  await put(store, describe(bytes, 6, 0, true), bytes);
  t.same((await readdir(directory)).sort(), ['3', '4', '6'], 'one that was given up goes');
});
