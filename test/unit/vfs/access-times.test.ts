import t from 'tap';
import type { Timespec } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { MAX_ACCESSES } from '../../../src/protocol/limits.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { AccessTimes, type Access } from '../../../src/vfs/access-times.js';
import { ManualClock } from '../../support/manual-clock.js';
import { attributesOf } from '../../support/attributes-of.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const LONG_MS = 60_000;

/** Access times whose requests are kept, and answered when the test says so. */
function open() {
  const clock = new ManualClock();
  const sent: Access[][] = [];
  const answers: ((outcome: readonly Attributes[] | DfsError) => void)[] = [];
  const learned: number[] = [];
  const times = new AccessTimes({
    clock,
    now: () => clock.now(),
    log: createLogger('test', 'silent'),
    learn: ({ inode }) => learned.push(inode),
    send: async accesses => {
      sent.push([...accesses]);
      return await new Promise((resolve, reject) => {
        answers.push(outcome => (outcome instanceof DfsError ? reject(outcome) : resolve(outcome)));
      });
    },
  });
  /** Answers the oldest request. */
  const answer = async (outcome: readonly Attributes[] | DfsError): Promise<void> => {
    answers.shift()?.(outcome);
    await new Promise(resolve => setImmediate(resolve));
  };
  return { clock, sent, learned, times, answer };
}

/** An inode with the same time everywhere, unless told otherwise. */
function inodeAt(number: number, at: Timespec, times: Partial<Attributes> = {}): Attributes {
  return attributesOf({ inode: number, atime: at, mtime: at, ctime: at, ...times });
}

t.test('an access time is due when it is not later than mtime or ctime, or a day old', async t => {
  const { clock, times } = open();
  const old = clock.now();
  clock.advance(1000);
  const later = clock.now();
  clock.advance(1000);
  t.equal(times.isDue(inodeAt(1, old)), true, 'all the same');
  t.equal(times.isDue(inodeAt(1, old, { atime: later })), false, 'later than both');
  t.equal(times.isDue(inodeAt(1, old, { atime: later, mtime: later })), true, 'not later than mtime');
  t.equal(times.isDue(inodeAt(1, old, { atime: later, ctime: later })), true, 'not later than ctime');
  clock.advance(DAY_MS);
  t.equal(times.isDue(inodeAt(1, old, { atime: later })), true, 'a day old');
});

t.test('a read is shown at once, and told once with others, however often it is repeated', async t => {
  const { clock, sent, learned, times, answer } = open();
  const [one, two] = [inodeAt(1, clock.now()), inodeAt(2, clock.now())];
  clock.advance(10);
  const readAt = clock.now();
  for (let index = 0; index < 1000; index += 1) times.accessed(one);
  times.accessed(two);
  t.same(times.present(one).atime, readAt);
  t.same(times.present(one).ctime, one.ctime);
  t.same(sent, []);
  clock.advance(LONG_MS);
  t.same(sent, [
    [
      { inode: 1, atime: readAt },
      { inode: 2, atime: readAt },
    ],
  ]);
  t.same(times.present(one).atime, readAt, 'also while the request is under way');
  await answer([{ ...one, atime: readAt }]);
  t.same(learned, [1]);
  clock.advance(LONG_MS);
  t.equal(sent.length, 1, 'there is no more to tell');
});

t.test('many are told in requests of bounded size, one at a time, and those beyond are left out', async t => {
  const { clock, sent, times, answer } = open();
  const at = clock.now();
  clock.advance(10);
  for (let number = 1; number <= 100 * MAX_ACCESSES; number += 1) times.accessed(inodeAt(number, at));
  t.equal(sent.length, 1);
  let told = 0;
  while (sent.length > 0) {
    t.equal(sent.length, 1, 'one at a time');
    told += sent.shift()?.length ?? 0;
    await answer([]);
    clock.advance(LONG_MS);
  }
  t.equal(told, 16 * MAX_ACCESSES);
});

t.test('what cannot be told is dropped, and the next read tries again', async t => {
  const { clock, sent, times, answer } = open();
  const one = inodeAt(1, clock.now());
  clock.advance(10);
  times.accessed(one);
  clock.advance(LONG_MS);
  await answer(new DfsError('EIO', 'no metadata server'));
  t.same(times.present(one), one);
  clock.advance(LONG_MS);
  t.equal(sent.length, 1);
  times.accessed(one);
  clock.advance(LONG_MS);
  t.equal(sent.length, 2);
});

t.test('a time that is set takes the place of earlier reads', async t => {
  const { clock, sent, times } = open();
  const one = inodeAt(1, clock.now());
  clock.advance(10);
  times.accessed(one);
  times.forget(1);
  t.same(times.present(one), one);
  clock.advance(LONG_MS);
  t.same(sent, []);
  // Another client set it: its ctime is later than the read.
  times.accessed(one);
  clock.advance(10);
  const set = { ...one, ctime: clock.now() };
  t.same(times.present(set), set);
});

t.test('the end tells what is left, and does not wait for a server that is away', async t => {
  const { clock, sent, times } = open();
  const at = clock.now();
  clock.advance(10);
  times.accessed(inodeAt(1, at));
  const closing = times.flush();
  t.equal(sent.length, 1);
  clock.advance(LONG_MS);
  await closing;
});
