/** The states of a flight: which follow which, and what a program waits for in each. */
import t from 'tap';
import type { WrittenChunk } from '../../../src/client/content/readable-chunk.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { Flight, SMALL_CHUNK_BYTES, type WrittenSlices } from '../../../src/vfs/flight.js';
import { MAX_SLICES_PER_CHUNK } from '../../../src/vfs/write-buffer.js';
import { written } from './support/scripted-commits.js';

const CHUNK = { chunk: 5 } as WrittenChunk;
const MIB = 1 << 20;
const REASON = new DfsError('EIO', 'given up');

function newFlight(isThrough = false): Flight {
  return new Flight(1, written([[10, 4]], { isThrough, isAppending: true }));
}

async function hasCome(moment: Promise<void>): Promise<boolean> {
  const later = new Promise<false>(resolve => {
    setImmediate(() => resolve(false));
  });
  return await Promise.race([moment.then(() => true), later]);
}

t.test('by asking: storing, stored, asked, committed', async t => {
  const flight = newFlight();
  t.equal(flight.state.is, 'storing');
  t.throws(() => flight.chunk, /storing/);
  flight.store(CHUNK);
  t.ok(await hasCome(flight.decided));
  t.ok(flight.isReady);
  flight.ask();
  t.notOk(flight.isReady);
  flight.commit();
  t.equal(flight.state.is, 'committed');
  t.notOk(await hasCome(flight.landed));
  flight.land();
  t.ok(await hasCome(flight.landed));
});

t.test('ahead, refused, and committed by asking', async t => {
  const flight = newFlight();
  flight.store(CHUNK);
  flight.goAhead();
  flight.land();
  t.ok(await hasCome(flight.landed), 'nobody waits for the server');
  flight.putBack();
  t.notOk(await hasCome(flight.landed), 'from here on it is waited for again');
  t.ok(flight.isReady);
  t.ok(flight.mustAsk);
  t.notOk(flight.isAppending, 'its place was shown');
  t.throws(() => flight.goAhead(), /only the server/);
  flight.ask();
  flight.commit();
});

t.test('a void grant: it is stored anew, and decided anew', async t => {
  const flight = newFlight();
  flight.store(CHUNK);
  flight.ask();
  flight.storeAnew();
  t.equal(flight.state.is, 'storing');
  t.equal(flight.storedAnew, 1);
  t.notOk(await hasCome(flight.decided));
  t.ok(flight.isAppending, 'nobody was told its place');
  flight.store(CHUNK);
  t.ok(await hasCome(flight.decided));
});

t.test(
  'given up while it is being stored, it fails at once, and what is stored later changes nothing',
  async t => {
    const flight = newFlight();
    flight.giveUp(REASON);
    t.ok(await hasCome(flight.decided));
    flight.store(CHUNK);
    flight.fail(new DfsError('ENOSPC', 'later'));
    t.match(flight.state, { is: 'failed', reason: REASON });
  },
);

t.test('given up while the server is asked, it has a refusal, and may still be committed', async t => {
  const flight = newFlight();
  flight.store(CHUNK);
  flight.ask();
  flight.giveUp(REASON);
  flight.giveUp(new DfsError('EIO', 'a second reason'));
  t.match(flight.state, { is: 'asked', refusal: REASON });
  flight.commit();
});

t.test('what is ahead is not given up: a program was told, and the log has it', async t => {
  const flight = newFlight();
  flight.store(CHUNK);
  flight.goAhead();
  flight.giveUp(REASON);
  t.equal(flight.state.is, 'ahead');
});

t.test('no other transition is made', async t => {
  const moves: Record<string, (flight: Flight) => void> = {
    store: flight => flight.store(CHUNK),
    ask: flight => flight.ask(),
    goAhead: flight => flight.goAhead(),
    commit: flight => flight.commit(),
    putBack: flight => flight.putBack(),
    storeAnew: flight => flight.storeAnew(),
    fail: flight => flight.fail(REASON),
  };
  const ways: Record<string, string[]> = {
    storing: [],
    stored: ['store'],
    asked: ['store', 'ask'],
    ahead: ['store', 'goAhead'],
    committed: ['store', 'ask', 'commit'],
  };
  const allowed: Record<string, string[]> = {
    storing: ['store', 'fail'],
    stored: ['ask', 'goAhead', 'fail'],
    asked: ['commit', 'storeAnew', 'fail'],
    ahead: ['commit', 'putBack', 'storeAnew', 'fail'],
    committed: [],
  };
  for (const [state, way] of Object.entries(ways)) {
    for (const [name, move] of Object.entries(moves)) {
      const flight = newFlight();
      for (const step of way) moves[step]?.(flight);
      if (allowed[state]?.includes(name)) t.doesNotThrow(() => move(flight), `${state}: ${name}`);
      else t.throws(() => move(flight), /internal error/, `${state}: not ${name}`);
    }
  }
});

t.test('one that is written through goes to the server only', async t => {
  const flight = newFlight(true);
  flight.store(CHUNK);
  t.throws(() => flight.goAhead(), /only the server/);
});

t.test('as long as it gathers, it takes what can go in the same chunk', async t => {
  const flight = new Flight(1, written([[10, 4]]), true);
  const times = { mtime: { sec: 7, nsec: 0 }, lastWrite: { sec: 8, nsec: 0 } };
  t.ok(flight.mayTake(written([[14, 4]]), MIB));
  flight.take(written([[20, 4]], { ...times, privilegeLoss: 'ordinary' }), MIB);
  t.equal(flight.end, 24);
  t.equal(flight.bytes, 8);
  t.equal(flight.heldBytes, 8);
  t.match(flight, { ...times, privilegeLoss: 'ordinary' });
  const others: Record<string, WrittenSlices> = {
    nothing: written([]),
    'what lies before its end': written([[22, 4]]),
    'more than a small chunk': written([[24, SMALL_CHUNK_BYTES]]),
    'what must be durable': written([[24, 4]], { isDurable: true }),
    'what is appended, if it was not': written([[24, 4]], { isAppending: true }),
    'what is written through': written([[24, 4]], { isThrough: true }),
    'too many runs': written(Array.from({ length: MAX_SLICES_PER_CHUNK }, (_, n) => [30 + 2 * n, 1])),
  };
  for (const [what, other] of Object.entries(others)) {
    t.notOk(flight.mayTake(other, MIB), what);
    t.throws(() => flight.take(other, MIB), /internal error/, what);
  }
  t.notOk(flight.mayTake(written([[24, 4]]), 11), 'more than a chunk');
  flight.cut(22);
  t.equal(flight.heldBytes, 8, 'its memory is freed as a whole');
  flight.setOut();
  t.notOk(flight.mayTake(written([[24, 4]]), MIB), 'what is on its way is not changed');
  t.equal(flight.state.is, 'storing');
});

t.test('one that was given up while it gathered takes nothing', async t => {
  const flight = new Flight(1, written([[10, 4]]), true);
  flight.giveUp(REASON);
  t.notOk(flight.mayTake(written([[14, 4]]), MIB));
  flight.setOut();
  t.match(flight.state, { is: 'failed', reason: REASON });
});
