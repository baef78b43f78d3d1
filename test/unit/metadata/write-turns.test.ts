/** Sessions that write to one inode take turns (metadata/leases/write-turns.ts). */
import t from 'tap';
import { WriteTurns } from '../../../src/metadata/leases/write-turns.js';
import { ManualClock } from './support/manual-clock.js';

const FILE = 10;
const TURN_MS = 20;
const WRITER_MS = 1000;

const turn = async (): Promise<void> => {
  await new Promise(resolve => setImmediate(resolve));
};

t.test('a single writer takes no turns, and two do until one has left', async t => {
  const clock = new ManualClock();
  const turns = new WriteTurns(clock);
  t.notOk(turns.isShared(1, FILE));
  t.notOk(turns.isShared(1, FILE), 'however often it asks');
  t.ok(turns.isShared(2, FILE));
  t.ok(turns.isShared(1, FILE));
  t.notOk(turns.isShared(2, FILE + 1), 'of another file it is the only one');
  clock.advance(WRITER_MS + 1);
  t.notOk(turns.isShared(1, FILE));
});

t.test('turns come in the order in which they were asked for, each after the one before it', async t => {
  const clock = new ManualClock();
  const turns = new WriteTurns(clock);
  for (const session of [1, 2, 3]) turns.isShared(session, FILE);
  const taken: number[] = [];
  const all = [1, 2, 3].map(async session => {
    await turns.take(FILE, async () => taken.push(session));
  });
  await turn();
  t.same(taken, [1]);
  clock.advance(TURN_MS - 1);
  await turn();
  t.same(taken, [1], 'the first one’s turn lasts');
  clock.advance(1);
  await turn();
  t.same(taken, [1, 2]);
  clock.advance(TURN_MS);
  await turn();
  t.same(taken, [1, 2, 3]);
  await Promise.all(all);
});

t.test('a turn that fails is over like any other', async t => {
  const clock = new ManualClock();
  const turns = new WriteTurns(clock);
  turns.isShared(1, FILE);
  await t.rejects(turns.take(FILE, async () => Promise.reject(new Error('the session has ended'))));
  let isTaken = false;
  const next = turns.take(FILE, async () => (isTaken = true));
  clock.advance(TURN_MS);
  await next;
  t.ok(isTaken);
});

t.test('the writers of so many files are remembered, and no more', async t => {
  const turns = new WriteTurns(new ManualClock());
  for (let inode = 1; inode <= 10_000; inode += 1) turns.isShared(1, inode);
  t.ok(turns.isShared(2, 10_000));
  t.notOk(turns.isShared(2, 1), 'forgotten');
});
