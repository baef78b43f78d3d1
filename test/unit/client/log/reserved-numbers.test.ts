/** Numbers for new inodes are given out once, and only while they are this client's (client/log/reserved-numbers.ts). */
import t from 'tap';
import { CacheLease } from '../../../../src/client/leases/cache-lease.js';
import { HeldInodes } from '../../../../src/client/leases/held-inodes.js';
import { ReservedNumbers } from '../../../../src/client/log/reserved-numbers.js';
import { MAX_RESERVED_INODES } from '../../../../src/protocol/limits.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { LOG } from '../../metadata/support/harness.js';

function scene() {
  const held = new HeldInodes(new CacheLease(new ManualClock(), LOG));
  return { held, numbers: new ReservedNumbers(held) };
}

const take = (numbers: ReservedNumbers, count: number): (number | undefined)[] =>
  Array.from({ length: count }, () => numbers.take());

t.test('numbers are taken in their order, each once, until there are none', async t => {
  const { numbers } = scene();
  t.equal(numbers.take(), undefined);
  numbers.learn({ first: 7, count: 2 }, numbers.ticket());
  t.same(take(numbers, 3), [7, 8, undefined]);
});

t.test('more are wanted when less than half is left', async t => {
  const { numbers } = scene();
  t.equal(numbers.wanted, MAX_RESERVED_INODES);
  numbers.learn({ first: 1, count: MAX_RESERVED_INODES }, numbers.ticket());
  take(numbers, MAX_RESERVED_INODES / 2);
  t.equal(numbers.wanted, 0);
  numbers.take();
  t.equal(numbers.wanted, MAX_RESERVED_INODES);
});

t.test('an answer without numbers leaves those that there are', async t => {
  const { numbers } = scene();
  numbers.learn({ first: 7, count: 2 }, numbers.ticket());
  numbers.learn(undefined, numbers.ticket());
  t.equal(numbers.take(), 7);
});

t.test('a number that was recalled since it was asked for is left out', async t => {
  const { numbers, held } = scene();
  const ticket = numbers.ticket();
  held.recall([{ first: 8, count: 2 }]);
  numbers.learn({ first: 7, count: 5 }, ticket);
  held.recall([{ first: 11, count: 1 }]);
  t.same(take(numbers, 3), [7, 10, undefined]);
});

t.test('void numbers are not taken, nor those of an answer that was on its way', async t => {
  const { numbers } = scene();
  numbers.learn({ first: 7, count: 2 }, numbers.ticket());
  const ticket = numbers.ticket();
  numbers.void();
  t.equal(numbers.take(), undefined);
  numbers.learn({ first: 20, count: 2 }, ticket);
  t.equal(numbers.take(), undefined);
  numbers.learn({ first: 30, count: 2 }, numbers.ticket());
  t.equal(numbers.take(), 30);
});
