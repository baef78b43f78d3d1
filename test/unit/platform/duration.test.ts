import t from 'tap';
import { formatDuration } from '../../../src/platform/duration.js';

t.test('durations are told in round figures', async t => {
  t.equal(formatDuration(9999.967_582), '10 s');
  t.equal(formatDuration(0.2), '0 ms');
  t.equal(formatDuration(250.4), '250 ms');
  t.equal(formatDuration(1500), '1.5 s');
  t.equal(formatDuration(59_400), '59 s');
  t.equal(formatDuration(59_998), '1 min');
  t.equal(formatDuration(90_000), '1.5 min');
  t.equal(formatDuration(3_599_999), '1 h');
  t.equal(formatDuration(86_300_000), '1 d');
  t.equal(formatDuration(3_600_000), '1 h');
  t.equal(formatDuration(-7_200_000), '-2 h');
  t.equal(formatDuration(14 * 86_400_000), '14 d');
});
