/** The list of a client's locks is what it declares after a restart of the server (client/locks/held-locks.ts). */
import t from 'tap';
import { HeldLocks } from '../../../../src/client/locks/held-locks.js';
import { MAX_FILE_BYTES } from '../../../../src/protocol/limits.js';
import type { Lock } from '../../../../src/protocol/types.js';

function lock(given: Partial<Lock> = {}): Lock {
  return { inode: 5, kind: 'posix', owner: 'a', type: 'write', start: 0, end: 99, pid: 3, ...given };
}

const rangesOf = (held: HeldLocks) => held.all().map(({ type, start, end }) => [type, start, end]);

t.test('a lock takes the place of what its owner had locked there, and of nobody else’s', async t => {
  const held = new HeldLocks();
  held.add(lock());
  held.add(lock({ type: 'read', start: 10, end: 19 }));
  t.same(rangesOf(held), [
    ['write', 0, 9],
    ['read', 10, 19],
    ['write', 20, 99],
  ]);
  held.add(lock({ owner: 'b', type: 'read', start: 10, end: 19 }));
  held.add(lock({ kind: 'flock', type: 'read', end: MAX_FILE_BYTES }));
  held.add(lock({ inode: 6 }));
  t.equal(held.all().length, 6);
  t.same(held.all().at(-1), lock({ inode: 6 }), 'with all that the server must know of it');
});

t.test('a range is unlocked, by default everything of the owner', async t => {
  const held = new HeldLocks();
  held.add(lock());
  held.add(lock({ owner: 'b' }));
  t.ok(held.remove(5, 'posix', 'a', 10, 19));
  t.same(rangesOf(held).slice(0, 2), [
    ['write', 0, 9],
    ['write', 20, 99],
  ]);
  t.ok(held.remove(5, 'posix', 'a'));
  t.same(held.all(), [lock({ owner: 'b' })]);
});

t.test('what is not locked is not unlocked', async t => {
  const held = new HeldLocks();
  held.add(lock({ start: 10, end: 19 }));
  t.notOk(held.remove(5, 'posix', 'a', 0, 9));
  t.notOk(held.remove(5, 'posix', 'a', 20, 30));
  t.notOk(held.remove(5, 'posix', 'b'));
  t.notOk(held.remove(5, 'flock', 'a'));
  t.notOk(held.remove(6, 'posix', 'a'));
  t.same(held.all(), [lock({ start: 10, end: 19 })]);
  t.ok(held.remove(5, 'posix', 'a', 19, 19), 'the last byte is');
});

t.test('the type of a flock is known, and who has locked something', async t => {
  const held = new HeldLocks();
  t.equal(held.flockType(5, 'a'), undefined);
  t.same(held.owners(5), []);
  held.add(lock());
  t.equal(held.flockType(5, 'a'), undefined, 'an fcntl lock is none');
  held.add(lock({ kind: 'flock', type: 'read', end: MAX_FILE_BYTES }));
  t.equal(held.flockType(5, 'a'), 'read');
  t.match(held.owners(5), [
    { kind: 'posix', owner: 'a' },
    { kind: 'flock', owner: 'a' },
  ]);
  held.remove(5, 'posix', 'a');
  t.match(held.owners(5), [{ kind: 'flock', owner: 'a' }]);
});

t.test('everything is forgotten at once, and it is known of which inodes', async t => {
  const held = new HeldLocks();
  held.add(lock());
  held.add(lock({ inode: 7 }));
  held.add(lock({ inode: 8 }));
  held.remove(8, 'posix', 'a');
  t.same(held.clear(), [5, 7], 'of the last nothing was left');
  t.same(held.all(), []);
  t.same(held.clear(), []);
});
