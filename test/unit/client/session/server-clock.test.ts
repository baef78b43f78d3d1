/** The metadata server's clock as a client knows it. */
import t from 'tap';
import { ServerClock } from '../../../../src/client/session/server-clock.js';
import type { Timespec } from '../../../../src/platform/clock.js';
import { ManualClock } from '../../../support/manual-clock.js';

const toMs = ({ sec, nsec }: Timespec): number => sec * 1000 + nsec / 1e6;
const toTime = (ms: number): Timespec => ({ sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 });

t.test('a clock that agrees with the server, as far as can be known, is left alone', async t => {
  const clock = new ManualClock();
  const known = new ServerClock(clock);
  const sentMs = clock.monotonicMs();
  clock.advance(10);
  known.learn(sentMs, toTime(clock.wallMs - 2));
  t.same(known.now(), clock.now());
});

t.test('a machine whose clock is wrong shows the time of the server', async t => {
  for (const aheadMs of [3_600_000, -7_200_123]) {
    const clock = new ManualClock();
    clock.jumpMs = aheadMs;
    const known = new ServerClock(clock);
    const sentMs = clock.monotonicMs();
    clock.advance(10);
    known.learn(sentMs, toTime(clock.wallMs - aheadMs - 5));
    t.equal(toMs(known.now()), clock.wallMs - aheadMs);
    clock.advance(60_000);
    t.equal(toMs(known.now()), clock.wallMs - aheadMs);
  }
});

t.test('setting the own clock changes nothing', async t => {
  const clock = new ManualClock();
  const known = new ServerClock(clock);
  const before = toMs(known.now());
  clock.jumpMs = 86_400_000;
  t.equal(toMs(known.now()), before);
  clock.advance(1000);
  t.equal(toMs(known.now()), before + 1000);
  const sentMs = clock.monotonicMs();
  clock.advance(4);
  known.learn(sentMs, toTime(clock.wallMs));
  t.same(known.now(), clock.now(), 'unless the server was set too');
});

t.test('being held up between two looks at the own clocks is not taken for a clock that was set', async t => {
  const clock = new ManualClock();
  let heldUpMs = 0;
  const halting = {
    now: () => {
      const time = clock.now();
      clock.advance(heldUpMs);
      return time;
    },
    monotonicMs: () => clock.monotonicMs(),
    setTimer: clock.setTimer.bind(clock),
    atNextTurn: clock.atNextTurn.bind(clock),
  };
  const known = new ServerClock(halting);
  heldUpMs = 70;
  const expected = clock.wallMs;
  t.equal(toMs(known.now()), expected, 'as it was looked at');
  heldUpMs = 0;
  t.equal(toMs(known.now()), clock.wallMs, 'and afterwards');
});
