import t from 'tap';
import { ByteBudget } from '../../../src/datanode/byte-budget.js';

t.test('never more than the limit is spent at once, and who came first goes first', async t => {
  const budget = new ByteBudget(100);
  let spent = 0;
  let most = 0;
  const order: number[] = [];
  await Promise.all(
    [60, 30, 50, 1000, 10, 10].map(
      async (bytes, index) =>
        await budget.spend(bytes, async () => {
          order.push(index);
          spent += Math.min(bytes, 100);
          most = Math.max(most, spent);
          await Promise.resolve();
          spent -= Math.min(bytes, 100);
        }),
    ),
  );
  t.ok(most <= 100);
  t.same(order, [0, 1, 2, 3, 4, 5]);
});

t.test('what failed gives its bytes back', async t => {
  const budget = new ByteBudget(10);
  await t.rejects(
    budget.spend(10, async () => {
      throw new Error('no');
    }),
  );
  t.equal(await budget.spend(10, async () => 'done'), 'done');
});
