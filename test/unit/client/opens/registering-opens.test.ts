/**
 * When a client tells the metadata server what it has open and what not any more, with a server that answers when the test
 * says so (client/opens/open-inodes.ts). What that is good for is seen in open-inodes.test.ts.
 */
import t, { type Test } from 'tap';
import { OpenInodes } from '../../../../src/client/opens/open-inodes.js';
import { open, release } from '../../../../src/protocol/content-commands.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { MAX_RELEASED } from '../../../../src/protocol/limits.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { LOG, refusal } from '../../metadata/support/harness.js';
import { record } from '../../rules/records.js';
import { Answers, startRequests } from '../support/scripted-requests.js';

const RELEASE_AFTER_MS = 5;
const DIRECTORY = 1;
const NAME = Buffer.from('name');
const FILE = 5;
const OTHER = 6;

/** A client that knows two files, and may have so many open. */
async function scene(t: Test, maxOpenInodes = 100) {
  const told: string[] = [];
  const script = {
    isSlow: false,
    refusal: undefined as DfsError | undefined,
    onRelease: (): void => undefined,
  };
  const answers = new Answers<void>();
  const routes = new Routes()
    .on(open, async ({ inode, access }) => {
      told.push(access === undefined ? `open ${inode}` : `open ${inode} for ${access}`);
      if (script.isSlow) await answers.next();
      if (script.refusal) throw script.refusal;
      return { attributes: record({ inode }) };
    })
    .on(release, async ({ inodes }) => {
      told.push(`release ${inodes.join()}`);
      script.onRelease();
      if (script.isSlow) await answers.next();
      if (script.refusal) throw script.refusal;
      return {};
    });
  const { session: server, requests, caches, lease, metadata } = await startRequests(t, routes);
  const clock = new ManualClock();
  const opens = new OpenInodes({ clock, log: LOG, server, requests, caches, maxOpenInodes });
  t.teardown(() => opens.close());
  const { attributes } = caches;
  for (const inode of [FILE, OTHER]) attributes.keep(attributes.ticket(), record({ inode }));
  const revoke = async (inode: number): Promise<void> =>
    await opens.drop({ inodes: [{ inode, version: 1 }], names: [], directories: [], everything: false });
  /** The time has come at which closed files are given back. */
  const passed = async (count: number): Promise<void> => {
    clock.advance(RELEASE_AFTER_MS);
    await waitUntil(() => told.length >= count, { what: `${count} requests` });
  };
  return { told, script, answers, opens, caches, lease, metadata, clock, server, revoke, passed };
}

t.test('a file that is opened is asked for with what the caller wants', async t => {
  const { opens, told } = await scene(t);
  t.match(await opens.open(FILE, 6, { uid: 1, gid: 1, groups: [] }), { inode: FILE });
  await opens.open(FILE, 4, undefined);
  t.same(told, [`open ${FILE} for 6`, `open ${FILE}`]);
});

t.test('an open that is refused counts no handle, and leaves those that there are', async t => {
  const { opens, script } = await scene(t);
  script.refusal = new DfsError('EACCES', 'not for you');
  t.equal(await refusal(opens.open(FILE, 4, undefined)), 'EACCES');
  t.notOk(opens.has(FILE));
  opens.recordOpen(FILE);
  t.equal(await refusal(opens.open(FILE, 4, undefined)), 'EACCES');
  t.ok(opens.has(FILE));
});

t.test('no more files are open than may be: the next one is refused, another handle is not', async t => {
  const { opens, told } = await scene(t, 1);
  t.ok(opens.hasRoom);
  opens.recordOpen(FILE);
  opens.recordOpen(FILE);
  t.notOk(opens.hasRoom);
  t.equal(await refusal(opens.open(OTHER, 4, undefined)), 'ENFILE');
  t.throws(() => opens.openKnown(OTHER), { code: 'ENFILE' });
  t.throws(() => opens.recordOpenAhead(OTHER), { code: 'ENFILE' });
  t.throws(() => opens.requireRoom(), { code: 'ENFILE' });
  t.notOk(opens.has(OTHER));
  t.same(told, [], 'nobody was asked');
  await opens.release(FILE);
  t.notOk(opens.hasRoom);
  await opens.release(FILE);
  t.ok(opens.hasRoom);
});

t.test('a file that the server opened for a client without room is given back', async t => {
  const { opens, told, passed } = await scene(t, 1);
  opens.recordOpened(FILE);
  t.throws(() => opens.recordOpened(OTHER), { code: 'ENFILE' });
  await new Promise(setImmediate);
  await passed(1);
  t.same(told, [`release ${OTHER}`]);
});

t.test('a file that is opened from memory is told to nobody, unless somebody may take it away', async t => {
  const { opens, told, revoke } = await scene(t);
  t.match(opens.openKnown(FILE), { inode: FILE });
  t.equal(opens.openKnown(99), undefined, 'what is not known is not opened');
  t.same(told, []);
  await revoke(OTHER);
  t.same(told, [], 'of another one');
  await revoke(FILE);
  t.same(told, [`open ${FILE}`], 'before the revocation is answered');
  await revoke(FILE);
  await opens.dropAll();
  t.equal(told.length, 1, 'once');
});

t.test(
  'a revocation, and the loss of the lease, are answered when the server knows what is open',
  async t => {
    const { opens, answers, script, revoke, told } = await scene(t);
    script.isSlow = true;
    opens.openKnown(FILE);
    opens.recordOpenAhead(OTHER);
    const done: string[] = [];
    const dropped = opens.dropAll().then(() => done.push('all'));
    await waitUntil(() => answers.count === 2, { what: 'both are told' });
    const revoked = revoke(FILE).then(() => done.push('one'));
    const telling = opens.tell([FILE]).then(() => done.push('told'));
    const again = opens.dropAll().then(() => done.push('all again'));
    await revoke(99);
    await new Promise(setImmediate);
    t.same(done, [], 'also when somebody else has begun to tell it');
    answers.give();
    answers.give();
    await Promise.all([dropped, revoked, telling, again]);
    t.same(told.sort(), [`open ${FILE}`, `open ${OTHER}`]);
  },
);

t.test('before a name is taken away the server knows of what it leads to', async t => {
  const { opens, told, caches, lease } = await scene(t);
  caches.names.created(lease.ticket(), DIRECTORY, DIRECTORY);
  caches.names.linked(DIRECTORY, NAME, FILE);
  opens.openKnown(FILE);
  opens.openKnown(OTHER);
  const result = await opens.removing(DIRECTORY, NAME, async () => {
    t.same(told, [`open ${FILE}`], 'and of nothing else');
    t.equal(opens.openKnown(FILE), undefined, 'it may be gone already');
    return 'removed';
  });
  t.equal(result, 'removed');
  t.ok(opens.openKnown(FILE));
});

t.test(
  'before a name of which nothing is known is taken away, the server knows of all that is open',
  async t => {
    const { opens, told } = await scene(t);
    opens.openKnown(FILE);
    opens.openKnown(OTHER);
    const failing = opens.removing(DIRECTORY, NAME, async () => {
      t.same([...told].sort(), [`open ${FILE}`, `open ${OTHER}`]);
      return await Promise.reject(new DfsError('ENOENT', 'no such name'));
    });
    t.equal(await refusal(failing), 'ENOENT');
    t.ok(opens.openKnown(FILE), 'a removal that failed is over, too');
  },
);

t.test('a removal waits for what is being told already', async t => {
  const { opens, script, answers } = await scene(t);
  script.isSlow = true;
  opens.openKnown(FILE);
  const dropped = opens.dropAll();
  await waitUntil(() => answers.count === 1, { what: 'it is told' });
  let isRemoved = false;
  const removing = opens.removing(DIRECTORY, NAME, async () => void (isRemoved = true));
  await new Promise(setImmediate);
  t.notOk(isRemoved);
  answers.give();
  await Promise.all([removing, dropped]);
  t.ok(isRemoved);
});

t.test('a file that is gone when the server hears of it keeps no revocation waiting', async t => {
  const { opens, script, revoke } = await scene(t);
  script.refusal = new DfsError('ENOENT', 'no such inode');
  opens.openKnown(FILE);
  await revoke(FILE);
  t.ok(opens.has(FILE));
});

t.test('files that are closed together are given back together', async t => {
  const { opens, told, clock, passed } = await scene(t);
  for (const inode of [FILE, OTHER]) await opens.open(inode, 4, undefined);
  await opens.release(FILE);
  clock.advance(RELEASE_AFTER_MS - 1);
  await opens.release(OTHER);
  t.equal(told.length, 2);
  clock.advance(1);
  await passed(3);
  t.same(told.slice(2), [`release ${FILE},${OTHER}`]);
});

t.test('very many are given back in several requests', async t => {
  const { opens, told, passed } = await scene(t, MAX_RELEASED + 1);
  const inodes = Array.from({ length: MAX_RELEASED + 1 }, (_, index) => index + 10);
  for (const inode of inodes) opens.recordOpened(inode);
  await Promise.all(inodes.map(async inode => await opens.release(inode)));
  await passed(2);
  t.same(told, [`release ${inodes.slice(0, MAX_RELEASED).join()}`, `release ${inodes.at(-1)}`]);
});

t.test('a file of which the server was not told is not given back', async t => {
  const { opens, told, clock, server } = await scene(t);
  opens.openKnown(FILE);
  await opens.release(FILE);
  clock.advance(RELEASE_AFTER_MS);
  await server.renewOn(await server.connect(0), 5000);
  t.same(told, []);
});

t.test('a file that is closed while the server is told of it is given back after that', async t => {
  const { opens, told, script, answers, passed, clock, server } = await scene(t);
  script.isSlow = true;
  opens.openKnown(FILE);
  const dropped = opens.dropAll();
  await waitUntil(() => answers.count === 1, { what: 'it is told' });
  const released = opens.release(FILE);
  clock.advance(RELEASE_AFTER_MS);
  await server.renewOn(await server.connect(0), 5000);
  t.same(told, [`open ${FILE}`], 'not before');
  script.isSlow = false;
  answers.give();
  await Promise.all([dropped, released]);
  await passed(2);
  t.same(told, [`open ${FILE}`, `release ${FILE}`]);
});

t.test('a file that is opened again in time is not given back', async t => {
  const { opens, told, passed } = await scene(t);
  for (const inode of [FILE, OTHER]) await opens.open(inode, 4, undefined);
  for (const inode of [FILE, OTHER]) await opens.release(inode);
  t.ok(opens.openKnown(FILE));
  await passed(3);
  t.same(told.slice(2), [`release ${OTHER}`]);
  await opens.dropAll();
  t.equal(told.length, 3, 'the server still has it open');
});

t.test(
  'what was being given back when the connection broke is given back again, but for what was opened',
  async t => {
    const { opens, told, script, metadata, passed } = await scene(t);
    for (const inode of [FILE, OTHER]) await opens.open(inode, 4, undefined);
    for (const inode of [FILE, OTHER]) await opens.release(inode);
    script.onRelease = () => {
      script.onRelease = () => undefined;
      opens.openKnown(FILE);
      metadata.breakConnections();
    };
    await passed(4);
    t.same(told.slice(2), [`release ${FILE},${OTHER}`, `release ${OTHER}`]);
  },
);

t.test('what the server does not take back is left to the end of the session', async t => {
  const { opens, told, script, passed, clock, server } = await scene(t);
  await opens.open(FILE, 4, undefined);
  script.refusal = new DfsError('EIO', 'broken');
  await opens.release(FILE);
  await passed(2);
  await server.renewOn(await server.connect(0), 5000);
  clock.advance(RELEASE_AFTER_MS);
  await server.renewOn(await server.connect(0), 5000);
  t.same(told.slice(1), [`release ${FILE}`]);
});

t.test('what is declared as the session is resumed need not be told again', async t => {
  const { opens, told } = await scene(t);
  opens.openKnown(FILE);
  opens.recordOpenAhead(OTHER);
  t.same(opens.declareAll(), [FILE, OTHER]);
  await opens.dropAll();
  t.same(told, []);
});

t.test('closed, it gives nothing back: the session ends', async t => {
  const { opens, told, clock, server } = await scene(t);
  await opens.open(FILE, 4, undefined);
  await opens.release(FILE);
  opens.close();
  opens.close();
  clock.advance(RELEASE_AFTER_MS);
  await server.renewOn(await server.connect(0), 5000);
  t.same(told, [`open ${FILE}`]);
});
