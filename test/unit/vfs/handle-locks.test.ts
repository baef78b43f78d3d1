/** Locks by handle, beside a lock client that writes down what it is told. */
import t from 'tap';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Lock } from '../../../src/protocol/types.js';
import type { FileLock } from '../../../src/vfs/file-system.js';
import { HandleLocks, type LockedFile } from '../../../src/vfs/handle-locks.js';
import { refusal } from '../metadata/support/harness.js';

const TIMEOUT_MS = 1234;
const INODE = 7;
const POSIX: FileLock = { kind: 'posix', owner: 'a1', type: 'write', start: 0, end: 9, pid: 1 };

function scripted() {
  const trace: string[] = [];
  const how = {
    refresh: async () => void trace.push('refresh'),
    settledWithin: async (patienceMs: number) => void trace.push(`settled within ${patienceMs}`),
  };
  const owners: { kind: 'posix' | 'flock'; owner: string }[] = [];
  const locks = new HandleLocks({
    locks: {
      lock: async ({ kind, owner, type }: Lock) => void trace.push(`lock ${kind} ${owner} ${type}`),
      unlock: async (_: number, kind, owner, start, end) =>
        void trace.push(`unlock ${kind} ${owner}${start === undefined ? '' : ` ${start} ${end}`}`),
      test: async (lock: Lock) => ({ ...lock, owner: 'other' }),
    },
    heldLocks: { owners: () => owners },
    refresh: async () => await how.refresh(),
    timeoutMs: TIMEOUT_MS,
  });
  const file: LockedFile = {
    inode: INODE,
    settledInTime: async () => void trace.push('settled'),
    settledWithin: async patienceMs => await how.settledWithin(patienceMs),
  };
  return { locks, file, trace, how, owners };
}

t.test('a write lock: what others wrote is seen from there on', async t => {
  const { locks, file, trace } = scripted();
  await locks.lock(1, file, POSIX, false, undefined);
  t.same(trace, ['lock posix a1 write', 'refresh']);
});

t.test('a read lock, which may have been a write lock: what was written is committed before', async t => {
  const { locks, file, trace } = scripted();
  await locks.lock(1, file, { ...POSIX, type: 'read' }, false, undefined);
  t.same(trace, ['settled', 'lock posix a1 read', 'refresh']);
});

t.test('a lock under which the file is not known is none', async t => {
  const { locks, file, trace, how } = scripted();
  how.refresh = async () => await Promise.reject(new DfsError('EIO', 'for a test'));
  t.equal(await refusal(locks.lock(1, file, POSIX, false, undefined)), 'EIO');
  t.same(trace, ['lock posix a1 write', 'unlock posix a1 0 9']);
});

t.test('what was written is committed before a range is unlocked', async t => {
  const { locks, file, trace } = scripted();
  await locks.unlock(file, POSIX);
  t.same(trace, ['settled', 'unlock posix a1 0 9']);
});

t.test('a lock in the way is told', async t => {
  const { locks, file } = scripted();
  t.match(await locks.test(file, POSIX), { inode: INODE, owner: 'other' });
});

t.test('whether anybody has locked an inode', async t => {
  const { locks, owners } = scripted();
  t.notOk(locks.isLocked(INODE));
  owners.push({ kind: 'flock', owner: 'a1' });
  t.ok(locks.isLocked(INODE));
});

t.test('the last close of a handle that locked nothing releases nothing', async t => {
  const { locks, file } = scripted();
  await locks.lock(1, file, POSIX, false, undefined);
  t.equal(locks.released(2, file, undefined), undefined);
});

t.test('the last close releases the handle’s own locks, once what was written is committed', async t => {
  const { locks, file, trace } = scripted();
  await locks.lock(1, file, POSIX, false, undefined);
  await locks.lock(2, file, { ...POSIX, owner: 'b2' }, false, undefined);
  trace.length = 0;
  await locks.released(1, file, 'f1');
  t.same(trace, [`settled within ${TIMEOUT_MS}`, 'unlock posix a1', 'unlock flock f1']);
  t.equal(locks.released(1, file, undefined), undefined, 'it has none any more');
  trace.length = 0;
  await locks.released(2, file, undefined);
  t.same(trace, [`settled within ${TIMEOUT_MS}`, 'unlock posix b2']);
});

t.test('locks that a close(2) of the process released are not released again', async t => {
  const { locks, file, trace } = scripted();
  await locks.lock(1, file, POSIX, false, undefined);
  await locks.flushed(INODE, 'a1');
  t.equal(trace.at(-1), 'unlock posix a1');
  t.equal(locks.released(1, file, undefined), undefined);
});

t.test('locks go although what was written is not stored, and the close says so', async t => {
  const { locks, file, trace, how } = scripted();
  await locks.lock(1, file, POSIX, false, undefined);
  how.settledWithin = async () => await Promise.reject(new DfsError('EIO', 'for a test'));
  t.equal(await refusal(locks.released(1, file, undefined) ?? Promise.resolve()), 'EIO');
  t.equal(trace.at(-1), 'unlock posix a1');
});

t.test('the next lock, question and last close wait for a last close that is under way', async t => {
  const { locks, file, trace, how } = scripted();
  await locks.lock(1, file, POSIX, false, undefined);
  await locks.lock(2, file, { ...POSIX, owner: 'b2' }, false, undefined);
  let store = (): void => undefined;
  how.settledWithin = async () => {
    await new Promise<void>(resolve => (store = resolve));
  };
  trace.length = 0;
  const first = locks.released(1, file, undefined);
  const second = locks.released(2, file, undefined);
  const next = locks.lock(3, file, { ...POSIX, owner: 'c3' }, true, undefined);
  const told = locks.test(file, POSIX).then(() => trace.push('told'));
  await new Promise(resolve => setImmediate(resolve));
  t.same(trace, []);
  store();
  await first;
  await new Promise(resolve => setImmediate(resolve));
  t.same(trace, ['unlock posix a1']);
  store();
  await Promise.all([second, next, told]);
  t.same(trace.slice(0, 2), ['unlock posix a1', 'unlock posix b2']);
  t.same(trace.slice(2).sort(), ['lock posix c3 write', 'refresh', 'told']);
});
