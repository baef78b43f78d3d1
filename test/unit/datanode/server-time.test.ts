/** The metadata server's time as a data node knows it. */
import t from 'tap';
import { ServerTime } from '../../../src/datanode/server-time.js';
import { ManualClock } from '../../support/manual-clock.js';

t.test('it is known with the first reply, and goes on with the monotonic clock alone', async t => {
  const clock = new ManualClock();
  const time = new ServerTime(clock);
  t.equal(time.nowMs, undefined, 'there is no grant to check either');
  time.learn(5_000_000, clock.monotonicMs());
  t.equal(time.nowMs, 5_000_000);
  clock.advance(1000);
  clock.jumpMs = 3_600_000;
  t.equal(time.nowMs, 5_001_000, "somebody set this machine's clock");
});

t.test('a slow round trip does not move it, and one that contradicts it does', async t => {
  const clock = new ManualClock();
  const time = new ServerTime(clock);
  time.learn(1_000_000, clock.monotonicMs());
  // The request took no time, the reply four seconds.
  const sentMs = clock.monotonicMs();
  clock.advance(4000);
  time.learn(1_000_000, sentMs);
  t.equal(time.nowMs, 1_004_000);
  time.learn(9_000_000, clock.monotonicMs());
  t.equal(time.nowMs, 9_000_000, "the server's clock was set");
  time.learn(2_000_000, clock.monotonicMs() - 10);
  t.equal(time.nowMs, 2_000_010, 'and back');
});
