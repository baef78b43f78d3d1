/** What is counted is there as often as it was added and not taken (platform/counts.ts). */
import t from 'tap';
import { Counts } from '../../../src/platform/counts.js';

t.test('a thing is counted until it was taken as often as it was added', async t => {
  const counts = new Counts<string>();
  counts.add('a');
  counts.add('a');
  counts.add('b');
  t.same([counts.get('a'), counts.get('b'), counts.get('c'), counts.size], [2, 1, 0, 2]);
  counts.take('a');
  t.ok(counts.has('a'));
  counts.take('a');
  t.notOk(counts.has('a'));
  t.same([...counts.keys()], ['b']);
});

t.test('what is taken too often, or deleted, is not counted, and counts anew from one', async t => {
  const counts = new Counts<number>();
  counts.take(1);
  counts.add(1);
  counts.add(1);
  counts.delete(1);
  t.equal(counts.size, 0);
  counts.add(1);
  t.equal(counts.get(1), 1);
});
