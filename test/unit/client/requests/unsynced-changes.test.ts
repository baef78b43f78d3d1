/** docs/decisions/04: what the server may lose with its power is known, and what it has lost is reported once. */
import t from 'tap';
import { LostChanges } from '../../../../src/client/requests/lost-changes.js';
import { UnsyncedChanges } from '../../../../src/client/requests/unsynced-changes.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { MAX_UNSYNCED_CHANGES } from '../../../../src/protocol/limits.js';
import { ManualClock } from '../../../support/manual-clock.js';

const LOST = new DfsError('EIO', 'lost');
const ofInode = (inode: number) => ({ directories: [], inodes: [inode] });

t.test('a change may be lost until the server has it on its disk for certain', t => {
  const clock = new ManualClock();
  const unsynced = new UnsyncedChanges(clock);
  t.ok(unsynced.isEmpty);
  unsynced.add(1, ofInode(10));
  unsynced.add(2, ofInode(11));
  const answered = unsynced.answers;
  unsynced.add(3, ofInode(12));
  t.same(unsynced.sequences(), [1, 2, 3]);
  unsynced.syncedUpTo(answered);
  t.same(unsynced.sequences(), [3], 'a durable change covers those that were answered before it was sent');
  unsynced.add(4, ofInode(13));
  unsynced.synced([3]);
  t.same(unsynced.sequences(), [4]);
  clock.advance(6000);
  unsynced.add(5, ofInode(14));
  t.same(unsynced.sequences(), [5], 'time covers the rest');
  t.end();
});

t.test('a request that has changed nothing can lose nothing', t => {
  const unsynced = new UnsyncedChanges(new ManualClock());
  unsynced.add(1, { directories: [], inodes: [] });
  t.ok(unsynced.isEmpty);
  t.end();
});

t.test('no more is remembered than a session may ask about', t => {
  const unsynced = new UnsyncedChanges(new ManualClock());
  for (let sequence = 1; sequence <= MAX_UNSYNCED_CHANGES + 10; sequence += 1) {
    unsynced.add(sequence, ofInode(sequence));
  }
  t.equal(unsynced.sequences().length, MAX_UNSYNCED_CHANGES);
  t.equal(unsynced.sequences()[0], 11, 'the oldest are on the disk first');
  t.end();
});

t.test('what is lost is told of by the inodes and directories that it changed', t => {
  const unsynced = new UnsyncedChanges(new ManualClock());
  unsynced.add(1, { directories: [1], inodes: [10] });
  unsynced.add(2, { directories: [1, 2], inodes: [10, 11] });
  unsynced.add(3, ofInode(12));
  t.same(unsynced.lose([1, 2, 99]), { directories: [1, 2], inodes: [10, 11] });
  t.same(unsynced.lose([1, 2]), { directories: [], inodes: [] }, 'once');
  t.same(unsynced.sequences(), [3]);
  t.end();
});

t.test('each inode and the whole tell of a loss once', t => {
  const lost = new LostChanges();
  lost.add([10, 11], LOST);
  t.doesNotThrow(() => lost.tell(12), 'nothing of this one is lost');
  t.throws(() => lost.tell(10), LOST);
  t.doesNotThrow(() => lost.tell(10));
  t.throws(() => lost.tell(11), LOST);
  t.throws(() => lost.tellAny(), LOST, 'who asks about all of them has not been told');
  t.doesNotThrow(() => lost.tellAny());
  t.end();
});

t.test('a loss of nobody knows which names is told by whoever asks first', t => {
  const lost = new LostChanges();
  lost.addUnknown(LOST);
  t.throws(() => lost.tell(10), LOST);
  t.doesNotThrow(() => lost.tell(11));
  t.doesNotThrow(() => lost.tellAny());
  lost.addUnknown(LOST);
  t.throws(() => lost.tellAny(), LOST);
  t.doesNotThrow(() => lost.tell(10));
  t.end();
});

t.test('a loss of very many inodes is told by directories that are not remembered, too', t => {
  const lost = new LostChanges();
  lost.add(
    Array.from({ length: 5000 }, (_, index) => index + 1),
    LOST,
  );
  t.throws(() => lost.tell(4999), LOST);
  t.end();
});
