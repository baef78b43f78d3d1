/** Sessions that write to one inode take turns (metadata/leases/write-turns.ts). */
import t from 'tap';
import { WriteTurns } from '../../../src/metadata/leases/write-turns.js';
import { ManualClock } from '../../support/manual-clock.js';

const FILE = 10;
const DIRECTORY = 11;
const TURN_MS = 20;
const DIRECTORY_TURN_MS = 40;
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

/** Two sessions that take turns in a directory, each doing so much in its own. */
async function takeTurns(clock: ManualClock, turns: WriteTurns, changes: number): Promise<boolean[]> {
  const begun: boolean[] = [];
  for (const session of [1, 2]) {
    if (!turns.isShared(session, DIRECTORY)) continue;
    await turns.take(DIRECTORY, async () => begun.push(turns.begin(session, DIRECTORY)));
    turns.noteChanges(session, DIRECTORY, changes);
    clock.advance(DIRECTORY_TURN_MS);
    await turn();
  }
  return begun;
}

t.test('turns in a directory go on while much is changed in them', async t => {
  const clock = new ManualClock();
  const turns = new WriteTurns(clock);
  turns.isShared(2, DIRECTORY);
  for (let round = 0; round < 5; round += 1) t.same(await takeTurns(clock, turns, 10), [true, true]);
});

t.test(
  'where little is changed in its turns, a directory has none for a while, and for longer each time',
  async t => {
    const clock = new ManualClock();
    const turns = new WriteTurns(clock);
    turns.isShared(2, DIRECTORY);
    t.same(await takeTurns(clock, turns, 1), [true, true]);
    t.same(await takeTurns(clock, turns, 1), [false], 'two turns were in vain');
    t.notOk(turns.isShared(1, DIRECTORY));
    clock.advance(50);
    t.ok(turns.isShared(1, DIRECTORY), 'tried again');
    t.same(await takeTurns(clock, turns, 1), [true, false]);
    clock.advance(50);
    t.notOk(turns.isShared(1, DIRECTORY), 'the pause is longer');
  },
);

t.test(
  'who writes to a directory, too, waits for the end of another one’s turn, and who only reads does not',
  async t => {
    const clock = new ManualClock();
    const turns = new WriteTurns(clock);
    turns.isShared(1, DIRECTORY);
    turns.isShared(2, DIRECTORY);
    await turns.take(DIRECTORY, async () => turns.begin(1, DIRECTORY));
    let isOver = false;
    const waiting = turns.others(2, [DIRECTORY]).then(() => (isOver = true));
    await turns.others(1, [DIRECTORY]);
    await turns.others(3, [DIRECTORY]);
    await turns.others(undefined, [DIRECTORY]);
    await turn();
    t.notOk(isOver, 'one’s own turn, and another’s who does not write, are not waited for');
    clock.advance(DIRECTORY_TURN_MS);
    await waiting;
    t.ok(isOver);
  },
);

t.test('a session’s turn follows on its last one, unless it has not written for long', async t => {
  const clock = new ManualClock();
  const turns = new WriteTurns(clock);
  turns.isShared(1, DIRECTORY);
  t.equal(turns.given(1, DIRECTORY, 5), undefined);
  t.equal(turns.given(1, DIRECTORY, 9), 5);
  clock.advance(WRITER_MS + 1);
  turns.isShared(2, DIRECTORY);
  t.equal(turns.given(1, DIRECTORY, 12), undefined);
});
