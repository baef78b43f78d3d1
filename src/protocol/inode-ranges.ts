/** Inode numbers on the wire: pairs of a number and of how many follow each other from it. */
import { Type, type Static } from '@sinclair/typebox';
import { InodeNumber, SafeInteger } from './types.js';

/** At most so many pairs. */
export const MAX_INODE_RANGES = 8192;

export const InodeRange = Type.Object({ first: InodeNumber, count: SafeInteger });
export const InodeRanges = Type.Array(InodeRange, { maxItems: MAX_INODE_RANGES });
export type InodeRange = Static<typeof InodeRange>;

/** The numbers in ascending order, as ranges. */
export function toRanges(inodes: Iterable<number>): InodeRange[] {
  const ranges: { first: number; count: number }[] = [];
  for (const inode of [...inodes].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && inode < last.first + last.count) continue;
    if (last && inode === last.first + last.count) last.count += 1;
    else ranges.push({ first: inode, count: 1 });
  }
  return ranges;
}

/** Every number of the ranges. @param limit the most that is told: ranges from the wire may be of any length */
export function* inodesOf(ranges: Iterable<InodeRange>, limit: number): Generator<number> {
  let left = limit;
  for (const { first, count } of ranges) {
    for (let inode = first; inode < first + count && left > 0; inode += 1, left -= 1) yield inode;
  }
}
