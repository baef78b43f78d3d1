import t from 'tap';
import { FairQueue } from '../../../src/platform/fair-queue.js';

const a = { name: 'a' };
const b = { name: 'b' };
const c = { name: 'c' };

function takeAll(queue: FairQueue<string>, costs: ReadonlyMap<string, number> = new Map()): string {
  const taken: string[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) {
    taken.push(item);
    const owner = [a, b, c].find(({ name }) => item?.startsWith(name)) ?? a;
    queue.charge(owner, costs.get(item) ?? 1);
  }
  return taken.join(' ');
}

function queueOf(...items: [object, string][]): FairQueue<string> {
  const queue = new FairQueue<string>();
  for (const [owner, item] of items) queue.push(owner, item);
  return queue;
}

t.test('one owner is served in order, several in turns', async t => {
  t.equal(takeAll(queueOf([a, 'a1'], [a, 'a2'], [a, 'a3'])), 'a1 a2 a3');
  t.equal(takeAll(queueOf([a, 'a1'], [a, 'a2'], [a, 'a3'], [b, 'b1'], [c, 'c1'])), 'a1 b1 c1 a2 a3');
});

t.test('whose items cost more has fewer of them', async t => {
  const costs = new Map([['a1', 3]]);
  t.equal(takeAll(queueOf([a, 'a1'], [a, 'a2'], [b, 'b1'], [b, 'b2'], [b, 'b3']), costs), 'a1 b1 b2 b3 a2');
});

t.test('who comes later, or comes back, begins where the others are', async t => {
  const queue = queueOf([a, 'a1'], [a, 'a2'], [a, 'a3'], [b, 'b1']);
  queue.take();
  queue.charge(a, 100);
  t.equal(queue.take(), 'b1');
  queue.charge(b, 1);
  queue.push(b, 'b2');
  queue.push(c, 'c1');
  t.equal(queue.take(), 'c1', 'it owes nothing');
  queue.charge(c, 1);
  t.equal(takeAll(queue), 'b2 a2 a3');
});

t.test('what may not be taken now is passed over, and what was put back is first again', async t => {
  const queue = queueOf([a, 'a1'], [a, 'a2'], [b, 'b1']);
  t.equal(
    queue.take(item => !item.startsWith('a')),
    'b1',
  );
  t.equal(queue.take(), 'a1');
  queue.putBack(a, 'a1');
  t.equal(queue.size, 2);
  t.same(queue.drop(a), ['a1', 'a2']);
  t.equal(queue.size, 0);
  t.equal(queue.take(), undefined);
});
