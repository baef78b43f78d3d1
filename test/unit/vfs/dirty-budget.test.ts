import t from 'tap';
import { DirtyBudget } from '../../../src/vfs/dirty-budget.js';

t.test('who finds no room waits, and goes on in turn when there is some', async t => {
  let calls = 0;
  const budget = new DirtyBudget(100, () => (calls += 1));
  const order: string[] = [];
  await budget.reserve(80);
  const large = budget.reserve(50).then(() => order.push('large'));
  const small = budget.reserve(10).then(() => order.push('small'));
  t.equal(budget.tryReserve(1), false, 'nobody overtakes those who wait');
  t.ok(calls > 0, 'pressure is told');
  budget.release(80);
  await Promise.all([large, small]);
  t.same(order, ['large', 'small']);
  t.equal(budget.usedBytes, 60);
});

t.test('a piece larger than the whole budget passes when nothing else is dirty', async t => {
  const budget = new DirtyBudget(100, () => undefined);
  await budget.reserve(500);
  t.equal(budget.tryReserve(1), false);
  budget.release(500);
  t.equal(budget.tryReserve(1), true);
});
