/** A mount that has SQLite's index of a database to itself (vfs/sqlite-index.ts), beside a lock client that has one lock. */
import t from 'tap';
import { DfsError } from '../../../src/protocol/errors.js';
import type { Lock, LockKind } from '../../../src/protocol/types.js';
import { SqliteIndexes } from '../../../src/vfs/sqlite-index.js';
import type { FileLock } from '../../../src/vfs/file-system.js';
import { refusal } from '../metadata/support/harness.js';

const INDEX = 7;
const CONNECTED: FileLock = { kind: 'posix', owner: 'a1', type: 'read', start: 128, end: 128, pid: 1 };

function scripted() {
  const held: { kind: LockKind; owner: string }[] = [];
  const trace: string[] = [];
  const how = { isElsewhere: false };
  const indexes = new SqliteIndexes({
    locks: {
      lock: async ({ kind, owner, type }: Lock) => {
        if (how.isElsewhere) throw new DfsError('EAGAIN', 'another mount has it');
        trace.push(`lock ${kind} ${type}`);
        if (!held.some(each => each.owner === owner)) held.push({ kind, owner });
      },
      unlock: async (_: number, kind: LockKind, owner: string) => {
        const at = held.findIndex(each => each.owner === owner);
        if (at >= 0) trace.push(`unlock ${kind}`);
        if (at >= 0) held.splice(at, 1);
      },
    },
    heldLocks: { owners: () => held },
  });
  indexes.found(Buffer.from('base.db-shm'), INDEX);
  const process = (owner: string): void => void held.push({ kind: 'posix', owner });
  const leave = (owner: string): void =>
    void held.splice(
      held.findIndex(each => each.owner === owner),
      1,
    );
  return { indexes, trace, how, process, leave };
}

t.test('with its first process a mount takes the index, and with its last one it gives it back', async t => {
  const { indexes, trace, process, leave } = scripted();
  await indexes.locking(INDEX, CONNECTED, async () => process('a1'));
  await indexes.locking(INDEX, { ...CONNECTED, owner: 'b2' }, async () => process('b2'));
  t.same(trace, ['lock flock write', 'lock flock write']);
  leave('a1');
  await indexes.unlocked(INDEX);
  t.equal(trace.length, 2, 'the other one is still connected');
  leave('b2');
  await indexes.unlocked(INDEX);
  t.same(trace.slice(2), ['unlock flock']);
});

t.test('a process of another mount is refused, and asks for no lock', async t => {
  const { indexes, trace, how } = scripted();
  how.isElsewhere = true;
  const take = async (): Promise<void> => void trace.push('taken');
  t.equal(await refusal(indexes.locking(INDEX, CONNECTED, take)), 'EAGAIN');
  t.same(trace, []);
});

t.test('a lock that is refused leaves the index to others', async t => {
  const { indexes, trace } = scripted();
  const take = async (): Promise<void> => await Promise.reject(new DfsError('EAGAIN', 'for a test'));
  t.equal(await refusal(indexes.locking(INDEX, CONNECTED, take)), 'EAGAIN');
  t.same(trace, ['lock flock write', 'unlock flock']);
});

t.test('one that leaves while another one comes does not give the index away', async t => {
  const { indexes, trace, process, leave } = scripted();
  await indexes.locking(INDEX, CONNECTED, async () => process('a1'));
  await indexes.locking(INDEX, { ...CONNECTED, owner: 'b2' }, async () => {
    leave('a1');
    await indexes.unlocked(INDEX);
    process('b2');
  });
  t.notOk(trace.includes('unlock flock'));
});

t.test('other files, and other bytes of an index, are locked as ever', async t => {
  const { indexes, trace } = scripted();
  indexes.found(Buffer.from('-shm'), 8);
  indexes.found(Buffer.from('base.db-wal'), 9);
  for (const inode of [8, 9]) await indexes.locking(inode, CONNECTED, async () => undefined);
  await indexes.locking(INDEX, { ...CONNECTED, start: 120, end: 120 }, async () => undefined);
  await indexes.locking(INDEX, { ...CONNECTED, kind: 'flock', start: 0 }, async () => undefined);
  t.same(trace, []);
});
