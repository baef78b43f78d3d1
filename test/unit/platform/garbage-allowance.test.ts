import t from 'tap';
import { growthPercent, isSparse } from '../../../src/platform/garbage-allowance.js';

const MIB = 1 << 20;

await t.test('a heap may grow by 64 MiB before it is looked through, a large one by a quarter', async t => {
  t.equal(growthPercent(16 * MIB, 64 * MIB), 400);
  t.equal(growthPercent(32 * MIB, 64 * MIB), 200);
  t.equal(growthPercent(128 * MIB, 64 * MIB), 50);
  t.equal(growthPercent(1000 * MIB, 64 * MIB), 25);
  t.equal(growthPercent(0, 64 * MIB), 6400, 'and what lives is never taken for nothing');
});

await t.test('a heap is moved together when more than what garbage may take lies unused in it', async t => {
  t.notOk(isSparse(20 * MIB, 80 * MIB, 64 * MIB));
  t.ok(isSparse(70 * MIB, 190 * MIB, 64 * MIB));
  t.notOk(isSparse(1000 * MIB, 1200 * MIB, 64 * MIB), 'of a large one more may lie unused');
});
