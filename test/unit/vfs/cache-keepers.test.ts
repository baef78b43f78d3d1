import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { CacheBudget } from '../../../src/client/caches/cache-budget.js';
import { divideCache } from '../../../src/client/caches/cache-sizes.js';
import type { CacheKeeper, Revocation } from '../../../src/client/leases/cache-lease.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { CacheKeepers, type CacheKeepersOptions } from '../../../src/vfs/cache-keepers.js';
import { connectSession } from '../client/support/connected-session.js';
import { refusal } from '../metadata/support/harness.js';
import { serve } from './support/connected-clients.js';

class Keeper implements CacheKeeper {
  readonly dropped: Revocation[] = [];
  readonly forgotten: number[] = [];
  usedBytes = 100;

  async drop(revocation: Revocation): Promise<void> {
    this.dropped.push(revocation);
  }

  async dropAll(): Promise<void> {
    this.dropped.length = 0;
  }

  async dropAttributes(inode: number): Promise<void> {
    this.forgotten.push(inode);
  }
}

async function keepers(t: Test) {
  const session = await connectSession(t, (await serve(t)).endpoint);
  const { lease, attributes } = session;
  const cacheSizes = divideCache(1 << 20);
  const budget = new CacheBudget(cacheSizes.totalBytes);
  const state = { mayKeepShown: true, isDue: false };
  const how = { begin: async () => await session.beginCaching() };
  const files = {
    get: (inode: number) => (inode === ROOT_INODE ? { mayKeepShown: () => state.mayKeepShown } : undefined),
    present: (told: unknown) => told,
    // An open file, as far as it is looked at here; its attributes are the cache's.
  } as unknown as CacheKeepersOptions['files'];
  const all = new CacheKeepers({
    lease,
    attributes,
    budget,
    cacheSizes,
    beginCaching: async () => await how.begin(),
    files,
    accessTimes: { isDue: () => state.isDue },
  });
  return { all, session, state, how, budget };
}

t.test('what a keeper may keep', async t => {
  const { all, session, state } = await keepers(t);
  const lease = await all.begin(new Keeper());
  await session.getattr(ROOT_INODE);
  const may = (): boolean[] => {
    const ticket = lease.ticket();
    return [
      lease.mayKeepNames(ticket, ROOT_INODE),
      lease.mayKeepAttributes(ticket, ROOT_INODE),
      lease.mayKeepContent(ticket, ROOT_INODE, constants.O_RDONLY),
      lease.mayKeepContent(ticket, ROOT_INODE, constants.O_WRONLY),
      lease.mayKeepContent(ticket, ROOT_INODE, constants.O_RDONLY | constants.O_NOATIME),
      lease.mayKeepListing(ticket, ROOT_INODE),
    ];
  };
  t.same(may(), [true, true, true, true, true, true]);
  state.mayKeepShown = false;
  t.same(may(), [true, false, true, true, true, true], 'the commit changes what they are');
  state.mayKeepShown = true;
  state.isDue = true;
  t.same(may(), [true, true, false, true, true, false], 'reading it would move its access time');
  state.isDue = false;
  const ticket = lease.ticket();
  const revocation = { inodes: [{ inode: ROOT_INODE, version: 2 }], names: [], directories: [] };
  await session.lease.revoke({ ...revocation, everything: false });
  t.notOk(lease.mayKeepAttributes(ticket, ROOT_INODE), 'revoked meanwhile');
});

t.test('bytes that are not where they were shown: every keeper drops the file', async t => {
  const { all } = await keepers(t);
  const [one, two, gone] = [new Keeper(), new Keeper(), new Keeper()];
  for (const keeper of [one, two, gone]) await all.begin(keeper);
  all.end(gone);
  await all.displaced(7);
  t.same(
    [one, two, gone].map(({ dropped }) => dropped.map(({ inodes }) => inodes)),
    [[[{ inode: 7, version: 0 }]], [[{ inode: 7, version: 0 }]], []],
  );
});

t.test(
  'what was shown before it was committed is not so any more: every keeper drops the attributes',
  async t => {
    const { all } = await keepers(t);
    const [one, gone] = [new Keeper(), new Keeper()];
    for (const keeper of [one, gone]) await all.begin(keeper);
    all.end(gone);
    await all.landed(7);
    t.same([one.forgotten, one.dropped, gone.forgotten], [[7], [], []]);
  },
);

t.test('a keeper whose lease does not begin keeps nothing', async t => {
  const { all, session, how } = await keepers(t);
  how.begin = async () => await Promise.reject(new DfsError('EIO', 'for a test'));
  const keeper = new Keeper();
  t.equal(await refusal(all.begin(keeper)), 'EIO');
  await all.displaced(7);
  await session.lease.revoke({ inodes: [], names: [], directories: [], everything: true });
  t.same(keeper.dropped, []);
});
