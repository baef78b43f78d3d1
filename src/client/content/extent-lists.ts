/**
 * Sorted lists of extents and of ranges, merged in one pass: a file in very many pieces gets a thousand new ones with each
 * commit, and moving all that follow for each of them would cost more than everything else.
 */
import type { Extent } from '../../protocol/types.js';

/** Bytes of a file from `start` to before `end`. */
export interface Interval {
  readonly start: number;
  readonly end: number;
}

/** So many new items are put into a list by moving what follows; more of them by building the list anew. */
const MAX_SPLICED = 4096;

/** What a list of extents becomes when `fresh` is laid over it, cutting what is covered. Both are sorted without overlaps. */
export function overlaid(old: readonly Extent[], fresh: readonly Extent[]): Extent[] {
  const result: Extent[] = [];
  let index = 0;
  /** What is left of the old extent that was come to. */
  let rest = old[0];
  for (const extent of fresh) {
    const end = extent.offset + extent.length;
    while (rest && rest.offset < end) {
      const restEnd = rest.offset + rest.length;
      if (restEnd <= extent.offset) result.push(rest);
      else if (rest.offset < extent.offset) result.push({ ...rest, length: extent.offset - rest.offset });
      if (restEnd > end) {
        rest = tailOf(rest, end);
        break;
      }
      rest = old[(index += 1)];
    }
    result.push(extent);
  }
  for (; rest; rest = old[(index += 1)]) result.push(rest);
  return result;
}

function tailOf({ offset, length, chunk, chunkOffset }: Extent, start: number): Extent {
  const cut = start - offset;
  return { offset: start, length: length - cut, chunk, chunkOffset: chunkOffset + cut };
}

/** The ranges of both lists, each sorted; what overlaps or touches becomes one. */
export function united(one: readonly Interval[], other: readonly Interval[]): Interval[] {
  const result: Interval[] = [];
  let [at, otherAt] = [0, 0];
  let current: { start: number; end: number } | undefined;
  for (;;) {
    const [mine, its] = [one[at], other[otherAt]];
    const next = mine && (!its || mine.start <= its.start) ? mine : its;
    if (!next) break;
    if (next === mine) at += 1;
    else otherAt += 1;
    if (current && next.start <= current.end) current.end = Math.max(current.end, next.end);
    else result.push((current = { start: next.start, end: next.end }));
  }
  return result;
}

/** The list with the items from `first` to before `last` replaced: the same list, unless that would cost more. */
export function spliced<Item>(list: Item[], first: number, last: number, fresh: readonly Item[]): Item[] {
  // A list of its own takes no more memory than it needs; one that grows does.
  if (first === 0 && last === list.length) return fresh.slice();
  if (fresh.length > MAX_SPLICED) return list.slice(0, first).concat(fresh, list.slice(last));
  list.splice(first, last - first, ...fresh);
  return list;
}
