/**
 * The ranges of one file that one owner has locked, as fcntl(2) has it: sorted, not overlapping, and merged where
 * neighbours have the same type. Client and metadata server keep them in the same way.
 */
import type { LockType } from './types.js';

export interface LockRange {
  readonly start: number;
  /** The last byte. */
  readonly end: number;
  readonly type: LockType;
}

/** `ranges` with [start, end] locked as `type`, or unlocked, whatever it was before. */
export function withRange(
  ranges: readonly LockRange[],
  start: number,
  end: number,
  type: LockType | 'unlock',
): LockRange[] {
  const result: LockRange[] = [];
  const append = (range: LockRange): void => {
    const last = result.at(-1);
    if (last?.type === range.type && last.end + 1 === range.start) {
      result[result.length - 1] = { ...last, end: range.end };
    } else {
      result.push(range);
    }
  };
  let isPlaced = type === 'unlock';
  const place = (): void => {
    if (type !== 'unlock' && !isPlaced) append({ start, end, type });
    isPlaced = true;
  };
  for (const range of ranges) {
    if (range.end < start) {
      append(range);
      continue;
    }
    if (range.start < start) append({ ...range, end: start - 1 });
    place();
    if (range.end > end) append({ ...range, start: Math.max(range.start, end + 1) });
  }
  place();
  return result;
}

/** The first of `ranges` that another owner's lock of [start, end] as `type` cannot stand beside. */
export function conflictIn(
  ranges: readonly LockRange[],
  start: number,
  end: number,
  type: LockType,
): LockRange | undefined {
  return ranges.find(
    range => range.start <= end && range.end >= start && (type === 'write' || range.type === 'write'),
  );
}

/** Whether all of [start, end] is locked as `type`. */
export function isLocked(ranges: readonly LockRange[], start: number, end: number, type: LockType): boolean {
  return ranges.some(range => range.start <= start && range.end >= end && range.type === type);
}
