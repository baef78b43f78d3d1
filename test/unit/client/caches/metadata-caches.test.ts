/** What the caches learn of replies to changes, and that the lease keeps all of them true (client/caches/metadata-caches.ts). */
import t from 'tap';
import { divideCache } from '../../../../src/client/caches/cache-sizes.js';
import { emptyDirectory } from '../../../../src/client/caches/known-directory.js';
import { changedTold, MetadataCaches } from '../../../../src/client/caches/metadata-caches.js';
import { firstAfter } from '../../../../src/client/caches/sorted-search.js';
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { LOG } from '../../metadata/support/harness.js';
import { record } from '../../rules/records.js';

const DIRECTORY = 1;
const NAME = Buffer.from('name');
const FILE = record({ inode: 5 });
const OTHER = record({ inode: 6 });

/** Caches under a lease, unless it is not wanted, that know a file, a name, its target and that it has no attributes. */
async function scene(isWanted = true) {
  const lease = new CacheLease(new ManualClock(), LOG);
  const caches = new MetadataCaches(lease, divideCache(1 << 20));
  if (!isWanted) return { lease, caches };
  lease.want();
  lease.grant(0, 60_000);
  await lease.begun();
  const { attributes, names, xattrs, targets } = caches;
  attributes.keep(attributes.ticket(), FILE);
  names.created(lease.ticket(), DIRECTORY, DIRECTORY);
  names.linked(DIRECTORY, NAME, FILE.inode);
  xattrs.none(attributes.ticket(), FILE.inode);
  targets.keep(lease.ticket(), FILE.inode, Buffer.from('target'));
  return { lease, caches };
}

/** What is known of the file. */
function known({ attributes, names, xattrs, targets }: MetadataCaches): boolean[] {
  const { inode } = FILE;
  const all = [attributes.get(inode), names.find(DIRECTORY, NAME), xattrs.all(inode), targets.get(inode)];
  return all.map(each => each !== undefined);
}

t.test('the loss of the lease, and a revocation of everything, reach each cache', async t => {
  for (const drop of ['lose', 'dropEverything'] as const) {
    const { lease, caches } = await scene();
    t.same(known(caches), [true, true, true, true]);
    await lease[drop]();
    lease.grant(0, 60_000);
    await lease.begun();
    t.same(known(caches), [false, false, false, false], drop);
  }
});

t.test('a revocation of an inode reaches each cache that knows of inodes', async t => {
  const { lease, caches } = await scene();
  await lease.dropFalse([{ inode: FILE.inode, version: 9 }]);
  t.same(known(caches), [false, true, false, false]);
});

t.test('when acknowledged changes are not done, nothing is believed', async t => {
  const { caches } = await scene();
  const ticket = caches.attributes.ticket();
  caches.loseAll();
  t.same(known(caches), [false, false, false, false]);
  caches.attributes.keep(ticket, FILE);
  t.equal(caches.attributes.get(FILE.inode), undefined, 'nor what was asked before');
});

t.test('a reply tells what was changed, what is gone, and what is new', async t => {
  const { caches } = await scene();
  const ticket = caches.attributes.ticket();
  const told = { changed: [{ ...FILE, size: 9 }], gone: [] };
  caches.learnChanges(ticket, { attributes: OTHER, ...told }, told);
  t.equal(caches.attributes.get(FILE.inode)?.size, 9);
  t.same(caches.attributes.get(OTHER.inode), OTHER);
  const gone = { changed: [], gone: [FILE.inode] };
  caches.learnChanges(caches.attributes.ticket(), gone, gone);
  t.equal(caches.attributes.get(FILE.inode), undefined);
  t.ok(caches.attributes.get(OTHER.inode));
});

t.test('a reply that does not tell what was changed leaves no attributes to be believed', async t => {
  const { caches } = await scene();
  caches.learnChanges(caches.attributes.ticket(), { attributes: OTHER }, undefined);
  t.same(known(caches), [false, true, true, true]);
  t.equal(caches.attributes.get(OTHER.inode), undefined);
});

t.test('attributes of another shape are not kept', async t => {
  const { caches } = await scene();
  const told = { changed: [], gone: [] };
  caches.learnChanges(caches.attributes.ticket(), { attributes: { inode: OTHER.inode } }, told);
  t.equal(caches.attributes.get(OTHER.inode), undefined);
});

t.test('a client that caches nothing learns nothing', async t => {
  const { lease, caches } = await scene(false);
  const told = { changed: [FILE], gone: [] };
  caches.learnChanges(caches.attributes.ticket(), { attributes: OTHER }, told);
  lease.grant(0, 60_000);
  await lease.begun();
  t.equal(caches.attributes.usedBytes, 0);
});

t.test('only a whole list of changes is taken for one', async t => {
  const told = { changed: [FILE], gone: [7] };
  t.same(changedTold({ attributes: OTHER, ...told }), { attributes: OTHER, ...told });
  for (const bad of [
    {},
    undefined,
    { changed: [] },
    { changed: [{ inode: 5 }], gone: [] },
    { changed: [], gone: ['x'] },
  ])
    t.equal(changedTold(bad), undefined);
});

t.test('a directory of which nothing was told has no names, each with lists of its own', async t => {
  const [whole, single] = [emptyDirectory(true, 7), emptyDirectory(false)];
  t.same([whole.isWhole, whole.parent, single.isWhole, single.parent], [true, 7, false, undefined]);
  whole.names.set('name', 5);
  t.equal(single.names.size, 0);
  t.match(single, {
    unknown: undefined,
    sorted: undefined,
    nameBytes: 0,
    countedBytes: 0,
    leftAt: undefined,
  });
});

t.test('the first item after a key is found as by looking at each', async t => {
  for (let length = 0; length < 12; length += 1) {
    // 0, 1, 1, 3, 4, 4, …: some keys are there twice.
    const items = Array.from({ length }, (_, index) => ({ key: index - (index % 3 === 2 ? 1 : 0) }));
    for (let key = -1; key <= length; key += 1) {
      const expected = items.filter(item => item.key <= key).length;
      t.equal(
        firstAfter(items, key, item => item.key),
        expected,
        `${key} of ${length}`,
      );
    }
  }
  t.equal(
    firstAfter(['a', 'b', 'd'], 'b', item => item),
    2,
  );
});
