/** When a client asks for inodes to have them to itself, and what it learns with them (client/leases/acquisition.ts). */
import t from 'tap';
import { divideCache } from '../../../../src/client/caches/cache-sizes.js';
import { MetadataCaches } from '../../../../src/client/caches/metadata-caches.js';
import { Acquisition, type AcquisitionOptions } from '../../../../src/client/leases/acquisition.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { S_IFDIR } from '../../../../src/protocol/file-mode.js';
import type { Holding } from '../../../../src/protocol/session-commands.js';
import { LOG } from '../../metadata/support/harness.js';
import { record } from '../../rules/records.js';
import { leasedClient } from '../support/leased-client.js';

const LEASE_MS = 600_000;
const FILE = 5;
const DIRECTORY = 100;

type Reply = Awaited<ReturnType<AcquisitionOptions['ask']>>;

const reply = (given: readonly number[], holding?: Holding): Reply => ({
  given: given.map(first => ({ first, count: 1 })),
  freeBytes: 0,
  ...(holding ? { holding } : {}),
});
const holding = (given: Partial<Holding> = {}): Holding => ({
  attributes: record({ inode: FILE, size: 9 }),
  hasXattrs: false,
  ...given,
});

/** A client with a lease, whose requests the script answers; at first with nothing. */
async function scene() {
  const { clock, lease, held } = await leasedClient(LEASE_MS);
  const caches = new MetadataCaches(lease, divideCache(1 << 20));
  const { attributes, names, xattrs } = caches;
  const asked: (readonly [inodes: readonly number[], turn: boolean])[] = [];
  const script: { answer: () => Reply | Promise<Reply> } = { answer: () => reply([]) };
  const ask = async (inodes: readonly number[], turn: boolean): Promise<Reply> => {
    asked.push([inodes, turn]);
    return await script.answer();
  };
  const acquisition = new Acquisition({ clock, log: LOG, lease, held, names, attributes, xattrs, ask });
  return { clock, lease, caches, attributes, names, xattrs, held, asked, script, acquisition };
}

t.test('an inode that the server gives is this client’s, with what was told of it', async t => {
  const { acquisition, script, asked, held, attributes, xattrs } = await scene();
  script.answer = () => reply([FILE], holding());
  t.ok(await acquisition.acquire(FILE));
  t.same(asked, [[[FILE], true]]);
  t.ok(held.has(FILE));
  t.equal(attributes.get(FILE)?.size, 9);
  t.equal(xattrs.all(FILE)?.size, 0);
  t.ok(await acquisition.acquire(FILE));
  t.equal(asked.length, 1, 'nobody is asked for what it has');
});

t.test('extended attributes that there are stay unknown', async t => {
  const { acquisition, script, xattrs } = await scene();
  script.answer = () => reply([FILE], holding({ hasXattrs: true }));
  t.ok(await acquisition.acquire(FILE));
  t.equal(xattrs.all(FILE), undefined);
});

t.test('who wants the same inode meanwhile waits for the same answer', async t => {
  const { acquisition, script, asked } = await scene();
  let answer: ((given: Reply) => void) | undefined;
  script.answer = async () => await new Promise<Reply>(resolve => (answer = resolve));
  const acquiring = [1, 2, 3].map(async () => await acquisition.acquire(FILE));
  answer?.(reply([FILE], holding()));
  t.same(await Promise.all(acquiring), [true, true, true]);
  t.equal(asked.length, 1);
});

t.test('without a lease nothing is asked for', async t => {
  const { acquisition, clock, asked } = await scene();
  clock.advance(LEASE_MS);
  t.notOk(await acquisition.acquire(FILE));
  t.same(asked, []);
});

t.test('what was refused is asked for again after pauses that grow to a tenth of a second', async t => {
  const { acquisition, clock, asked } = await scene();
  for (const pauseMs of [2, 4, 8, 16, 32, 64, 100, 100]) {
    const count = asked.length;
    t.notOk(await acquisition.acquire(FILE));
    t.equal(asked.length, count + 1);
    clock.advance(pauseMs - 1);
    t.notOk(await acquisition.acquire(FILE));
    t.equal(asked.length, count + 1, `not within ${pauseMs} ms`);
    clock.advance(1);
  }
});

t.test('an inode that was given once is refused for a short while first', async t => {
  const { acquisition, clock, asked, script, held } = await scene();
  for (const pauseMs of [2, 4]) {
    await acquisition.acquire(FILE);
    clock.advance(pauseMs);
  }
  script.answer = () => reply([FILE], holding());
  t.ok(await acquisition.acquire(FILE));
  held.recall([{ first: FILE, count: 1 }]);
  script.answer = () => reply([]);
  t.notOk(await acquisition.acquire(FILE));
  clock.advance(2);
  const count = asked.length;
  await acquisition.acquire(FILE);
  t.equal(asked.length, count + 1);
});

t.test('a request that fails refuses the inode, and nothing else', async t => {
  const { acquisition, script } = await scene();
  script.answer = () => {
    throw new DfsError('EIO', 'no server');
  };
  t.notOk(await acquisition.acquire(FILE));
  script.answer = () => reply([6], holding());
  t.ok(await acquisition.acquire(6));
});

t.test('an inode that was recalled while its answer was on the way is not this client’s', async t => {
  const { acquisition, script, held, attributes } = await scene();
  script.answer = () => {
    held.recall([{ first: FILE, count: 1 }]);
    return reply([FILE], holding());
  };
  t.notOk(await acquisition.acquire(FILE));
  t.equal(attributes.get(FILE), undefined);
});

t.test('with a directory come the names that others have changed in it', async t => {
  const { acquisition, script, names, lease, caches } = await scene();
  const [own, others] = [Buffer.from('own'), Buffer.from('others')];
  names.created(lease.ticket(), DIRECTORY, 1);
  names.linked(DIRECTORY, own, 7);
  names.linked(DIRECTORY, others, 8);
  await lease.revoke({
    inodes: [],
    names: [],
    directories: [],
    left: [{ directory: DIRECTORY, at: 10 }],
    everything: false,
  });
  t.equal(names.find(DIRECTORY, own), undefined, 'another client has its turn');
  const changed = { since: 10, names: [{ at: 11, name: others }] };
  const attributes = record({ inode: DIRECTORY, mode: S_IFDIR | 0o755, nlink: 2 });
  script.answer = () => reply([DIRECTORY], { attributes, hasXattrs: false, changed });
  t.ok(await acquisition.acquire(DIRECTORY));
  t.equal(names.find(DIRECTORY, own), 7);
  t.equal(names.find(DIRECTORY, others), undefined);
  t.same(caches.attributes.get(DIRECTORY), attributes);
});

/** A directory of which every name is known, with files of which some are known, too. */
async function directory() {
  const given = await scene();
  const { names, lease, attributes } = given;
  names.created(lease.ticket(), DIRECTORY, 1);
  for (const inode of [11, 12, 13]) names.linked(DIRECTORY, Buffer.from(`file ${inode}`), inode);
  for (const inode of [11, 12]) attributes.keep(attributes.ticket(), record({ inode }));
  return given;
}

t.test('with a directory that changes what it holds is asked for, but for what is not known', async t => {
  const { acquisition, asked, held, script, names } = await directory();
  held.add(12);
  script.answer = () => reply([11]);
  // The directory comes with the answer to a change of a name in it, which is still under way here.
  names.changing(DIRECTORY, Buffer.from('new'));
  acquisition.learn(acquisition.ticket(), { given: [{ first: DIRECTORY, count: 1 }] }, true);
  t.ok(held.has(DIRECTORY));
  t.same(asked, [[[11], false]]);
  await new Promise(setImmediate);
  t.ok(held.has(11));
});

t.test('a directory that changes often is not looked through each time', async t => {
  const { acquisition, asked, clock } = await directory();
  const given = { given: [{ first: DIRECTORY, count: 1 }] };
  acquisition.learn(acquisition.ticket(), given, true);
  clock.advance(99);
  acquisition.learn(acquisition.ticket(), given, true);
  t.equal(asked.length, 1);
  clock.advance(1);
  acquisition.learn(acquisition.ticket(), given, true);
  t.equal(asked.length, 2);
});

t.test('an answer to a question gives what it gives, and asks for nothing more', async t => {
  const { acquisition, asked, held } = await directory();
  acquisition.learn(acquisition.ticket(), { given: [{ first: DIRECTORY, count: 1 }] }, false);
  t.ok(held.has(DIRECTORY));
  t.same(asked, []);
});

t.test('an answer from before a recall, or of another shape, gives nothing', async t => {
  const { acquisition, held } = await scene();
  const ticket = acquisition.ticket();
  held.recall([{ first: FILE, count: 1 }]);
  acquisition.learn(ticket, { given: [{ first: FILE, count: 2 }] }, false);
  t.same([held.has(FILE), held.has(FILE + 1)], [false, true]);
  for (const bad of [{ given: 'all' }, { given: [{ first: 'x' }] }, {}, { given: [] }, undefined]) {
    acquisition.learn(acquisition.ticket(), bad, true);
  }
  t.notOk(held.has(FILE));
});

t.test('a directory that the server changed, and did not give, is contested', async t => {
  const { acquisition, held, clock } = await scene();
  held.add(DIRECTORY);
  acquisition.noteChanged([DIRECTORY, 101]);
  t.notOk(acquisition.turns.isContested(DIRECTORY));
  t.ok(acquisition.turns.isContested(101));
  clock.advance(LEASE_MS);
  acquisition.noteChanged([102]);
  t.notOk(acquisition.turns.isContested(102), 'without a lease nothing could be given');
});

t.test('a turn in a contested directory is asked for', async t => {
  const { acquisition, asked } = await scene();
  acquisition.noteChanged([DIRECTORY]);
  await acquisition.turns.take(DIRECTORY, true);
  t.same(asked, [[[DIRECTORY], true]]);
});
