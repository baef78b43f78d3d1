import t from 'tap';
import { ReadAhead } from '../../../src/vfs/read-ahead.js';

const MIB = 1 << 20;

t.test('a sequential reader is read ahead for, in a growing window that ends with the file', async t => {
  const readAhead = new ReadAhead(8 * MIB);
  const size = 40 * MIB;
  let fetchedUntil = 0;
  let largest = 0;
  for (let offset = 0; offset < size; offset += 128 << 10) {
    const advice = readAhead.advise(offset, 128 << 10, size);
    t.equal(advice.isSequential, true);
    if (advice.aheadLength > 0) {
      if (fetchedUntil > 0) t.equal(advice.aheadOffset, fetchedUntil, 'no byte is fetched twice or skipped');
      fetchedUntil = advice.aheadOffset + advice.aheadLength;
      largest = Math.max(largest, advice.aheadLength);
    }
    t.ok(fetchedUntil <= size && fetchedUntil - offset <= 8 * MIB + (128 << 10));
  }
  t.equal(fetchedUntil, size);
  t.ok(largest >= 2 * MIB);
});

t.test('a reader who jumps about is not read ahead for', async t => {
  const readAhead = new ReadAhead(8 * MIB);
  for (const offset of [500, 90, 300, 10, 700]) {
    const advice = readAhead.advise(offset * MIB, 4096, 1000 * MIB);
    t.equal(advice.isSequential, false);
    t.equal(advice.aheadLength, 0);
  }
});

t.test('requests of one reader may overtake each other', async t => {
  const readAhead = new ReadAhead(8 * MIB);
  for (const index of [1, 0, 3, 2, 5, 4]) {
    t.equal(readAhead.advise(index * (128 << 10), 128 << 10, 100 * MIB).isSequential, true);
  }
});

t.test('zero turns read-ahead off', async t => {
  const readAhead = new ReadAhead(0);
  for (let index = 0; index < 20; index += 1) {
    t.equal(readAhead.advise(index * MIB, MIB, 100 * MIB).aheadLength, 0);
  }
});
