import t from 'tap';
import { PayloadMemory } from '../../../src/rpc/payload-memory.js';

t.test('replies wait for room, in turn, and connections are told when there is some', async t => {
  const memory = new PayloadMemory(100);
  let told = 0;
  const stop = memory.onRoom(() => (told += 1));
  memory.hold(80);
  const order: string[] = [];
  const large = memory.reserve(50).then(() => order.push('large'));
  const small = memory.reserve(10).then(() => order.push('small'));
  await Promise.resolve();
  t.same(order, [], 'the small one does not overtake the large one');
  memory.release(80);
  await Promise.all([large, small]);
  t.same(order, ['large', 'small']);
  memory.hold(40);
  t.equal(memory.isFull, true);
  t.equal(told, 1);
  stop();
  memory.release(100);
  t.equal(told, 1);
});

t.test('a reply larger than everything passes when nothing else is held', async t => {
  const memory = new PayloadMemory(100);
  await memory.reserve(1000);
  t.equal(memory.isFull, true);
  memory.release(1000);
  t.equal(memory.isFull, false);
});
