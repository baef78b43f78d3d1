import t, { type Test } from 'tap';
import { LockService } from '../../../src/metadata/locks/lock-service.js';
import type { LockAnswer } from '../../../src/metadata/locks/lock-queue.js';
import type { Peer } from '../../../src/metadata/peer.js';
import { renew, session as sessionOperation } from '../../../src/metadata/operations/session.js';
import { SessionTable } from '../../../src/metadata/session-table.js';
import {
  LOST_CONNECTION_MS,
  LOCK_POLL_MS,
  MAX_FILE_BYTES,
  SESSION_RENEW_MS,
  SESSION_TIMEOUT_MS,
} from '../../../src/protocol/limits.js';
import type { Lock } from '../../../src/protocol/types.js';
import { ManualClock } from '../../support/manual-clock.js';
import { refusal, startHarness, type Harness, type TestClient } from './support/harness.js';

const INODE = 7;

function posix(owner: string, type: Lock['type'], start = 0, end = MAX_FILE_BYTES): Lock {
  return { inode: INODE, kind: 'posix', owner, type, start, end, pid: 1 };
}

function flock(owner: string, type: Lock['type'], inode = INODE): Lock {
  return { inode, kind: 'flock', owner, type, start: 0, end: MAX_FILE_BYTES, pid: 1 };
}

/** A lock service alone, with sessions 1, 2, 3, … */
class Fixture {
  readonly clock = new ManualClock();
  readonly sessions = new SessionTable();
  readonly locks = new LockService(this.clock, this.sessions);
  #request = 0;

  constructor(count: number, isResumed = true) {
    for (let id = 1; id <= count; id += 1) {
      const times = { acknowledged: 0, forgotten: 0, highest: 0, replies: 0, heardMs: 0 };
      this.sessions.add({ id, secret: Buffer.alloc(16), client: 'test', ...times, isResumed, caches: false });
      if (isResumed) this.locks.resume(id, undefined, []);
    }
  }

  async lock(session: number, lock: Lock, wait = false, request = (this.#request += 1)): Promise<LockAnswer> {
    return await this.locks.lock({ session, lock, wait, request }, undefined);
  }

  /** granted, waiting, or the errno */
  async try(session: number, lock: Lock): Promise<string> {
    return await refusal(this.lock(session, lock));
  }

  unlock(session: number, { inode, kind, owner, start, end }: Lock): void {
    this.locks.unlock({ session, inode, kind, owner, start, end }, undefined);
  }

  /** Begins to wait; tells what came of it so far. */
  wait(session: number, lock: Lock): { outcome: string } {
    const waiting = { outcome: 'waiting' };
    this.lock(session, lock, true).then(
      ({ granted }) => (waiting.outcome = granted ? 'granted' : 'ask again'),
      (error: unknown) => (waiting.outcome = error instanceof Error ? error.message : String(error)),
    );
    return waiting;
  }
}

function fixture(t: Test, sessions: number, isResumed = true): Fixture {
  const made = new Fixture(sessions, isResumed);
  t.teardown(() => made.locks.close());
  return made;
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise<void>(resolve => setImmediate(resolve));
}

t.test('owners exclude each other as if each byte had its own lock', async t => {
  const bytes = 16;
  const table = fixture(t, 3);
  /** byte → owner → type */
  const model = Array.from({ length: bytes }, () => new Map<string, Lock['type']>());
  let state = 12_345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
  for (let step = 0; step < 5000; step += 1) {
    const session = 1 + random(3);
    const owner = String(random(2));
    const key = `${session} ${owner}`;
    const start = random(bytes);
    const end = start + random(bytes - start);
    const type = random(2) === 0 ? 'read' : 'write';
    const cells = model.slice(start, end + 1);
    if (random(3) === 0) {
      table.unlock(session, posix(owner, type, start, end));
      for (const cell of cells) cell.delete(key);
      continue;
    }
    const isFree = cells.every(cell =>
      [...cell].every(([other, held]) => other === key || (held === 'read' && type === 'read')),
    );
    const outcome = await table.try(session, posix(owner, type, start, end));
    if (outcome !== (isFree ? 'OK' : 'EAGAIN')) t.fail(`step ${step}: ${outcome}`);
    if (isFree) for (const cell of cells) cell.set(key, type);
  }
  t.pass();
});

t.test('flock and POSIX locks do not see each other', async t => {
  const table = fixture(t, 2);
  t.equal(await table.try(1, flock('a', 'write')), 'OK');
  t.equal(await table.try(2, posix('b', 'write')), 'OK');
  t.equal(await table.try(2, flock('b', 'read')), 'EAGAIN');
  t.equal(await table.try(1, flock('b', 'read')), 'EAGAIN', 'nor is a session an owner');
});

t.test('a flock is converted by giving up the old one first', async t => {
  const table = fixture(t, 2);
  t.equal(await table.try(1, flock('a', 'read')), 'OK');
  t.equal(await table.try(2, flock('b', 'read')), 'OK');
  const waiting = table.wait(1, flock('c', 'write'));
  t.equal(await table.try(1, flock('a', 'write')), 'EAGAIN');
  await turns();
  t.equal(waiting.outcome, 'waiting');
  t.equal(await table.try(2, flock('b', 'write')), 'EAGAIN', 'given up, and taken by the one who waited');
  await turns();
  t.equal(waiting.outcome, 'granted');
  table.unlock(1, flock('c', 'write'));
  t.equal(await table.try(1, flock('d', 'write')), 'OK', 'neither a nor b has it still');
});

t.test('who waits is served in the order of arrival, readers together', async t => {
  const table = fixture(t, 3);
  await table.lock(1, posix('a', 'write'));
  const writer = table.wait(2, posix('b', 'write'));
  const readers = [table.wait(2, posix('c', 'read')), table.wait(3, posix('d', 'read'))];
  table.unlock(1, posix('a', 'write'));
  await turns();
  t.same(
    [writer, ...readers].map(each => each.outcome),
    ['granted', 'waiting', 'waiting'],
  );
  table.unlock(2, posix('b', 'write'));
  await turns();
  t.same(
    readers.map(each => each.outcome),
    ['granted', 'granted'],
  );
});

t.test('a write lock that becomes a read lock lets readers in', async t => {
  const table = fixture(t, 2);
  await table.lock(1, posix('a', 'write'));
  const reader = table.wait(2, posix('b', 'read'));
  await table.lock(1, posix('a', 'read'));
  await turns();
  t.equal(reader.outcome, 'granted');
});

t.test(
  'readers let a waiting writer go first, but not for long, and never when they do not wait',
  async t => {
    const table = fixture(t, 3);
    await table.lock(1, posix('a', 'read'));
    const writer = table.wait(2, posix('b', 'write'));
    const reader = table.wait(3, posix('c', 'read'));
    await turns();
    t.equal(reader.outcome, 'waiting');
    t.equal(await table.try(3, posix('d', 'read')), 'OK', 'as on a local file system');
    for (let step = 0; step < 4; step += 1) table.clock.advance(250);
    await turns();
    t.equal(reader.outcome, 'granted', 'its parent may hold the other read lock');
    t.equal(writer.outcome, 'waiting');
  },
);

t.test('a request keeps its place while it is asked again, and loses it when it is not', async t => {
  const table = fixture(t, 3);
  await table.lock(1, posix('a', 'write'));
  const asked = { session: 2, lock: posix('b', 'write'), wait: true, request: 99 };
  const first = table.locks.lock(asked, undefined);
  const second = table.wait(3, posix('c', 'write'));
  table.clock.advance(LOCK_POLL_MS);
  t.equal((await first).granted, false);
  await turns();
  t.equal(second.outcome, 'ask again');
  const again = table.locks.lock(asked, undefined);
  table.unlock(1, posix('a', 'write'));
  t.equal((await again).granted, true);
  t.equal(await table.try(3, posix('c', 'write')), 'EAGAIN');
  table.unlock(2, posix('b', 'write'));
  t.equal(await table.try(1, posix('a', 'write')), 'EAGAIN', 'given to who has not asked again yet');
  table.unlock(3, posix('c', 'write'));
  await table.lock(1, posix('a', 'write'));
  const silent = table.wait(2, posix('b', 'write'));
  for (let ms = 0; ms < 60_000; ms += 250) table.clock.advance(250);
  await turns();
  t.equal(silent.outcome, 'ask again');
  table.unlock(1, posix('a', 'write'));
  t.equal(await table.try(3, posix('c', 'write')), 'OK');
});

t.test('a request that is sent twice is granted once', async t => {
  const table = fixture(t, 2);
  const asked = { session: 1, lock: posix('a', 'write', 5, 9), wait: true, request: 1 };
  for (let time = 0; time < 3; time += 1) t.equal((await table.locks.lock(asked, undefined)).granted, true);
  table.unlock(1, posix('a', 'write', 5, 9));
  t.equal(await table.try(2, posix('b', 'write')), 'OK');
});

t.test('waiting that is taken back leaves nothing behind', async t => {
  const table = fixture(t, 2);
  await table.lock(1, posix('a', 'write'));
  const lock = posix('b', 'write');
  const waiting = refusal(table.locks.lock({ session: 2, lock, wait: true, request: 5 }, undefined));
  t.equal(table.locks.cancel({ session: 2, lock, request: 5 }, undefined).granted, false);
  t.equal(await waiting, 'EINTR');
  table.unlock(1, posix('a', 'write'));
  t.equal(await table.try(1, posix('c', 'write')), 'OK');
  table.unlock(1, posix('c', 'write'));
  await table.lock(2, lock, true, 6);
  t.equal(table.locks.cancel({ session: 2, lock, request: 6 }, undefined).granted, true, 'too late');
});

t.test('a deadlock of POSIX locks is told to who would close the circle', async t => {
  const table = fixture(t, 3);
  for (const id of [1, 2, 3]) await table.lock(id, posix('a', 'write', id, id));
  const first = table.wait(1, posix('a', 'write', 2, 2));
  const second = table.wait(2, posix('a', 'write', 3, 3));
  t.equal(await refusal(table.lock(3, posix('a', 'read', 1, 1), true)), 'EDEADLK');
  await turns();
  t.same([first.outcome, second.outcome], ['waiting', 'waiting']);
  table.unlock(3, posix('a', 'write', 3, 3));
  await turns();
  t.equal(second.outcome, 'granted');
  const upgrades = fixture(t, 2);
  await upgrades.lock(1, posix('a', 'read'));
  await upgrades.lock(2, posix('a', 'read'));
  const upgrade = upgrades.wait(1, posix('a', 'write'));
  t.equal(await refusal(upgrades.lock(2, posix('a', 'write'), true)), 'EDEADLK');
  upgrades.unlock(2, posix('a', 'read'));
  await turns();
  t.equal(upgrade.outcome, 'granted');
});

t.test('many requests of one client wait without taking up its connection', async t => {
  const table = fixture(t, 2);
  await table.lock(1, posix('a', 'write'));
  const waiting = Array.from({ length: 400 }, (_, index) =>
    table.wait(2, posix(index.toString(16), 'write')),
  );
  await turns();
  t.equal(waiting.filter(each => each.outcome === 'ask again').length, 400 - 128);
  table.unlock(1, posix('a', 'write'));
  await turns();
  t.equal(waiting[0]?.outcome, 'granted');
});

t.test('what an older connection brings late is refused', async t => {
  const table = fixture(t, 1);
  const [old, current]: Peer[] = [{ isClosed: true }, { isClosed: false }];
  table.locks.resume(1, old, []);
  const lock = posix('a', 'write');
  table.locks.resume(1, current, [lock]);
  const { inode, kind, owner, start, end } = lock;
  const unlock = { session: 1, inode, kind, owner, start, end };
  t.throws(() => table.locks.unlock(unlock, old), { code: 'ESHUTDOWN' });
  t.equal(await refusal(table.locks.lock({ session: 1, lock, wait: false, request: 1 }, old)), 'ESHUTDOWN');
  table.locks.unlock(unlock, current);
});

t.test('F_GETLK tells one lock in the way, and the process if it is of the same client', async t => {
  const table = fixture(t, 2);
  await table.lock(1, { ...posix('a', 'read', 10, 19), pid: 42 });
  const test = async (session: number, lock: Lock) => await table.locks.test({ session, lock });
  t.same(await test(2, posix('b', 'write')), {
    known: true,
    conflict: { ...posix('a', 'read', 10, 19), pid: 0 },
  });
  t.equal((await test(1, posix('b', 'write'))).conflict?.pid, 42);
  t.equal((await test(2, posix('b', 'read'))).conflict, null);
  t.equal((await test(1, posix('a', 'write'))).conflict, null, 'its own');
});

/** What a client says when it comes (back), with its locks. */
async function resume(harness: Harness, client: TestClient, locks: Lock[], peer?: Peer) {
  const request = { session: client.id, secret: client.secret, client: 'test', opens: [], locks };
  const reply = await harness.service.execute(sessionOperation, request, peer);
  client.id = reply.session;
  client.secret = reply.secret;
  return { resumed: reply.resumed, locksKept: reply.locksKept };
}

t.test('after a restart nobody is given a lock until all have said what they hold', async t => {
  const harness = await startHarness(t);
  const holder = await harness.client();
  const other = await harness.client();
  const lock = { session: holder.id, lock: flock('a', 'write'), wait: false, request: 1 };
  await harness.service.locks.lock(lock, undefined);
  await harness.restart();
  t.same(await resume(harness, other, []), { resumed: true, locksKept: true });
  const asked = { session: other.id, wait: false };
  const attempts = [
    refusal(harness.service.locks.lock({ ...asked, lock: flock('b', 'write'), request: 1 }, undefined)),
    refusal(harness.service.locks.lock({ ...asked, lock: flock('b', 'write', 8), request: 2 }, undefined)),
  ];
  t.same(await resume(harness, holder, [flock('a', 'write')]), { resumed: true, locksKept: true });
  harness.clock.advance(1000);
  t.same(await Promise.all(attempts), ['EAGAIN', 'OK']);
});

t.test('locks end with their session', async t => {
  const harness = await startHarness(t);
  const silent = await harness.client();
  const other = await harness.client();
  const wanted = { session: other.id, lock: flock('b', 'write'), wait: false, request: 1 };
  await harness.service.locks.lock({ ...wanted, session: silent.id, lock: flock('a', 'write') }, undefined);
  for (let ms = 0; ms <= SESSION_TIMEOUT_MS + 5000; ms += SESSION_RENEW_MS) {
    if (ms < SESSION_TIMEOUT_MS - SESSION_RENEW_MS) {
      t.equal(await refusal(harness.service.locks.lock(wanted, undefined)), 'EAGAIN');
    }
    await other.ask(renew, { session: other.id });
    await harness.pass(SESSION_RENEW_MS);
  }
  t.equal((await harness.service.locks.lock(wanted, undefined)).granted, true);
  t.equal((await resume(harness, silent, [flock('a', 'write')])).resumed, false);
});

t.test(
  'a client whose connection broke loses its locks after a while, and is told, also by a new server',
  async t => {
    const harness = await startHarness(t);
    const client = await harness.client();
    const other = await harness.client();
    const peer = { isClosed: false };
    await resume(harness, client, [], peer);
    const mine = { session: client.id, lock: flock('a', 'write'), wait: false, request: 1 };
    const wanted = { session: other.id, lock: flock('b', 'write'), wait: false, request: 1 };
    await harness.service.locks.lock(mine, peer);

    peer.isClosed = true;
    await harness.pass(LOST_CONNECTION_MS - 2000);
    const back = { isClosed: false };
    t.same(
      await resume(harness, client, [mine.lock], back),
      { resumed: true, locksKept: true },
      'soon enough',
    );
    t.equal(await refusal(harness.service.locks.lock(wanted, undefined)), 'EAGAIN');

    back.isClosed = true;
    await harness.until('the locks are let go', async () => {
      return (await refusal(harness.service.locks.lock(wanted, undefined))) === 'OK';
    });
    harness.service.locks.unlock({ ...flock('b', 'write'), session: other.id }, undefined);
    await harness.restart();
    await resume(harness, other, []);
    for (let time = 0; time < 2; time += 1) {
      const said = await resume(harness, client, [mine.lock]);
      t.same(said, { resumed: true, locksKept: false }, 'until it comes without');
    }
    t.same(await resume(harness, client, []), { resumed: true, locksKept: true });
    t.equal((await harness.service.locks.lock(wanted, undefined)).granted, true);
    await harness.restart();
    await resume(harness, other, []);
    t.equal((await resume(harness, client, [])).locksKept, true);
  },
);
