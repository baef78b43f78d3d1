/** docs/decisions/05, the client's side: what is kept is true, or not answered from. */
import t from 'tap';
import { AttributeCache } from '../../../../src/client/caches/attribute-cache.js';
import { CacheLease, type Revocation } from '../../../../src/client/leases/cache-lease.js';
import { NameCache } from '../../../../src/client/caches/name-cache.js';
import { createLogger } from '../../../../src/platform/log.js';
import { XattrCache } from '../../../../src/client/caches/xattr-cache.js';
import type { Attributes } from '../../../../src/protocol/types.js';
import { ManualClock } from '../../../support/manual-clock.js';

const LEASE = 20_000;
const FILE = 10;
const DIRECTORY = 11;
const PARENT = 1;
const NAME = Buffer.from('name');
const NONE: Revocation = { inodes: [], names: [], directories: [], everything: false };
const ofFile: Revocation = { ...NONE, inodes: [{ inode: FILE, version: 2 }] };

function attributes(size: number): Attributes {
  const time = { sec: 0, nsec: 0 };
  const owner = { mode: 0o100644, nlink: 1, uid: 0, gid: 0, rdev: 0 };
  const times = { atime: time, mtime: time, ctime: time };
  return { inode: FILE, generation: 1, ...owner, size, allocated: size, ...times, version: 1, goal: 1 };
}

async function granted() {
  const clock = new ManualClock();
  const lease = new CacheLease(clock, createLogger('test', 'silent'));
  const cache = new AttributeCache(lease, 100 << 10);
  const names = new NameCache(lease, 100 << 10);
  lease.addKeeper(cache);
  lease.addKeeper(names);
  lease.grant(clock.monotonicMs(), LEASE);
  // The lease begins when everything from before is dropped.
  await lease.begun();
  return { clock, lease, cache, names };
}

t.test('nothing is kept without a lease, nor what was asked for before it began', async t => {
  const clock = new ManualClock();
  const lease = new CacheLease(clock, createLogger('test', 'silent'));
  const cache = new AttributeCache(lease, 100 << 10);
  const early = cache.ticket();
  cache.keep(early, attributes(1));
  t.equal(cache.get(FILE), undefined);
  lease.grant(clock.monotonicMs(), LEASE);
  await lease.begun();
  cache.keep(early, attributes(1));
  t.equal(cache.get(FILE), undefined, 'the server had not noted it for this lease');
  cache.keep(cache.ticket(), attributes(1));
  t.equal(cache.get(FILE)?.size, 1);
});

t.test('when the lease runs out nothing is answered any more, even before a timer says so', async t => {
  const { clock, lease, cache } = await granted();
  cache.keep(cache.ticket(), attributes(1));
  clock.advance(LEASE - 1);
  t.equal(cache.get(FILE)?.size, 1);
  lease.grant(clock.monotonicMs() - 10, LEASE);
  clock.advance(LEASE - 11);
  t.equal(cache.get(FILE)?.size, 1, 'it is counted from when it was asked for');
  clock.advance(2);
  t.equal(cache.get(FILE), undefined);
});

t.test('a reply that a revocation overtook is not kept', async t => {
  const { lease, cache } = await granted();
  const ticket = cache.ticket();
  await lease.revoke(ofFile);
  cache.keep(ticket, attributes(1));
  t.equal(cache.get(FILE), undefined);
  cache.keep(cache.ticket(), attributes(2));
  t.equal(cache.get(FILE)?.size, 2);
  await lease.revoke(ofFile);
  t.equal(cache.get(FILE), undefined, 'and what is kept goes');
});

t.test('of two replies about one inode only one that no change overtook is kept', async t => {
  const { cache } = await granted();
  const asked = cache.ticket();
  const [first, second] = [cache.ticket(), cache.ticket()];
  cache.change(second, [attributes(2)], []);
  t.equal(cache.get(FILE)?.size, 2);
  cache.keep(asked, attributes(1));
  t.equal(cache.get(FILE)?.size, 2, 'an older answer does not replace it');
  cache.change(first, [attributes(3)], []);
  t.equal(cache.get(FILE), undefined, 'which of the two changes came last is not known');
  cache.change(cache.ticket(), [attributes(4)], []);
  cache.changeUnknown();
  t.equal(cache.get(FILE), undefined, 'a change that failed half way may have changed anything');
});

t.test('a directory that this client made has the names that it made, and no others', async t => {
  const { lease, names } = await granted();
  t.equal(names.find(DIRECTORY, NAME), undefined, 'of others nothing is known');
  names.created(lease.ticket(), DIRECTORY, PARENT);
  t.equal(names.find(DIRECTORY, NAME), 0);
  names.linked(DIRECTORY, NAME, FILE);
  t.equal(names.find(DIRECTORY, NAME), FILE);
  names.unlinked(DIRECTORY, NAME);
  t.equal(names.find(DIRECTORY, NAME), 0);
  t.equal(names.find(DIRECTORY, Buffer.alloc(256, 'x')), undefined, 'ENAMETOOLONG is the server’s to tell');
  await lease.revoke({ ...NONE, names: [{ parent: DIRECTORY, name: NAME }] });
  t.equal(names.find(DIRECTORY, NAME), undefined, 'another client works there');
});

t.test('a name is not believed to be missing when the lease is gone', async t => {
  const { clock, lease, names } = await granted();
  names.created(lease.ticket(), DIRECTORY, PARENT);
  clock.advance(LEASE + 1);
  t.equal(names.find(DIRECTORY, NAME), undefined);
  const late = lease.ticket();
  lease.lose();
  names.created(late, DIRECTORY, PARENT);
  t.equal(names.find(DIRECTORY, NAME), undefined);
});

t.test('a directory that was listed as a whole has those names and no others, in their order', async t => {
  const { names } = await granted();
  const listing = names.beginListing(DIRECTORY);
  const listed = ['a', 'b', 'd'].map((name, index) => ({ name: Buffer.from(name), inode: 20 + index }));
  names.listed(listing, listed, PARENT);
  t.equal(names.find(DIRECTORY, Buffer.from('b')), 21);
  t.equal(names.find(DIRECTORY, NAME), 0);
  names.linked(DIRECTORY, Buffer.from('c'), 30);
  const page = names.page(DIRECTORY, Buffer.from('a'), 2);
  t.same(page, {
    names: [
      { name: Buffer.from('b'), inode: 21 },
      { name: Buffer.from('c'), inode: 30 },
    ],
    parent: PARENT,
    isLast: false,
  });
  t.equal(names.page(DIRECTORY, Buffer.from('c'), 5)?.isLast, true);
  t.equal(names.find(DIRECTORY, Buffer.from('..')), undefined, 'which stands in no directory');
});

t.test('a listing during which the directory changed is not kept', async t => {
  const { lease, names } = await granted();
  const own = names.beginListing(DIRECTORY);
  names.unlinked(DIRECTORY, NAME);
  names.listed(own, [{ name: NAME, inode: FILE }], PARENT);
  t.equal(names.find(DIRECTORY, NAME), undefined, 'this client removed a name meanwhile');
  const others = names.beginListing(DIRECTORY);
  await lease.revoke({ ...NONE, names: [{ parent: DIRECTORY, name: NAME }] });
  names.listed(others, [{ name: NAME, inode: FILE }], PARENT);
  t.equal(names.find(DIRECTORY, NAME), undefined, 'another client did');
});

t.test(
  'a name that this client is changing is told by the server alone until the answer is there',
  async t => {
    const { lease, names } = await granted();
    names.created(lease.ticket(), DIRECTORY, PARENT);
    names.linked(DIRECTORY, NAME, FILE);
    names.changing(DIRECTORY, NAME);
    t.equal(names.find(DIRECTORY, NAME), undefined, 'others may have seen it done');
    t.equal(names.page(DIRECTORY, Buffer.alloc(0), 10), undefined);
    t.equal(names.find(DIRECTORY, Buffer.from('other')), 0);
    names.unlinked(DIRECTORY, NAME);
    names.changed(DIRECTORY, NAME);
    t.equal(names.find(DIRECTORY, NAME), 0);
  },
);

t.test('that a file has no extended attributes is known until anybody changes it', async t => {
  const { lease, cache } = await granted();
  const xattrs = new XattrCache(lease, cache, 100 << 10);
  lease.addKeeper(xattrs);
  const early = cache.ticket();
  xattrs.none(cache.ticket(), FILE);
  t.equal(xattrs.all(FILE)?.size, 0);
  await lease.revoke(ofFile);
  t.equal(xattrs.all(FILE), undefined);
  xattrs.none(early, FILE);
  t.equal(xattrs.all(FILE), undefined, 'the answer is of before');
  xattrs.none(cache.ticket(), FILE);
  xattrs.changed(FILE);
  t.equal(xattrs.all(FILE), undefined);
});
