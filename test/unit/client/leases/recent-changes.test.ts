/** When inodes changed is never told as earlier than it was, in bounded memory (client/leases/recent-changes.ts). */
import t from 'tap';
import { RecentChanges } from '../../../../src/client/leases/recent-changes.js';

t.test('the newest change of an inode is told exactly', async t => {
  const changes = new RecentChanges(10);
  t.equal(changes.latest(1), 0, 'it never changed');
  changes.note(1, 5);
  changes.note(2, 6);
  changes.note(1, 7);
  t.same([changes.latest(1), changes.latest(2), changes.latest(3)], [7, 6, 0]);
});

t.test('every inode may have changed, and may change after that', async t => {
  const changes = new RecentChanges(10);
  changes.note(1, 5);
  changes.noteAll(6);
  changes.note(2, 7);
  t.same([changes.latest(1), changes.latest(2), changes.latest(3)], [6, 7, 6]);
});

t.test('so many are remembered exactly, and of older ones no earlier moment is told', async t => {
  const size = 4;
  const changes = new RecentChanges(size);
  const latest = new Map<number, number>();
  for (let now = 1; now <= 200; now += 1) {
    // Some inodes change often, and most once.
    const inode = now % 3 === 0 ? 1 : 1000 + now;
    changes.note(inode, now);
    latest.delete(inode);
    latest.set(inode, now);
    const newest = [...latest].slice(-size);
    for (const [each, at] of newest) t.equal(changes.latest(each), at);
    for (const [each, at] of latest) if (changes.latest(each) < at) t.fail(`${each} is told too early`);
    if (changes.latest(9) > now) t.fail('a moment that has not come is told');
  }
});

t.test('what was forgotten when everything changed is not forgotten by what follows', async t => {
  const changes = new RecentChanges(2);
  changes.noteAll(10);
  for (const [inode, now] of [
    [1, 11],
    [2, 12],
    [3, 13],
    [4, 14],
  ] as const)
    changes.note(inode, now);
  t.ok(changes.latest(99) >= 10);
  t.same(
    [1, 2, 3, 4].map(inode => changes.latest(inode)),
    [11, 12, 13, 14],
  );
});
