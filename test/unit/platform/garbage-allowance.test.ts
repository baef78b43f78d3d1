import t from 'tap';
import { growthPercent } from '../../../src/platform/garbage-allowance.js';

const MIB = 1 << 20;

await t.test(
  'a small heap may grow by 64 MiB before it is looked through, a large one as V8 thinks',
  async t => {
    t.equal(growthPercent(16 * MIB, 64 * MIB), 400);
    t.equal(growthPercent(32 * MIB, 64 * MIB), 200);
    t.equal(growthPercent(64 * MIB, 64 * MIB), 0);
    t.equal(growthPercent(1000 * MIB, 64 * MIB), 0);
    t.equal(growthPercent(0, 64 * MIB), 6400, 'and what lives is never taken for nothing');
  },
);
