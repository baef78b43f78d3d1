/** Large writes go the faster way, and what is read back is what was written, whichever way it went. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { AlignedBuffers } from '../../../src/platform/aligned-buffers.js';
import { DirectFile, FasterWay, MIN_DIRECT_BYTES, type Way } from '../../../src/platform/direct-writes.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { payloadBytes } from '../../../src/platform/payload.js';
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

/** Undefined where the file system takes no such writes. */
async function directFile(t: Test, path: string): Promise<DirectFile | undefined> {
  const descriptor = openSync(path, 'w+');
  t.teardown(() => closeSync(descriptor));
  const direct = await DirectFile.open(descriptor);
  if (direct) t.teardown(async () => await direct.close());
  else t.comment('this file system takes no such writes');
  return direct;
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

t.test(
  'a write past the cache says what it has left for the cache: less than a block at each end',
  async t => {
    const path = join(await directory(t), 'segment');
    const direct = await directFile(t, path);
    if (!direct) return;
    await rename(path, `${path}-renamed`);
    const bytes = randomBytes(3_000_000);
    const left = await direct.write(pieces(bytes), 10_000);
    if (left[0]?.to === bytes.length) {
      t.comment('this file system takes no such writes after all');
      return;
    }
    const [before, after] = left;
    const begin = before?.to ?? 0;
    const end = after?.from ?? 0;
    t.equal((10_000 + begin) % 4096, 0);
    t.equal((10_000 + end) % 4096, 0);
    t.ok(begin < 4096 && bytes.length - end < 4096 && left.length === 2, 'only the ends are left');
    const there = await readFile(`${path}-renamed`);
    t.ok(there.subarray(10_000 + begin, 10_000 + end).equals(bytes.subarray(begin, end)));
    t.same(
      await direct.write([Buffer.alloc(100)], 50),
      [{ from: 0, to: 100 }],
      'no whole block, nothing written',
    );
  },
);

t.test('memory that is aligned as the file is, is written from where it is', async t => {
  const path = join(await directory(t), 'segment');
  const direct = await directFile(t, path);
  if (!direct) return;
  const buffers = new AlignedBuffers(8 << 20);
  const payloads = [(1 << 20) + 100, 512 << 10, 600_000].map(length => {
    const payload = buffers.take(length) ?? Buffer.alloc(0);
    randomBytes(length).copy(payload);
    return payload;
  });
  // Heads end where the next block begins, but for the last one, behind which the payload is not aligned.
  const heads = [Buffer.alloc(4096 - 100, 1), Buffer.alloc(2 * 4096 - 100, 2), Buffer.alloc(77, 3)];
  const all = heads.flatMap((head, index) => [head, payloads[index] ?? Buffer.alloc(0)]);
  const left = await direct.write(all, 100);
  if (left[0]?.to === payloadBytes(all)) return;
  const whole = Buffer.concat(all);
  const expected = Buffer.concat([Buffer.alloc(100), whole]);
  const descriptor = openSync(path, 'r+');
  t.teardown(() => closeSync(descriptor));
  for (const { from, to } of left) writeSync(descriptor, whole, from, to - from, 100 + from);
  t.ok((await readFile(path)).equals(expected), 'with what was left, everything is there');
  const leftBytes = left.reduce((sum, { from, to }) => sum + to - from, 0);
  t.ok(leftBytes < 8 * 4096, `${leftBytes} bytes are left`);
});

t.test('a file system without such writes is written through its cache', async t => {
  // proc takes no O_DIRECT.
  const descriptor = openSync('/proc/self/comm', 'r+');
  t.teardown(() => closeSync(descriptor));
  t.equal(await DirectFile.open(descriptor), undefined);
});

t.test('the faster way is taken, and the other one tried now and then', async t => {
  const disk = new FasterWay();
  const fast = preferred(disk, { direct: 1, cached: 10 }, 1000);
  t.ok(fast.direct > 990, `past the cache ${fast.direct} of 1000 times`);
  t.ok(fast.cached >= 3, 'both are measured');
  const slow = preferred(disk, { direct: 100, cached: 10 }, 400);
  t.ok(slow.cached > 380, `through the cache ${slow.cached} of 400 times, once the disk is slow`);
  const again = preferred(disk, { direct: 1, cached: 10 }, 1000);
  t.ok(again.direct > 500, `past the cache ${again.direct} of 1000 times, when it is fast again`);
});
