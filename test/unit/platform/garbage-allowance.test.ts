import t from 'tap';
import { growthPercent, isSparse } from '../../../src/platform/garbage-allowance.js';

const MIB = 1 << 20;
const BOUNDS = { most: 64 * MIB, least: 32 * MIB };

await t.test(
  '64 MiB of garbage may gather in a small heap, 32 in a full one, in a large one a quarter',
  async t => {
    t.equal(growthPercent(16 * MIB, BOUNDS), 400);
    t.equal(growthPercent(32 * MIB, BOUNDS), 200);
    t.equal(growthPercent(64 * MIB, BOUNDS), 100);
    t.equal(growthPercent(128 * MIB, BOUNDS), 25);
    t.equal(growthPercent(1000 * MIB, BOUNDS), 25);
    t.equal(growthPercent(0, BOUNDS), 6400, 'and what lives is never taken for nothing');
  },
);

await t.test('a heap is moved together when more than what garbage may take lies unused in it', async t => {
  t.notOk(isSparse(20 * MIB, 80 * MIB, BOUNDS));
  t.ok(isSparse(70 * MIB, 190 * MIB, BOUNDS));
  t.ok(isSparse(110 * MIB, 150 * MIB, BOUNDS));
  t.notOk(isSparse(1000 * MIB, 1200 * MIB, BOUNDS), 'of a large one more may lie unused');
});
