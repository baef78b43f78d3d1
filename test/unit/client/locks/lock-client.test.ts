/**
 * Locks of a client at a metadata server that answers what the test says: the list of locks is the truth at each moment,
 * whatever a connection swallows (client/locks/lock-client.ts). What locks do is for test/unit/vfs/locks.test.ts.
 */
import t, { type Test } from 'tap';
import { LockClient } from '../../../../src/client/locks/lock-client.js';
import { systemClock, type Clock } from '../../../../src/platform/clock.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { MAX_FILE_BYTES } from '../../../../src/protocol/limits.js';
import { cancellock, lock, testlock, unlock } from '../../../../src/protocol/lock-commands.js';
import type { Lock } from '../../../../src/protocol/types.js';
import type { RpcConnection } from '../../../../src/rpc/connection.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { connectSession } from '../support/connected-session.js';
import { ScriptedMetadata } from '../support/scripted-metadata.js';

const WANTED: Lock = { inode: 5, kind: 'posix', owner: 'a', type: 'write', start: 0, end: 9, pid: 3 };
const FLOCK: Lock = { ...WANTED, kind: 'flock', end: MAX_FILE_BYTES };
const GRANTED = { granted: true, pauseMs: 0 };
const TIMEOUT_MS = 20_000;

type Granted = typeof GRANTED;
type Tested = { known: boolean; conflict: Lock | null };

async function scene(t: Test, clock: Clock = systemClock) {
  const told: string[] = [];
  const script = {
    /** Each step answers one request for a lock; then they are granted. */
    locks: [] as (() => Granted | Promise<Granted>)[],
    cancel: async (): Promise<{ granted: boolean }> => ({ granted: false }),
    tests: [] as Tested[],
    onUnlock: (): void => undefined,
  };
  const routes = new Routes()
    .on(lock, async ({ session, request, wait }) => {
      told.push(`lock ${request} in ${session}${wait ? ', waiting' : ''}`);
      return (await script.locks.shift()?.()) ?? GRANTED;
    })
    .on(cancellock, async ({ request }) => {
      told.push(`cancel ${request}`);
      return await script.cancel();
    })
    .on(unlock, async ({ owner, start, end }) => {
      told.push(`unlock ${owner} ${start}-${end}`);
      script.onUnlock();
      return {};
    })
    .on(testlock, async () => script.tests.shift() ?? { known: true, conflict: null });
  const metadata = await ScriptedMetadata.start(t, routes);
  const session = await connectSession(t, metadata.endpoint, metadata.cable);
  const client = new LockClient(session, clock, TIMEOUT_MS);
  return { metadata, session, client, script, told, held: session.heldLocks };
}

const refuse = (code: 'EAGAIN' | 'EDEADLK' | 'ESTALE') => () => {
  throw new DfsError(code, 'the server says so');
};
const never = async (): Promise<Granted> => await new Promise<Granted>(() => undefined);

t.test('a lock is on the list from when it was granted, and off it before it is given back', async t => {
  const { client, held, told, script } = await scene(t);
  script.locks.push(() => {
    t.same(held.all(), [], 'not yet');
    return GRANTED;
  });
  await client.lock(WANTED, true);
  t.same(held.all(), [WANTED]);
  script.onUnlock = () => t.same(held.all(), [], 'what is declared now is not locked');
  await client.unlock(5, 'posix', 'a');
  t.same(told, ['lock 1 in 1, waiting', `unlock a 0-${MAX_FILE_BYTES}`]);
});

t.test('nobody is asked to unlock what is not locked', async t => {
  const { client, told } = await scene(t);
  await client.unlock(5, 'posix', 'a');
  await client.unlockAll(5);
  t.same(told, []);
});

t.test('all that anybody has locked of an inode is unlocked', async t => {
  const { client, held, told } = await scene(t);
  for (const each of [WANTED, { ...FLOCK, owner: 'b' }, { ...WANTED, inode: 6 }])
    await client.lock(each, false);
  told.length = 0;
  await client.unlockAll(5);
  t.same(told.sort(), [`unlock a 0-${MAX_FILE_BYTES}`, `unlock b 0-${MAX_FILE_BYTES}`]);
  t.same(held.all(), [{ ...WANTED, inode: 6 }]);
});

t.test('a lock that is refused is not on the list', async t => {
  for (const code of ['EAGAIN', 'EDEADLK'] as const) {
    const { client, held, script } = await scene(t);
    script.locks.push(refuse(code));
    t.equal(await refusal(client.lock(WANTED, false)), code);
    t.same(held.all(), []);
  }
});

t.test('a flock of another type gives up the old one before it has the new one; others keep it', async t => {
  const { client, held, script } = await scene(t);
  await client.lock({ ...FLOCK, type: 'read' }, false);
  script.locks.push(refuse('EAGAIN'));
  t.equal(await refusal(client.lock({ ...FLOCK, type: 'read' }, false)), 'EAGAIN');
  t.equal(held.flockType(5, 'a'), 'read', 'the same type');
  script.locks.push(refuse('EAGAIN'));
  t.equal(await refusal(client.lock(FLOCK, false)), 'EAGAIN');
  t.equal(held.flockType(5, 'a'), undefined);
  await client.lock(WANTED, false);
  script.locks.push(refuse('EAGAIN'));
  t.equal(await refusal(client.lock({ ...WANTED, type: 'read' }, false)), 'EAGAIN');
  t.same(held.all(), [WANTED], 'fcntl keeps what it had');
});

t.test('a lock that is not free is asked for again under the same number, after the pause', async t => {
  const clock = new ManualClock();
  const { client, script, told } = await scene(t, clock);
  for (const pauseMs of [TIMEOUT_MS + 1, 0]) script.locks.push(() => ({ granted: false, pauseMs }));
  const locking = client.lock(WANTED, true);
  await waitUntil(() => told.length === 1, { what: 'it is asked for' });
  const isAskedAgain = (): boolean => {
    clock.advance(TIMEOUT_MS);
    return told.length === 3;
  };
  await waitUntil(isAskedAgain, { what: 'it is asked for again, the last time without a pause' });
  await locking;
  t.same(told, ['lock 1 in 1, waiting', 'lock 1 in 1, waiting', 'lock 1 in 1, waiting']);
  await client.lock({ ...WANTED, owner: 'b' }, false);
  t.equal(told.at(-1), 'lock 2 in 1');
});

t.test('who does not want to wait waits for a restarted server, but not for ever', async t => {
  const clock = new ManualClock();
  const { client, script, held } = await scene(t, clock);
  const notYet = () => {
    clock.advance(TIMEOUT_MS / 2);
    return { granted: false, pauseMs: 0 };
  };
  script.locks.push(notYet);
  await client.lock(WANTED, false);
  t.same(held.all(), [WANTED]);
  script.locks.push(notYet, notYet, notYet);
  t.equal(await refusal(client.lock({ ...WANTED, inode: 6 }, false)), 'EAGAIN');
  t.equal(held.all().length, 1);
});

t.test('a request whose session has ended is sent in the next one, some times', async t => {
  const { client, script, told, metadata } = await scene(t);
  metadata.onRenew = refuse('ESTALE');
  script.locks.push(() => {
    metadata.current = 2;
    return refuse('ESTALE')();
  });
  await client.lock(WANTED, true);
  t.same(told, ['lock 1 in 1, waiting', 'lock 1 in 2, waiting']);
  for (let times = 0; times < 4; times += 1) script.locks.push(refuse('ESTALE'));
  t.equal(await refusal(client.lock({ ...WANTED, inode: 6 }, true)), 'ESTALE');
  t.equal(told.length, 5);
});

t.test('a request whose connection broke is sent again', async t => {
  const { client, script, told, metadata, held } = await scene(t);
  script.locks.push(async () => {
    metadata.breakConnections();
    return await never();
  });
  await client.lock(WANTED, true);
  t.same(told, ['lock 1 in 1, waiting', 'lock 1 in 1, waiting']);
  t.same(metadata.greetings.at(-1)?.locks, [], 'it was not known to be granted');
  t.same(held.all(), [WANTED]);
});

t.test('a signal takes a waiting request back', async t => {
  const { client, script, told, held } = await scene(t);
  script.locks.push(never);
  const controller = new AbortController();
  const locking = refusal(client.lock(WANTED, true, controller.signal));
  await waitUntil(() => told.length === 1, { what: 'it waits' });
  controller.abort();
  t.equal(await locking, 'EINTR');
  t.same(told, ['lock 1 in 1, waiting', 'cancel 1']);
  t.same(held.all(), []);
});

t.test('a signal that comes after the lock is too late', async t => {
  const { client, script, told, held } = await scene(t);
  script.locks.push(never);
  script.cancel = async () => ({ granted: true });
  const controller = new AbortController();
  const locking = client.lock(WANTED, true, controller.signal);
  await waitUntil(() => told.length === 1, { what: 'it waits' });
  controller.abort();
  await locking;
  t.same(held.all(), [WANTED]);
});

t.test('when nobody knows what became of it, the session is resumed without the lock', async t => {
  const { client, script, told, held, metadata } = await scene(t);
  script.locks.push(never);
  script.cancel = async () => await Promise.reject(new DfsError('EIO', 'the server cannot tell'));
  const controller = new AbortController();
  const locking = refusal(client.lock(WANTED, true, controller.signal));
  await waitUntil(() => told.length === 1, { what: 'it waits' });
  controller.abort();
  t.equal(await locking, 'EINTR');
  await waitUntil(() => metadata.greetings.length === 2, {
    what: 'the session is resumed',
    deadlineMs: 5000,
  });
  t.same(metadata.greetings[1]?.locks, []);
  t.same(held.all(), []);
  t.equal(told.filter(each => each.startsWith('lock')).length, 1, 'it is not asked for again');
});

t.test('a signal that came before anything was sent takes nothing back', async t => {
  const { client, told, metadata, held, session } = await scene(t);
  let connection: RpcConnection | undefined;
  await session.askInSession(testlock, (id, by) => {
    connection = by;
    return { session: id, lock: WANTED };
  });
  metadata.cable.cut();
  // The end of a connection is seen in the next turns of the event loop.
  await waitUntil(() => connection?.isClosed === true, { what: 'the connection is gone' });
  t.equal(await refusal(client.lock(WANTED, true, AbortSignal.abort())), 'EINTR');
  metadata.cable.mend();
  await client.lock({ ...WANTED, owner: 'b' }, false);
  t.same(told, ['lock 2 in 1'], 'the first one was never sent');
  t.match(held.all(), [{ owner: 'b' }]);
});

t.test('a lock in the way is told, once the server knows who holds what', async t => {
  const clock = new ManualClock();
  const { client, script } = await scene(t, clock);
  t.equal(await client.test(WANTED), undefined);
  const conflict = { ...WANTED, owner: 'b' };
  script.tests.push({ known: false, conflict: null }, { known: true, conflict });
  t.same(await client.test(WANTED), conflict);
});

t.test('a server that never knows who holds what is not asked for ever', async t => {
  const clock = new ManualClock();
  const { client, script } = await scene(t, clock);
  let asked = 0;
  script.tests.shift = () => {
    asked += 1;
    clock.advance(TIMEOUT_MS / 2);
    return { known: false, conflict: null };
  };
  t.equal(await refusal(client.test(WANTED)), 'EIO');
  t.equal(asked, 3);
});
