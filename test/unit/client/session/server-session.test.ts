/**
 * A client's session at the metadata server, with a server that answers what the test says: what is declared when it begins
 * or is resumed, who is told of the answer, and when it is renewed (client/session/server-session.ts).
 */
import t, { type Test } from 'tap';
import { DfsError } from '../../../../src/protocol/errors.js';
import { LEASE_RENEW_MS, SESSION_RENEW_MS } from '../../../../src/protocol/limits.js';
import { end } from '../../../../src/protocol/session-commands.js';
import type { Lock } from '../../../../src/protocol/types.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { ScriptedMetadata, sessionAt } from '../support/scripted-metadata.js';

const LOCK: Lock = { inode: 5, kind: 'posix', owner: 'a1', type: 'write', start: 0, end: 9, pid: 3 };
const HELD = [{ first: 20, count: 3 }];
/** Longer than a request of a session may stay without an answer. */
const SILENCE_MS = 5001;

t.test('a session begins with everything that the client has', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const state = { opens: () => [7, 8], unsynced: () => [1, 4], held: () => HELD };
  const { session, heldLocks, lease, told } = sessionAt(t, metadata, state, undefined, 'n'.repeat(300));
  heldLocks.add(LOCK);
  lease.want();
  metadata.greeted = { leaseMs: 60_000 };
  await session.start();
  const [greeting] = metadata.greetings;
  t.match(greeting, { session: 0, opens: [7, 8], unsynced: [1, 4], caches: true, held: HELD });
  t.same(greeting?.locks, [LOCK]);
  t.equal(greeting?.secret.length, 0);
  t.equal(greeting?.client.length, 255, 'a name that is too long for the wire is cut');
  t.same([session.id, session.cluster], [1, 'cluster']);
  await lease.begun();
  t.ok(lease.isAlive, 'the lease comes with the answer');
  t.notMatch(told, ['session lost'], 'there was none before');
});

t.test('a server that is not there is told at once', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session } = sessionAt(t, metadata);
  metadata.cable.cut();
  t.equal(await refusal(session.start()), 'EHOSTUNREACH');
  t.same(metadata.greetings, []);
});

t.test('a session is resumed under its number and secret when the connection broke, unasked', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session, told } = sessionAt(t, metadata);
  await session.start();
  metadata.breakConnections();
  await waitUntil(() => told.length === 2, { what: 'the session is resumed' });
  t.match(metadata.greetings[1], { session: 1, secret: Buffer.alloc(16, 1) });
  t.same(told, ['resumed false ', 'resumed false ']);
});

t.test('locks that the server let go are told, and declared no more', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session, heldLocks, told } = sessionAt(t, metadata, { held: () => HELD });
  await session.start();
  heldLocks.add(LOCK);
  metadata.greeted = { locksKept: false };
  metadata.breakConnections();
  await waitUntil(() => told.length === 3, { what: 'the session is resumed' });
  t.same(told.slice(1), ['locks on 5 lost', 'resumed false ']);
  t.same(heldLocks.all(), []);
  t.same(
    metadata.greetings.slice(1).map(({ locks, held }) => [locks, held]),
    [
      [[LOCK], HELD],
      [[], HELD],
    ],
    'the server hears that the client knows, and that the rest is as it was',
  );
});

t.test('inodes that others may have used are told, and locks are kept', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session, heldLocks, told } = sessionAt(t, metadata, { held: () => HELD });
  await session.start();
  heldLocks.add(LOCK);
  metadata.greeted = { heldKept: false };
  metadata.breakConnections();
  await waitUntil(() => told.length === 3, { what: 'the session is resumed' });
  t.same(told.slice(1), ['held lost', 'resumed false ']);
  t.same(
    metadata.greetings.slice(1).map(({ locks, held }) => [locks, held]),
    [
      [[LOCK], HELD],
      [[LOCK], []],
    ],
  );
});

t.test('nobody is told of lost locks who had none', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session, told } = sessionAt(t, metadata);
  await session.start();
  metadata.greeted = { locksKept: false };
  metadata.breakConnections();
  await waitUntil(() => told.length === 2, { what: 'the session is resumed' });
  t.same(told, ['resumed false ', 'resumed false ']);
});

t.test(
  'a session that the server ended is lost with its lease and its locks, and another one begins',
  async t => {
    const metadata = await ScriptedMetadata.start(t);
    const { session, heldLocks, lease, told } = sessionAt(t, metadata);
    lease.want();
    metadata.greeted = { leaseMs: 60_000 };
    await session.start();
    await lease.begun();
    heldLocks.add(LOCK);
    let dropped = 0;
    lease.addKeeper({ drop: async () => undefined, dropAll: async () => void (dropped += 1) });
    metadata.current = 2;
    metadata.greeted = { heldKept: false };
    metadata.breakConnections();
    await waitUntil(() => session.id === 2, { what: 'a new session begins' });
    t.same(told.slice(1), ['locks on 5 lost', 'session lost', 'resumed false ']);
    t.ok(dropped > 0, 'everything that was cached is dropped');
    t.equal(metadata.greetings.length, 2, 'a new session needs no second greeting');
    metadata.greeted = {};
    metadata.breakConnections();
    await waitUntil(() => told.length === 5, { what: 'the new one is resumed' });
    t.match(metadata.greetings[2], { session: 2, secret: Buffer.alloc(16, 2) });
  },
);

t.test('another start of the server, and what it lost with its power, is told', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session, told } = sessionAt(t, metadata, { unsynced: () => [3, 4] });
  await session.start();
  metadata.greeted = { run: 'another', lost: [4] };
  metadata.breakConnections();
  await waitUntil(() => told.length === 2, { what: 'the session is resumed' });
  t.same(told, ['resumed false ', 'resumed true 4']);
});

/** A server that tells a later time with each renewal, by which it is seen that its answer has arrived. */
async function telling(t: Test, clock: ManualClock) {
  const metadata = await ScriptedMetadata.start(t);
  const scene = sessionAt(t, metadata, {}, clock);
  await scene.session.start();
  const toldSec = (count: number): number => clock.now().sec + 1000 * count;
  metadata.onRenew = () => ({ leaseMs: 4000, now: { sec: toldSec(metadata.renewals.length), nsec: 0 } });
  const arrived = async (count: number): Promise<void> =>
    await waitUntil(() => scene.serverClock.now().sec >= toldSec(count), { what: `renewal ${count}` });
  /** Whatever was sent before has arrived. */
  const settled = async (): Promise<void> => {
    const connection = await scene.session.connect(0);
    await connection.call(end, { session: 99 }, { timeoutMs: 1000 });
  };
  return { ...scene, metadata, arrived, settled };
}

t.test('a client that caches nothing renews its session each ten seconds', async t => {
  const clock = new ManualClock();
  const { metadata, arrived, settled } = await telling(t, clock);
  for (const count of [1, 2]) {
    clock.advance(SESSION_RENEW_MS - 1);
    await settled();
    t.equal(metadata.renewals.length, count - 1);
    clock.advance(1);
    await arrived(count);
  }
  t.same(metadata.renewals[0], { session: 1, caches: false });
});

t.test('a client that caches renews each second, counted from when it asked', async t => {
  const clock = new ManualClock();
  const { session, lease, metadata, arrived, settled } = await telling(t, clock);
  lease.want();
  const { onRenew } = metadata;
  metadata.onRenew = () => {
    clock.advance(300);
    return onRenew();
  };
  session.scheduleRenewal();
  clock.advance(LEASE_RENEW_MS);
  await arrived(1);
  t.same(metadata.renewals, [{ session: 1, caches: true }]);
  t.ok(lease.isAlive);
  metadata.onRenew = onRenew;
  clock.advance(LEASE_RENEW_MS - 301);
  await settled();
  t.equal(metadata.renewals.length, 1);
  clock.advance(1);
  await arrived(2);
});

t.test('a lease counts from when it was asked for, however long the answer took', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const clock = new ManualClock();
  const { session, lease } = sessionAt(t, metadata, {}, clock);
  await session.start();
  lease.want();
  metadata.onRenew = () => {
    clock.advance(1500);
    return { leaseMs: 4000 };
  };
  await session.renewOn(await session.connect(0), 60_000);
  await lease.begun();
  clock.advance(2499);
  t.ok(lease.isAlive);
  clock.advance(1);
  t.notOk(lease.isAlive);
});

t.test('a renewal that finds the session ended begins another one', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session, told } = sessionAt(t, metadata);
  await session.start();
  metadata.current = 2;
  metadata.onRenew = () => {
    throw new DfsError('ESTALE', 'no such session');
  };
  session.scheduleRenewal(0);
  await waitUntil(() => session.id === 2, { what: 'a new session begins' });
  t.ok(told.includes('session lost'));
});

t.test('a renewal that stays without an answer is made on a new connection', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const clock = new ManualClock();
  const { session } = sessionAt(t, metadata, {}, clock);
  await session.start();
  let isSilent = true;
  const never = new Promise<never>(() => undefined);
  metadata.onRenew = async () => (isSilent ? await never : { leaseMs: 0 });
  clock.advance(SESSION_RENEW_MS);
  await waitUntil(() => metadata.renewals.length === 1, { what: 'it is asked' });
  isSilent = false;
  clock.advance(SILENCE_MS);
  await waitUntil(() => metadata.greetings.length === 2, { what: 'another connection' });
  clock.advance(SESSION_RENEW_MS);
  await waitUntil(() => metadata.renewals.length === 2, { what: 'it is asked again' });
});

t.test('a refused request has the session looked at: only an ended one closes the connection', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session } = sessionAt(t, metadata);
  await session.start();
  const connection = await session.connect(0);
  await session.check(connection);
  t.notOk(connection.isClosed, 'the session is there; ESTALE was of something else');
  metadata.onRenew = () => {
    throw new DfsError('ENOSPC', 'a disk is full');
  };
  await session.check(connection);
  t.notOk(connection.isClosed, 'nothing is known of the session');
  metadata.onRenew = () => {
    throw new DfsError('ESTALE', 'no such session');
  };
  await session.check(connection);
  t.ok(connection.isClosed);
  const asked = metadata.renewals.length;
  await session.check(connection);
  await session.check(undefined);
  t.equal(metadata.renewals.length, asked, 'nobody is asked without a connection');
});

t.test('a session is ended once, and neither renewed nor resumed after that', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const clock = new ManualClock();
  const { session } = sessionAt(t, metadata, {}, clock);
  await session.start();
  await Promise.all([session.close(), session.close()]);
  t.same(metadata.ended, [1]);
  t.ok(session.isClosed);
  session.scheduleRenewal(0);
  clock.advance(2 * SESSION_RENEW_MS);
  t.equal(await refusal(session.connect(0)), 'ECONNRESET');
  t.same([metadata.renewals.length, metadata.greetings.length], [0, 1]);
});

t.test('a session is closed without its server, too', async t => {
  const metadata = await ScriptedMetadata.start(t);
  const { session } = sessionAt(t, metadata);
  await session.start();
  metadata.cable.cut();
  await session.close();
  t.same(metadata.ended, []);
});
