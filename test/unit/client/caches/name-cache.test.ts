/** What a client knows of names that others change (client/caches/name-cache.ts). */
import t from 'tap';
import { NameCache } from '../../../../src/client/caches/name-cache.js';
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { LOG } from '../../metadata/support/harness.js';
import { ManualClock } from '../../../support/manual-clock.js';

const DIRECTORY = 2;
const PARENT = 1;
const name = (text: string): Buffer => Buffer.from(text);
const NOTHING = new Uint8Array();

async function fixture() {
  const clock = new ManualClock();
  const lease = new CacheLease(clock, LOG);
  const names = new NameCache(lease, 1 << 20);
  lease.addKeeper(names);
  lease.want();
  lease.grant(clock.monotonicMs(), 60_000);
  await lease.begun();
  names.created(lease.ticket(), DIRECTORY, PARENT);
  names.linked(DIRECTORY, name('a'), 10);
  names.linked(DIRECTORY, name('b'), 11);
  const revoke = async (...changed: string[]): Promise<void> =>
    await lease.revoke({
      inodes: [{ inode: DIRECTORY, version: 2 }],
      names: changed.map(each => ({ parent: DIRECTORY, name: name(each) })),
      directories: [],
      everything: false,
    });
  /** Names that were changed are told with it. */
  const tell = async (entries: Record<string, number>): Promise<void> => {
    const told = Object.entries(entries).map(([each, inode]) => ({
      parent: DIRECTORY,
      name: name(each),
      inode,
    }));
    await lease.revoke({
      inodes: [],
      names: told.map(({ parent, name: each }) => ({ parent, name: each })),
      directories: [],
      news: { attributes: [], names: told },
      everything: false,
    });
  };
  /** Another client has the directory in its turn from now on. */
  const leave = async (at: number): Promise<void> =>
    await lease.revoke({
      inodes: [{ inode: DIRECTORY, version: 0 }],
      names: [],
      directories: [],
      left: [{ directory: DIRECTORY, at }],
      everything: false,
    });
  return { names, revoke, tell, leave, lease };
}

t.test('of a name that another client changed nothing is known, and of the others everything', async t => {
  const { names, revoke } = await fixture();
  await revoke('a', 'c');
  t.equal(names.find(DIRECTORY, name('a')), undefined);
  t.equal(names.find(DIRECTORY, name('c')), undefined);
  t.equal(names.find(DIRECTORY, name('b')), 11);
  t.equal(names.find(DIRECTORY, name('d')), 0, 'no such name');
  t.equal(names.page(DIRECTORY, NOTHING, 10), undefined, 'it is not listed from memory');
});

t.test('what the server says of such a name is known again, unless it was changed once more', async t => {
  const { names, revoke } = await fixture();
  await revoke('a', 'c');
  const before = names.lookupTicket();
  names.told(before, DIRECTORY, name('a'), 0);
  t.equal(names.find(DIRECTORY, name('a')), 0);
  await revoke('d');
  names.told(before, DIRECTORY, name('c'), 12);
  t.equal(names.find(DIRECTORY, name('c')), undefined, 'the answer may be from before');
  names.told(names.lookupTicket(), DIRECTORY, name('c'), 12);
  t.equal(names.find(DIRECTORY, name('c')), 12);
});

t.test(
  'a name that is told with its revocation is known at once, and answers of before do not matter',
  async t => {
    const { names, revoke, tell } = await fixture();
    await revoke('c');
    const before = names.lookupTicket();
    await tell({ a: 0, b: 21, c: 22 });
    t.same(
      ['a', 'b', 'c'].map(each => names.find(DIRECTORY, name(each))),
      [0, 21, 22],
    );
    t.same(
      names.page(DIRECTORY, NOTHING, 10),
      undefined,
      'where the directory lies was not told, which a listing needs',
    );
    names.told(before, DIRECTORY, name('c'), 0);
    t.equal(names.find(DIRECTORY, name('c')), 22);
    await revoke('c');
    t.equal(names.find(DIRECTORY, name('c')), undefined, 'it is dropped as any other');
  },
);

t.test('of a directory of which single names are known, what is told is known too', async t => {
  const { names, lease } = await fixture();
  const [other, polled] = [3, name('polled')];
  names.told(names.lookupTicket(), other, polled, 0);
  const told = { parent: other, name: polled };
  const revocation = { inodes: [], directories: [], everything: false, names: [told] };
  await lease.revoke({ ...revocation, news: { attributes: [], names: [{ ...told, inode: 30 }] } });
  t.equal(names.find(other, polled), 30);
  const unknown = { parent: 4, name: polled };
  await lease.revoke({
    ...revocation,
    names: [unknown],
    news: { attributes: [], names: [{ ...unknown, inode: 31 }] },
  });
  t.equal(names.find(4, polled), undefined, 'nobody looks at that one');
});

t.test('a directory is looked at until names in it were dropped several times in vain', async t => {
  const { names } = await fixture();
  const revocation = { inodes: [], directories: [], everything: false };
  const drop = (): number[] =>
    names.dropsUsed({ ...revocation, names: [{ parent: DIRECTORY, name: name('x') }] });
  t.same(drop(), [], 'nobody has asked yet');
  names.find(DIRECTORY, name('a'));
  for (let times = 0; times < 4; times += 1) t.same(drop(), [DIRECTORY]);
  t.same(drop(), []);
  names.find(DIRECTORY, name('a'));
  t.same(drop(), [DIRECTORY]);
});

t.test('an own change that another client’s has overtaken leaves open where the name leads', async t => {
  const { names, revoke } = await fixture();
  const asked = names.ticket();
  await revoke('e');
  names.linked(DIRECTORY, name('e'), 13, asked);
  t.equal(names.find(DIRECTORY, name('e')), undefined);
  names.unlinked(DIRECTORY, name('b'), asked);
  t.equal(names.find(DIRECTORY, name('b')), undefined);
  names.linked(DIRECTORY, name('f'), 14, names.ticket());
  t.equal(names.find(DIRECTORY, name('f')), 14);
});

t.test('an answer from before an own change does not say where a name leads after it', async t => {
  const { names, revoke } = await fixture();
  const asked = names.ticket();
  await revoke('a');
  const looked = names.lookupTicket();
  names.changing(DIRECTORY, name('a'));
  names.unlinked(DIRECTORY, name('a'), asked);
  names.changed(DIRECTORY, name('a'));
  names.told(looked, DIRECTORY, name('a'), 10);
  t.equal(names.find(DIRECTORY, name('a')), undefined);
});

t.test('a directory in which others change very many names is forgotten', async t => {
  const { names, revoke } = await fixture();
  for (let round = 0; round < 5; round += 1)
    await revoke(...Array.from({ length: 1000 }, (_, index) => `${round}-${index}`));
  t.equal(names.find(DIRECTORY, name('b')), undefined);
  t.notOk(names.isKnown(DIRECTORY));
});

t.test(
  'of a directory that another client has in its turn nothing is answered until it is here again',
  async t => {
    const { names, leave } = await fixture();
    await leave(100);
    t.equal(names.find(DIRECTORY, name('a')), undefined);
    t.notOk(names.isKnown(DIRECTORY));
    t.equal(names.page(DIRECTORY, NOTHING, 10), undefined);
    names.told(names.lookupTicket(), DIRECTORY, name('a'), 10);
    t.equal(names.find(DIRECTORY, name('a')), undefined);
    const changed = {
      since: 50,
      names: [
        { at: 90, name: name('b') },
        { at: 101, name: name('c') },
      ],
    };
    names.resume(DIRECTORY, changed);
    t.equal(names.find(DIRECTORY, name('a')), 10, 'as it was');
    t.equal(names.find(DIRECTORY, name('b')), 11, 'changed before it was left');
    t.equal(names.find(DIRECTORY, name('c')), undefined, 'changed since');
    t.equal(names.find(DIRECTORY, name('d')), 0);
  },
);

t.test('a directory that was left is forgotten when it is not known what has changed in it', async t => {
  for (const changed of [undefined, { since: 101, names: [] }]) {
    const { names, leave } = await fixture();
    await leave(100);
    names.resume(DIRECTORY, changed);
    t.equal(names.find(DIRECTORY, name('a')), undefined);
    t.equal(names.find(DIRECTORY, name('z')), undefined);
  }
});

t.test('a directory that was left twice is what it was the first time', async t => {
  const { names, leave } = await fixture();
  await leave(100);
  await leave(200);
  names.resume(DIRECTORY, { since: 50, names: [{ at: 150, name: name('a') }] });
  t.equal(names.find(DIRECTORY, name('a')), undefined);
  t.equal(names.find(DIRECTORY, name('b')), 11);
});

t.test(
  'of a directory that is not known single names are: that they are not there, and what was made of them',
  async t => {
    const { names, revoke, leave } = await fixture();
    names.forget(DIRECTORY);
    names.told(names.lookupTicket(), DIRECTORY, name('a'), 10);
    t.equal(names.find(DIRECTORY, name('a')), undefined, 'what is there the kernel keeps');
    names.told(names.lookupTicket(), DIRECTORY, name('new'), 0);
    names.told(names.lookupTicket(), DIRECTORY, name('later'), 0);
    t.equal(names.find(DIRECTORY, name('new')), 0);
    t.equal(names.find(DIRECTORY, name('b')), undefined, 'nothing is known of the others');
    t.notOk(names.isKnown(DIRECTORY));
    t.equal(names.page(DIRECTORY, NOTHING, 10), undefined);
    names.linked(DIRECTORY, name('new'), 20);
    t.equal(names.find(DIRECTORY, name('new')), 20);
    names.unlinked(DIRECTORY, name('new'));
    t.equal(names.find(DIRECTORY, name('new')), 0);
    await revoke('new');
    t.equal(names.find(DIRECTORY, name('new')), undefined, 'another client changed it');
    await leave(100);
    t.equal(names.find(DIRECTORY, name('later')), undefined);
    names.resume(DIRECTORY, { since: 50, names: [] });
    t.equal(names.find(DIRECTORY, name('later')), 0);
    t.equal(names.find(DIRECTORY, name('new')), undefined);
  },
);

t.test('an answer from before an own change does not say that what was made is not there', async t => {
  const { names } = await fixture();
  names.forget(DIRECTORY);
  const asked = names.lookupTicket();
  names.changing(DIRECTORY, name('made'));
  names.linked(DIRECTORY, name('made'), 20, names.ticket());
  names.changed(DIRECTORY, name('made'));
  names.told(asked, DIRECTORY, name('made'), 0);
  t.equal(names.find(DIRECTORY, name('made')), undefined, 'of a directory of which nothing was known');
  const first = names.lookupTicket();
  const second = names.lookupTicket();
  names.told(first, DIRECTORY, name('ahead'), 0);
  names.linked(DIRECTORY, name('ahead'), 21);
  names.told(second, DIRECTORY, name('ahead'), 0);
  t.equal(names.find(DIRECTORY, name('ahead')), 21, 'of one of which single names were');
});
