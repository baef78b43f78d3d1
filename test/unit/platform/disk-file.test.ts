/** Reading a file that this process has open (platform/disk.ts): from the page cache where the bytes are there, else by a thread. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { nodeDisk, type DiskFile } from '../../../src/platform/disk.js';

/** Longer than what is read from the page cache at once. */
const LENGTH = 1 << 20;
const SMALL = 4096;

const byteAt = (position: number): number => (position * 7 + (position >> 8)) & 0xff;
const bytesFrom = (position: number, length: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, index) => byteAt(position + index)));

async function written(t: Test): Promise<DiskFile> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-disk-'));
  const file = await nodeDisk.open(join(directory, 'file'), 'create');
  t.teardown(async () => {
    await file.close();
    await rm(directory, { recursive: true, force: true });
  });
  await file.writev([bytesFrom(0, LENGTH)], 0);
  return file;
}

t.test('a part of any length is read into the place that is given, and nothing beside it', async t => {
  const file = await written(t);
  for (const length of [1, SMALL, 200_000, LENGTH - 100]) {
    const memory = Buffer.alloc(length + 20, 0xee);
    const target = memory.subarray(10, 10 + length);
    t.equal(await file.pread(target, 100), length);
    t.ok(target.equals(bytesFrom(100, length)), `${length} bytes`);
    t.ok(
      [memory.subarray(0, 10), memory.subarray(10 + length)].every(beside =>
        beside.equals(Buffer.alloc(10, 0xee)),
      ),
    );
  }
});

t.test('at the end of the file less is read', async t => {
  const file = await written(t);
  const target = Buffer.alloc(SMALL);
  t.equal(await file.pread(target, LENGTH - 10), 10);
  t.ok(target.subarray(0, 10).equals(bytesFrom(LENGTH - 10, 10)));
  t.equal(await file.pread(target, LENGTH + 10), 0);
});

t.test('what was written since is read, also what went past the page cache', async t => {
  const file = await written(t);
  const target = Buffer.alloc(SMALL);
  for (let round = 1; round < 6; round += 1) {
    await file.writev([Buffer.alloc(LENGTH, round)], 0);
    t.equal(await file.pread(target, 2 * SMALL), SMALL);
    t.ok(target.equals(Buffer.alloc(SMALL, round)));
  }
});
