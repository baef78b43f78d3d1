/** Sorted lists merged in one pass are what comes of treating each byte by itself (client/content/extent-lists.ts). */
import t from 'tap';
import { overlaid, spliced, united, type Interval } from '../../../../src/client/content/extent-lists.js';
import type { Extent } from '../../../../src/protocol/types.js';
import { generator } from '../../../support/pseudo-random.js';

const BYTES = 40;
const ROUNDS = 500;
const MAX_SPLICED = 4096;

/** Intervals in order that do not overlap; some touch. */
function intervals(random: (below: number) => number): Interval[] {
  const result: Interval[] = [];
  for (let at = random(8); at < BYTES;) {
    const end = at + 1 + random(6);
    result.push({ start: at, end });
    at = end + random(3) * random(5);
  }
  return result;
}

let chunks = 0;
function extents(random: (below: number) => number): Extent[] {
  return intervals(random).map(({ start, end }) => {
    chunks += 1;
    return { offset: start, length: end - start, chunk: chunks, chunkOffset: random(100) };
  });
}

/** Where each byte is; undefined for a hole. */
function bytesOf(list: readonly Extent[]): (string | undefined)[] {
  const bytes = Array.from<string | undefined>({ length: 2 * BYTES });
  for (const { offset, length, chunk, chunkOffset } of list)
    for (let at = 0; at < length; at += 1) bytes[offset + at] = `${chunk}:${chunkOffset + at}`;
  return bytes;
}

const isSorted = (list: readonly Extent[]): boolean =>
  list.every(({ offset, length }, index) => {
    const next = list[index + 1];
    return length > 0 && (!next || offset + length <= next.offset);
  });

t.test('new extents cover old ones byte by byte, and the rest stays', async t => {
  const random = generator(1);
  for (let round = 0; round < ROUNDS; round += 1) {
    const [old, fresh] = [extents(random), extents(random)];
    const before = structuredClone(old);
    const result = overlaid(old, fresh);
    const [below, above] = [bytesOf(old), bytesOf(fresh)];
    const expected = below.map((byte, at) => above[at] ?? byte);
    if (!isSorted(result)) t.fail(`round ${round}: the list is not sorted`);
    t.same(bytesOf(result), expected, `round ${round}`);
    t.same(old, before, 'the old list is as it was');
  }
});

t.test('an extent in the midst of another one leaves its beginning and its end', async t => {
  const old = [{ offset: 0, length: 10, chunk: 1, chunkOffset: 5 }];
  const fresh = [
    { offset: 2, length: 2, chunk: 2, chunkOffset: 0 },
    { offset: 6, length: 1, chunk: 3, chunkOffset: 0 },
  ];
  t.same(overlaid(old, fresh), [
    { offset: 0, length: 2, chunk: 1, chunkOffset: 5 },
    fresh[0],
    { offset: 4, length: 2, chunk: 1, chunkOffset: 9 },
    fresh[1],
    { offset: 7, length: 3, chunk: 1, chunkOffset: 12 },
  ]);
  t.same(overlaid([], fresh), fresh);
  t.same(overlaid(old, []), old);
});

t.test('ranges of both lists are united, those that touch too', async t => {
  const random = generator(2);
  const covers = (list: readonly Interval[], at: number): boolean =>
    list.some(({ start, end }) => start <= at && at < end);
  for (let round = 0; round < ROUNDS; round += 1) {
    const [one, other] = [intervals(random), intervals(random)];
    const result = united(one, other);
    for (let at = 0; at < 2 * BYTES; at += 1) {
      if (covers(result, at) !== (covers(one, at) || covers(other, at))) t.fail(`round ${round}: byte ${at}`);
    }
    const isApart = result.every(({ end }, index) => end < (result[index + 1]?.start ?? Infinity));
    if (!isApart) t.fail(`round ${round}: ranges touch`);
  }
  t.same(united([{ start: 0, end: 9 }], [{ start: 2, end: 3 }]), [{ start: 0, end: 9 }]);
  t.same(united([], []), []);
});

t.test('items are replaced in the same list, or in another one where that is cheaper', async t => {
  const list = [1, 2, 3, 4];
  t.equal(spliced(list, 1, 3, [7, 8, 9]), list);
  t.same(list, [1, 7, 8, 9, 4]);
  t.same(spliced(list, 2, 2, [0]), [1, 7, 0, 8, 9, 4]);
  const fresh = [5];
  const whole = spliced(list, 0, list.length, fresh);
  t.same(whole, [5]);
  t.not(whole, fresh, 'it is no list of the caller’s');
  const many = Array.from({ length: MAX_SPLICED + 1 }, (_, index) => index);
  t.same(spliced([-1, -2, -3], 1, 2, many), [-1, ...many, -3]);
});
