/** Walks through directories, and what is fetched ahead of them (vfs/ordered-walks.ts, vfs/listing-ahead.ts). */
import t from 'tap';
import { AttributeCache } from '../../../src/client/caches/attribute-cache.js';
import { CacheLease } from '../../../src/client/leases/cache-lease.js';
import { NameCache } from '../../../src/client/caches/name-cache.js';
import { createLogger } from '../../../src/platform/log.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { ListingAhead } from '../../../src/vfs/listing-ahead.js';
import { OrderedWalks } from '../../../src/vfs/ordered-walks.js';
import { ManualClock } from '../../support/manual-clock.js';

const LEASE_MS = 10_000;
const NEAR = 8;
const TOP = 1;
const nameOf = (index: number): Buffer => Buffer.from(`n${String(index).padStart(3, '0')}`);

function directoryOf(inode: number): Attributes {
  const time = { sec: 0, nsec: 0 };
  const owner = { mode: 0o040755, nlink: 2, uid: 0, gid: 0, rdev: 0 };
  const times = { atime: time, mtime: time, ctime: time };
  return { inode, generation: 1, ...owner, size: 0, allocated: 0, ...times, version: 1, goal: 1 };
}

/** What a client knows that has listed directories of so many names; the inodes are 1000 × directory + index. */
async function client(sizes: Readonly<Record<number, number>>) {
  const clock = new ManualClock();
  const lease = new CacheLease(clock, createLogger('test', 'silent'));
  const names = new NameCache(lease, 64 << 20);
  const attributes = new AttributeCache(lease, 64 << 20);
  lease.grant(clock.monotonicMs(), LEASE_MS);
  await lease.begun();
  const list = (directory: number, size: number): void => {
    const all = Array.from({ length: size }, (_, index) => ({
      name: nameOf(index),
      inode: 1000 * directory + index,
    }));
    for (const { inode } of all) attributes.keep(attributes.ticket(), directoryOf(inode));
    names.listed(names.beginListing(directory), all, TOP);
  };
  for (const [directory, size] of Object.entries(sizes)) list(Number(directory), size);
  return { names, attributes, list };
}

t.test('who goes on in another directory when one is at its end is still on his walk', async t => {
  const { names } = await client({ 2: 20, 3: 20, 4: 20 });
  const walks = new OrderedWalks(names, NEAR);
  const taken: number[] = [];
  const visit = (directory: number, index: number): void => {
    const visited = 1000 * directory + index;
    walks.found(directory, nameOf(index), visited);
    walks.visit(visited, ({ inode }) => taken.push(inode) > 0);
  };
  for (let index = 0; index < 20; index += 1) visit(2, index);
  t.same(taken.at(-1), 2019);
  visit(3, 0);
  t.same(
    taken.slice(-19),
    Array.from({ length: 19 }, (_, index) => 3001 + index),
    'everything that follows is taken at the first name',
  );
  const before = taken.length;
  visit(4, 0);
  t.equal(taken.length, before, 'not when the directory was left in its middle');
});

t.test('directories that follow those listed in order are listed before they are asked for', async t => {
  const { names, attributes, list } = await client({ [TOP]: 40 });
  const listed: number[] = [];
  const ahead = new ListingAhead({
    names,
    attributes,
    list: async directory => {
      listed.push(directory);
      await Promise.resolve();
      list(directory, 3);
    },
  });
  for (let index = 0; index < 40; index += 1) ahead.found(TOP, nameOf(index), directoryOf(1000 + index));
  const untilDone = async (): Promise<void> =>
    await new Promise(resolve => {
      setImmediate(resolve);
    });
  for (let index = 0; index < 40; index += 1) {
    ahead.visit(1000 + index);
    await untilDone();
    if (index === 1) t.same(listed, [], 'two may be chance');
    if (index === 2) t.same(listed, [1003, 1004, 1005, 1006], 'a few at a time');
    if (index > 2) t.ok(names.isKnown(1000 + index), 'it is there before it is visited');
  }
  t.equal(new Set(listed).size, listed.length, 'none is listed twice');
});
