/** Large writes go the faster way, and what is read back is what was written, whichever way it went. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DirectFile, FasterWay, MIN_DIRECT_BYTES, type Way } from '../../../src/platform/direct-writes.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { SeededRandom } from '../../simulation/world/seeded-random.js';

const HEADER_BYTES = 52;
const SOCKET_BYTES = 64 << 10;

async function directory(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'dfs-direct-'));
  t.teardown(async () => await rm(path, { recursive: true, force: true }));
  return path;
}

/** A record as it comes from a connection: a small head, and pieces wherever memory was. */
function pieces(bytes: Buffer): Buffer[] {
  const parts = [bytes.subarray(0, HEADER_BYTES)];
  for (let at = HEADER_BYTES; at < bytes.length; at += SOCKET_BYTES) {
    parts.push(Buffer.from(bytes.subarray(at, at + SOCKET_BYTES)));
  }
  return parts;
}

/** The way that is chosen again and again, when each takes so long. */
function preferred(faster: FasterWay, ms: Record<Way, number>, writes: number): Record<Way, number> {
  const chosen = { direct: 0, cached: 0 };
  for (let count = 0; count < writes; count += 1) {
    const way = faster.choose();
    chosen[way] += 1;
    faster.note(way, 1 << 20, ms[way]);
  }
  return chosen;
}

t.test('records of all sizes, one after the other, are in the file as they were written', async t => {
  const path = join(await directory(t), 'segment');
  const random = new SeededRandom(7);
  const file = await nodeDisk.open(path, 'create');
  t.teardown(async () => await file.close());
  const written: Buffer[] = [];
  let position = 0;
  for (let count = 0; count < 60; count += 1) {
    const most = random.isChance(0.3) ? 6 * MIN_DIRECT_BYTES : 10_000;
    const record = randomBytes(random.integer(1, most));
    await file.writev(pieces(record), position);
    written.push(record);
    position += record.length;
  }
  t.equal(await file.size(), position);
  t.ok(Buffer.concat(written).equals(await readFile(path)));
});

t.test('a write past the cache says which bytes it has written: those on whole blocks', async t => {
  const path = join(await directory(t), 'segment');
  const descriptor = openSync(path, 'w+');
  t.teardown(() => closeSync(descriptor));
  const direct = await DirectFile.open(descriptor);
  if (!direct) {
    t.comment('this file system takes no such writes');
    return;
  }
  t.teardown(async () => await direct.close());
  await rename(path, `${path}-renamed`);
  const bytes = randomBytes(3_000_000);
  const { from, to } = await direct.write(pieces(bytes), bytes.length, 10_000);
  if (to === from) {
    t.comment('this file system takes no such writes after all');
    return;
  }
  t.equal((10_000 + from) % 4096, 0);
  t.equal((10_000 + to) % 4096, 0);
  t.ok(from < 4096 && bytes.length - to < 4096, 'only the ends are left');
  const there = await readFile(`${path}-renamed`);
  t.ok(there.subarray(10_000 + from, 10_000 + to).equals(bytes.subarray(from, to)));
  t.same(
    await direct.write([Buffer.alloc(100)], 100, 50),
    { from: 4046, to: 4046 },
    'no whole block, nothing written',
  );
});

t.test('a file system without such writes is written through its cache', async t => {
  // proc takes no O_DIRECT.
  const descriptor = openSync('/proc/self/comm', 'r+');
  t.teardown(() => closeSync(descriptor));
  t.equal(await DirectFile.open(descriptor), undefined);
});

t.test('the faster way is taken, and the other one tried now and then', async t => {
  const disk = new FasterWay();
  const fast = preferred(disk, { direct: 1, cached: 10 }, 200);
  t.ok(fast.direct > 190, `past the cache ${fast.direct} of 200 times`);
  t.ok(fast.cached >= 4, 'both are measured');
  const slow = preferred(disk, { direct: 100, cached: 10 }, 400);
  t.ok(slow.cached > 380, `through the cache ${slow.cached} of 400 times, once the disk is slow`);
  const again = preferred(disk, { direct: 1, cached: 10 }, 1000);
  t.ok(again.direct > 500, `past the cache ${again.direct} of 1000 times, when it is fast again`);
});
