/** The queue of one file's flights against a scripted server: what leaves when, and what becomes of what is refused. */
import t from 'tap';
import { DfsError } from '../../../src/protocol/errors.js';
import { ManualClock } from '../../support/manual-clock.js';
import { rest, ScriptedCommits, written, type Runs } from './support/scripted-commits.js';

const VOID = new DfsError('ESTALE', 'the grant is void');
const FULL = new DfsError('ENOSPC', 'no room');
const GIVEN_UP = new DfsError('EIO', 'given up');
const PATIENCE_MS = 5000;
/** A place in the log of changes. */
const place = (order: number) => ({ order, sinceMs: 0, hurry: () => undefined });

async function storeAll(server: ScriptedCommits): Promise<void> {
  for (const store of server.stores.splice(0)) store.succeed();
  await rest();
}

t.test(
  'chunks that are stored in another order are committed in that in which they were written',
  async t => {
    const server = new ScriptedCommits();
    server.add([[0, 4]]);
    server.add([[4, 4]]);
    server.add([[8, 4]]);
    server.stores.splice(1, 2).forEach(store => store.succeed());
    await rest();
    t.same(server.left, [], 'the first is waited for');
    await storeAll(server);
    t.same(server.left, ['1+2+3'], 'one request for what is ready and does not overlap');
    server.asked?.succeed();
    await server.queue.landed();
    t.same(
      server.freed.map(({ number }) => number),
      [1, 2, 3],
    );
    t.same(server.violations, []);
  },
);

t.test('who waits for what was written waits for all that a truncation has left of it', async t => {
  const server = new ScriptedCommits();
  server.add([[0, 4]]);
  server.add([[4, 4]]);
  let isSettled = false;
  const settled = server.queue.settled(true).then(() => (isSettled = true));
  server.queue.cut(4);
  await rest();
  t.notOk(isSettled, 'the last one is gone, and the first is still being stored');
  await storeAll(server);
  server.asked?.succeed();
  await settled;
  t.same(server.content, [1, 1, 1, 1]);
});

t.test('what overlaps leaves one after the other', async t => {
  const server = new ScriptedCommits();
  server.add([[0, 4]]);
  server.add([[2, 4]]);
  await storeAll(server);
  t.same(server.left, ['1']);
  server.asked?.succeed();
  await rest();
  t.same(server.left, ['1', '2']);
  server.asked?.succeed();
  await rest();
  t.same(server.content, [1, 1, 2, 2, 2, 2]);
});

t.test('nothing overtakes what is ahead of the server below it, not even ahead', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  await storeAll(server);
  t.same(server.left, ['1 ahead']);
  server.add([[2, 4]]);
  await storeAll(server);
  t.same(server.left, ['1 ahead'], 'it waits for the answer');
  server.answerLog(VOID);
  await rest();
  t.equal(server.grantsForgotten, 1);
  await storeAll(server);
  t.same(server.left, ['1 ahead', '1'], 'the older one, stored anew, comes first');
  server.asked?.succeed();
  await rest();
  t.equal(server.left.length, 3);
  server.answerLog();
  await server.queue.settled(true);
  t.same(server.content, [1, 1, 2, 2, 2, 2]);
  t.same(server.violations, []);
});

t.test('two that are refused late take their places by the order in which they were written', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  await storeAll(server);
  server.add([[4, 4]]);
  await storeAll(server);
  t.same(server.left, ['1 ahead', '2 ahead']);
  server.mayGoAhead = () => false;
  server.answerLog(FULL);
  server.answerLog(FULL);
  await rest();
  t.same(server.left.slice(2), ['1'], 'the first of them is asked for first');
  server.asked?.succeed();
  await rest();
  server.asked?.succeed();
  await rest();
  t.same(server.left.slice(2), ['1', '2']);
  t.same(server.failures, []);
});

t.test('one that is refused late while the next waits for others comes before it', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  await storeAll(server);
  server.onQuiesce = () => {
    server.onQuiesce = () => undefined;
    server.answerLog(FULL);
  };
  server.add([[4, 4]]);
  await storeAll(server);
  t.same(server.left, ['1 ahead', '1+2']);
  t.same(server.violations, []);
});

t.test('commits have the places of the closes that acknowledged them', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  server.queue.acknowledge(place(2));
  server.add([[4, 4]]);
  server.queue.acknowledge(place(4));
  await storeAll(server);
  t.same(server.left, ['1 ahead', '2 ahead'], 'each close is a commit of its own');
  t.same(server.orders, [2, 4]);
});

t.test(
  'a close goes with the one before, as long as that has not set out and has the last place',
  async t => {
    const server = new ScriptedCommits();
    server.mayGoAhead = () => true;
    const first = server.add([[0, 4]], {}, true);
    const isLast = ({ order }: { order: number }): boolean => order === 2;
    const join = (runs: Runs): boolean => server.queue.join(written(runs), 100, isLast);
    t.notOk(join([[4, 4]]), 'nobody was told that it is written');
    server.queue.acknowledge(place(2));
    t.ok(join([[4, 4]]));
    t.notOk(join([[6, 4]]), 'it overlaps');
    const second = server.add([[8, 4]], {}, true);
    server.queue.acknowledge(place(4));
    t.notOk(join([[12, 4]]), 'something was acknowledged since');
    first.setOut();
    second.setOut();
    await storeAll(server);
    t.same(server.orders, [2, 4]);
    server.answerLog();
    await rest();
    server.answerLog();
    t.same(server.content, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
    t.same(
      server.freed.map(({ heldBytes }) => heldBytes),
      [8, 4],
    );
  },
);

t.test('a commit that waits while its file is closed takes the place of the close', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  await storeAll(server);
  server.add([[0, 4]]);
  await storeAll(server);
  t.same(server.left, ['1 ahead'], 'the second one overlaps it, and waits for its answer');
  server.queue.acknowledge(place(4));
  server.answerLog();
  await rest();
  t.same(server.left, ['1 ahead', '2 ahead']);
  t.same(server.orders, [undefined, 4]);
});

t.test('one that is refused late does not wait for the place of one that waits behind it', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  server.queue.acknowledge(place(2));
  await storeAll(server);
  server.add([[0, 4]]);
  server.queue.acknowledge(place(4));
  server.answerLog(VOID);
  await storeAll(server);
  t.same(server.left, ['1 ahead', '1']);
  t.same(server.orders, [2, 4], 'it is asked for before the later one, whose place is kept');
  server.asked?.succeed();
  await rest();
  t.same(server.left, ['1 ahead', '1', '2 ahead']);
  t.same(server.violations, []);
});

t.test('what is refused again, or for good, has failed, and is told once', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  await storeAll(server);
  server.answerLog(FULL);
  await rest();
  server.asked?.refuse(FULL);
  await rest();
  t.same(server.failures, [FULL]);
  server.add([[0, 4]]);
  await storeAll(server);
  server.answerLog(new DfsError('ENOENT', 'the file is gone'));
  await rest();
  t.match(server.failures, [FULL, { code: 'ENOENT' }]);
  t.equal(server.freed.length, 2);
});

t.test('a chunk whose grant is void is stored anew, but not for ever', async t => {
  const server = new ScriptedCommits();
  server.add([[0, 4]]);
  for (let times = 0; times < 6; times += 1) {
    await storeAll(server);
    server.asked?.refuse(VOID);
    await rest();
  }
  t.same(server.failures, [VOID]);
  t.equal(server.grantsForgotten, 5);
  t.same(server.stores, []);
});

t.test('a flight that fails does not keep those behind it', async t => {
  const server = new ScriptedCommits();
  server.add([[0, 4]]);
  server.add([[4, 4]]);
  server.stores.shift()?.refuse(FULL);
  await storeAll(server);
  t.same(server.failures, [FULL]);
  t.same(server.left, ['2']);
});

t.test(
  'given up: what is stored or being stored fails, what the server is asked for is not sent again',
  async t => {
    const server = new ScriptedCommits();
    server.add([[0, 4]]);
    await storeAll(server);
    server.add([[4, 4]]);
    server.queue.giveUp(GIVEN_UP);
    server.asked?.sendAgain();
    await server.queue.landed();
    t.same(server.failures, [GIVEN_UP, GIVEN_UP]);
    await storeAll(server);
    t.equal(server.freed.length, 2);
    t.same(server.left, ['1']);
    t.same(server.violations, []);
  },
);

t.test('one that is written through goes to the server itself, and reports its failure itself', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  const first = server.add([[0, 4]], { isThrough: true });
  await storeAll(server);
  t.same(server.left, ['1']);
  server.asked?.succeed();
  await first.landed;
  const second = server.add([[0, 4]], { isThrough: true });
  await storeAll(server);
  server.asked?.refuse(FULL);
  await second.landed;
  t.match(second.state, { is: 'failed', reason: FULL });
  t.same(server.failures, [], 'nobody else is told');
});

t.test('settled: by the word of the server, with what it refused first', async t => {
  const server = new ScriptedCommits();
  server.mayGoAhead = () => true;
  server.add([[0, 4]]);
  await storeAll(server);
  await server.queue.landed();
  let isSettled = false;
  const settled = server.queue.settled(true).then(() => (isSettled = true));
  server.mayGoAhead = () => false;
  server.answerLog(VOID);
  await storeAll(server);
  t.notOk(isSettled);
  server.asked?.succeed();
  await settled;
  t.same(server.content, [1, 1, 1, 1]);
});

t.test('settled within a time, while no data node answers: what is not stored is given up', async t => {
  const server = new ScriptedCommits();
  const clock = new ManualClock();
  server.add([[0, 4]]);
  server.add([[4, 4]]);
  server.queue.acknowledge(place(2));
  server.stores.pop()?.succeed();
  const settled = server.queue.settledWithin(clock, PATIENCE_MS, GIVEN_UP);
  const later = server.add([[8, 4]]);
  clock.advance(PATIENCE_MS);
  await rest();
  t.same(server.failures, [GIVEN_UP]);
  t.same(server.left, ['2'], 'what is stored is committed');
  server.asked?.succeed();
  await settled;
  t.equal(later.state.is, 'storing', 'what was written later goes on being tried');
});

t.test('settled within a time, while data nodes are full: ENOSPC', async t => {
  const server = new ScriptedCommits();
  const clock = new ManualClock();
  server.add([[0, 4]]).trouble = FULL;
  const settled = server.queue.settledWithin(clock, PATIENCE_MS, GIVEN_UP);
  clock.advance(PATIENCE_MS);
  await rest();
  await settled;
  t.same(server.failures, [FULL]);
});

t.test(
  'settled within a time, while the metadata server does not answer: EIO, and it goes on being tried',
  async t => {
    const server = new ScriptedCommits();
    const clock = new ManualClock();
    server.add([[0, 4]]);
    await storeAll(server);
    const settled = server.queue.settledWithin(clock, PATIENCE_MS, GIVEN_UP);
    const refused = t.rejects(settled, { code: 'EIO', message: /the metadata server does not answer/ });
    clock.advance(PATIENCE_MS);
    await rest();
    clock.advance(PATIENCE_MS);
    await rest();
    await refused;
    t.same(server.failures, []);
    server.asked?.succeed();
    await server.queue.settled(true);
    t.same(server.content, [1, 1, 1, 1]);
  },
);
