import t from 'tap';
import {
  clampTime,
  ctimeAfter,
  MAX_TIME_SEC,
  MIN_TIME_SEC,
  shownTime,
} from '../../../src/rules/file-time.js';

const at = (sec: number, nsec = 0) => ({ sec, nsec });

t.test('times are those that ext4 can keep', async t => {
  t.equal(MAX_TIME_SEC, Date.UTC(2446, 4, 10, 22, 38, 55) / 1000);
  t.equal(MIN_TIME_SEC, Date.UTC(1901, 11, 13, 20, 45, 52) / 1000);
  t.same(clampTime(at(2 ** 56, 5)), at(MAX_TIME_SEC));
  t.same(clampTime(at(MAX_TIME_SEC, 5)), at(MAX_TIME_SEC), 'the ends are whole seconds');
  t.same(clampTime(at(-(2 ** 62))), at(MIN_TIME_SEC));
  t.same(clampTime(at(-1, 999)), at(-1, 999));
});

t.test('a time that was shown is kept, unless it is later than clocks may differ', async t => {
  t.same(shownTime(at(100, 5), at(100)), at(100, 5));
  t.same(shownTime(at(101), at(100)), at(101));
  t.same(shownTime(at(101, 1), at(100)), at(100));
  t.same(shownTime(at(5), at(100)), at(5));
});

t.test('the ctime does not go back, except from a future that somebody had set', async t => {
  t.same(ctimeAfter(at(90), at(95), at(100)), at(95));
  t.same(ctimeAfter(at(97), at(95), at(100)), at(97));
  t.same(ctimeAfter(at(7200), at(95), at(100)), at(95));
});
