/** Read-ahead over the small files of a directory (vfs/file-ahead.ts). */
import t from 'tap';
import { AttributeCache } from '../../../src/client/caches/attribute-cache.js';
import { CacheLease } from '../../../src/client/leases/cache-lease.js';
import { NameCache } from '../../../src/client/caches/name-cache.js';
import { createLogger } from '../../../src/platform/log.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { FileAhead } from '../../../src/vfs/file-ahead.js';
import { ManualClock } from '../../support/manual-clock.js';

const DIRECTORY = 2;
const FIRST = 100;
const FILES = 200;
const LEASE_MS = 10_000;
const nameOf = (index: number): Buffer => Buffer.from(`f${String(index).padStart(3, '0')}`);

function attributes(index: number, size: number): Attributes {
  const time = { sec: 0, nsec: 0 };
  const owner = { mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0 };
  const times = { atime: time, mtime: time, ctime: time };
  const inode = FIRST + index;
  return { inode, generation: 1, ...owner, size, allocated: size, ...times, version: 1, goal: 1 };
}

/** A directory of which everything is known, and which files were fetched ahead; `isDone` false: none ever arrives. */
async function directory(sizeOf: (index: number) => number, isDone = true) {
  const clock = new ManualClock();
  const lease = new CacheLease(clock, createLogger('test', 'silent'));
  const cache = new AttributeCache(lease, 1 << 20);
  const names = new NameCache(lease, 1 << 20);
  lease.grant(clock.monotonicMs(), LEASE_MS);
  await lease.begun();
  const listing = names.beginListing(DIRECTORY);
  const all = Array.from({ length: FILES }, (_, index) => index);
  for (const index of all) cache.keep(cache.ticket(), attributes(index, sizeOf(index)));
  names.listed(
    listing,
    all.map(index => ({ name: nameOf(index), inode: FIRST + index })),
    1,
  );
  const fetched: number[] = [];
  const ahead = new FileAhead({
    names,
    attributes: cache,
    following: () => undefined,
    fetch: async files => {
      for (const { inode } of files) fetched.push(inode - FIRST);
      if (!isDone) await new Promise(() => undefined);
    },
  });
  const read = async (index: number): Promise<void> => {
    ahead.found(DIRECTORY, nameOf(index), attributes(index, sizeOf(index)));
    ahead.read(FIRST + index);
    await Promise.resolve();
  };
  return { fetched, read, ahead };
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

t.test(
  'what follows files that are read in order is fetched, each once, more and more at a time',
  async t => {
    const { fetched, read } = await directory(() => 4096);
    await read(0);
    await read(1);
    t.same(fetched, []);
    await read(2);
    t.same(fetched, range(3, 11));
    for (const index of range(3, 60)) await read(index);
    t.same(fetched, range(3, fetched.length + 3), 'none is left out, none twice');
    t.ok(fetched.length >= 57 + 32, 'the window has grown');
  },
);

t.test('four readers that share a directory are one walk', async t => {
  const { fetched, read } = await directory(() => 4096);
  for (const index of [1, 0, 3, 2, 5, 4, 7, 6]) await read(index);
  t.ok(fetched.includes(12));
  t.equal(new Set(fetched).size, fetched.length);
});

t.test('who jumps about, and large files, are left alone', async t => {
  const jumping = await directory(() => 4096);
  for (const index of [0, 50, 20, 90, 10, 170, 60]) await jumping.read(index);
  t.same(jumping.fetched, []);
  const large = await directory(index => (index % 2 === 0 ? 4096 : 1 << 20));
  for (const index of [0, 2, 4, 6]) await large.read(index);
  t.ok(large.fetched.length > 0);
  t.ok(large.fetched.every(index => index % 2 === 0));
});

t.test('no more is fetched than there is memory for', async t => {
  const { fetched, read } = await directory(() => 64 << 10, false);
  for (const index of range(0, 100)) await read(index);
  t.equal(fetched.length, 32, '2 MiB');
});

t.test('what others put where a program looks is fetched, unless it is large or empty', async t => {
  const sizes = [4096, 1 << 20, 0, 100];
  const { fetched, ahead } = await directory(index => sizes[index] ?? 0);
  ahead.appeared(sizes.map((size, index) => attributes(index, size)));
  t.same(fetched, [0, 3]);
});
