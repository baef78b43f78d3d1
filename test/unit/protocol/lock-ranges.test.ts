import t from 'tap';
import { conflictIn, isLocked, withRange, type LockRange } from '../../../src/protocol/lock-ranges.js';
import { MAX_FILE_BYTES } from '../../../src/protocol/limits.js';

const BYTES = 24;
type Cell = 'read' | 'write' | undefined;

/** Numbers from a seed (a linear congruential generator), so that a failure can be repeated. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

function cellsOf(ranges: readonly LockRange[]): Cell[] {
  const cells = Array.from<Cell>({ length: BYTES });
  for (const { start, end, type } of ranges) cells.fill(type, start, end + 1);
  return cells;
}

t.test('locks of one owner replace, split and merge as if each byte had its own', async t => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = numbers(seed);
    let ranges: LockRange[] = [];
    const model = Array.from<Cell>({ length: BYTES });
    for (let step = 0; step < 60; step += 1) {
      const start = random(BYTES);
      const end = start + random(BYTES - start);
      const type = (['read', 'write', 'unlock'] as const)[random(3)] ?? 'unlock';
      ranges = withRange(ranges, start, end, type);
      model.fill(type === 'unlock' ? undefined : type, start, end + 1);
      const what = `seed ${seed} step ${step}`;
      if (JSON.stringify(cellsOf(ranges)) !== JSON.stringify(model)) t.same(cellsOf(ranges), model, what);
      const runs = model.filter((cell, at) => cell !== undefined && cell !== model[at - 1]).length;
      if (ranges.length !== runs) t.equal(ranges.length, runs, `${what}: neighbours of a type are one range`);
      const from = random(BYTES);
      const until = from + random(BYTES - from);
      const wanted = random(2) === 0 ? 'read' : 'write';
      const inTheWay = model
        .slice(from, until + 1)
        .some(cell => cell === 'write' || (cell === 'read' && wanted === 'write'));
      if ((conflictIn(ranges, from, until, wanted) !== undefined) !== inTheWay) t.fail(`${what}: conflict`);
      const isWhole = model.slice(from, until + 1).every(cell => cell === wanted);
      if (isLocked(ranges, from, until, wanted) !== isWhole) t.fail(`${what}: is locked`);
    }
  }
  t.pass();
});

t.test('a lock to the end of the file has one part after its middle is unlocked', async t => {
  const whole = withRange([], 0, MAX_FILE_BYTES, 'write');
  t.same(withRange(whole, 10, 19, 'unlock'), [
    { start: 0, end: 9, type: 'write' },
    { start: 20, end: MAX_FILE_BYTES, type: 'write' },
  ]);
  t.same(withRange(whole, 0, MAX_FILE_BYTES, 'unlock'), []);
});
