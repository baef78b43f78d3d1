import t, { type Test } from 'tap';
import type { Revocation } from '../../../src/client/leases/cache-lease.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { FileTable } from '../../../src/vfs/file-table.js';
import { ReadAhead } from '../../../src/vfs/read-ahead.js';
import { ManualClock } from '../../support/manual-clock.js';
import { connectClient } from './support/connected-client.js';
import { serve } from './support/connected-clients.js';

const INODE = 4711;

/**
 * Files of a client whose written data no data node takes.
 * @param isCaching whether the client has a lease; without it every write is buffered
 */
async function table(t: Test, isCaching = true) {
  const { client, options } = await connectClient(t, await serve(t));
  const { session } = client;
  if (isCaching) await session.beginCaching();
  const root = await session.getattr(ROOT_INODE);
  const clock = new ManualClock();
  const files = new FileTable(
    client,
    { ...options, clock },
    { onDisplaced: () => undefined, onLanded: () => undefined },
  );
  t.teardown(() => files.close());
  /** Bytes of the chunks that are being stored. */
  const storing: number[] = [];
  /** Ends what is being stored, with the reason for which it was given up. */
  const giveUp: (() => void)[] = [];
  client.writer.store = async ({ payload, refusal }) => {
    storing.push(payload.reduce((sum, piece) => sum + piece.length, 0));
    return await new Promise((_, reject) => giveUp.push(() => reject(refusal?.() ?? new Error('wanted'))));
  };
  /** How often the newest attributes were asked for. */
  let asked = 0;
  session.getattr = async inode => {
    asked += 1;
    return attributesOf(inode, 5);
  };
  const attributesOf = (inode: number, version: number): Attributes => {
    return { ...root, inode, mode: 0o100644, nlink: 1, size: 0, version };
  };
  const open = (inode = INODE, version = 5, isNew = false) => {
    return files.open(attributesOf(inode, version), session.attributes.ticket(), isNew);
  };
  const isStale = async (file: ReturnType<typeof open>): Promise<boolean> => {
    const before = asked;
    await file.read(new ReadAhead(0), 0, 1);
    return asked > before;
  };
  return { files, session, clock, open, attributesOf, isStale, storing, giveUp };
}

const revocationOf = (inode: number, version: number): Revocation => {
  return { inodes: [{ inode, version }], names: [], directories: [], everything: false };
};

t.test('one file for all handles of an inode, until the last one leaves', async t => {
  const { files, open } = await table(t);
  const file = open();
  t.equal(open(), file);
  t.equal(file.handles, 2);
  t.same([...files], [file]);
  t.same(files.among([1, INODE]), [file]);
  t.same(files.among(undefined), [file]);
  file.handles = 1;
  files.leave(file);
  t.equal(files.get(INODE), file, 'one handle is left');
  file.handles = 0;
  files.leave(file);
  t.equal(files.get(INODE), undefined);
  const again = open();
  t.not(again, file);
  file.handles = 0;
  files.leave(file);
  t.equal(files.get(INODE), again, 'what left already takes nothing along');
});

t.test('a new file is known to have no capability, one that is opened is not', async t => {
  const { open } = await table(t);
  t.ok(open(1, 5, true).hasNoCapability);
  t.notOk(open(2, 5, false).hasNoCapability);
});

t.test('a reply that a later one overtook does not count', async t => {
  const { open, files, isStale } = await table(t);
  const file = open(INODE, 9, true);
  t.notOk(await isStale(file));
  file.handles = 0;
  files.leave(file);
  const again = open(INODE, 7, true);
  t.notOk(again.hasNoCapability);
  t.ok(await isStale(again));
});

t.test('attributes that were revoked before the file was there are asked for anew', async t => {
  const { session, files, attributesOf, isStale } = await table(t);
  const ticket = session.attributes.ticket();
  await session.lease.revoke(revocationOf(INODE, 6));
  t.ok(await isStale(files.open(attributesOf(INODE, 5), ticket, false)));
});

t.test('a revocation reaches the file that it names', async t => {
  const { session, open, isStale } = await table(t);
  const [file, other] = [open(), open(INODE + 1)];
  await session.lease.revoke(revocationOf(INODE, 6));
  t.ok(await isStale(file));
  t.notOk(await isStale(other));
});

t.test('a file without a name', async t => {
  const { files, open } = await table(t);
  const file = open();
  t.notOk(files.isNameless(file));
  files.forget(INODE);
  t.ok(files.isNameless(file));
});

t.test(
  'changes that the server lost with its power: open files report it, others at the next open',
  async t => {
    const { files, session, open } = await table(t);
    const file = open();
    session.onServerStarted([INODE, INODE + 1]);
    t.equal(file.failures, 1);
    t.equal(file.lastFailure?.code, 'EIO');
    t.equal(file.attributes.version, 0, 'whatever the server tells is newer');
    t.equal(files.failures.untold?.code, 'EIO');
    const other = open(INODE + 1);
    t.equal(other.failures, 0);
    files.failures.handTo(other);
    t.equal(other.failures, 1);
    t.equal(files.failures.untold, undefined);
  },
);

t.test('a change that was acknowledged and is lost is a failure of its file', async t => {
  const { session, open } = await table(t);
  const file = open();
  session.onChangesLost([INODE], new DfsError('ENOSPC', 'for a test'));
  t.equal(file.lastFailure?.code, 'ENOSPC');
});

t.test('a session that is lost takes what is not committed along', async t => {
  const { session, open, giveUp } = await table(t, false);
  const file = open(INODE, 5, true);
  await file.write(0, Buffer.from('bytes'));
  t.equal(file.isDirty, true);
  session.onSessionLost();
  await new Promise(resolve => setImmediate(resolve));
  for (const each of giveUp) each();
  await file.settledInTime();
  t.equal(file.isDirty, false);
  t.equal(file.lastFailure?.code, 'EIO');
});

t.test('written data is sent when it is half a second old, as long as the table is open', async t => {
  const { files, clock, open, storing } = await table(t, false);
  const file = open(INODE, 5, true);
  await file.write(0, Buffer.from('bytes'));
  clock.advance(400);
  await new Promise(resolve => setImmediate(resolve));
  t.same(storing, [], 'more may follow');
  clock.advance(400);
  clock.advance(20);
  await new Promise(resolve => setImmediate(resolve));
  t.same(storing, [5]);
  files.close();
  files.close();
  const other = open(INODE + 1, 5, true);
  await other.write(0, Buffer.from('later'));
  clock.advance(10_000);
  await new Promise(resolve => setImmediate(resolve));
  t.same(storing, [5]);
});
