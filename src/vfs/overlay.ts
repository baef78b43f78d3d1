/** Lays written bytes that are not committed yet over what is. */
import type { Payload } from '../protocol/frame.js';
import { firstAfter, type Slice } from './write-buffer.js';

/** A run of bytes at a place of the file. */
export interface PlacedBytes {
  readonly offset: number;
  readonly payload: Payload;
}

export interface Gap {
  readonly offset: number;
  readonly length: number;
}

export interface Overlay {
  readonly covered: readonly PlacedBytes[];
  /** What no layer has: to be read from the committed file. */
  readonly gaps: readonly Gap[];
}

/**
 * The bytes of [offset, end) that `layers` have, newest layer first; each layer is sorted. They are copies, taken at
 * once.
 */
export function overlay(layers: readonly (readonly Slice[])[], offset: number, end: number): Overlay {
  const covered: PlacedBytes[] = [];
  let gaps: Gap[] = [{ offset, length: end - offset }];
  for (const slices of layers) {
    const left: Gap[] = [];
    for (const gap of gaps) left.push(...coverGap(slices, gap, covered));
    gaps = left;
    if (gaps.length === 0) break;
  }
  return { covered, gaps };
}

function coverGap(slices: readonly Slice[], gap: Gap, covered: PlacedBytes[]): Gap[] {
  const end = gap.offset + gap.length;
  const left: Gap[] = [];
  let at = gap.offset;
  for (let index = Math.max(0, firstAfter(slices, at) - 1); index < slices.length && at < end; index += 1) {
    const slice = slices[index];
    if (!slice || slice.offset >= end) break;
    if (slice.end <= at) continue;
    if (slice.offset > at) left.push({ offset: at, length: slice.offset - at });
    const from = Math.max(at, slice.offset);
    const until = Math.min(end, slice.end);
    covered.push({ offset: from, payload: [slice.copy(from - slice.offset, until - from)] });
    at = until;
  }
  if (at < end) left.push({ offset: at, length: end - at });
  return left;
}

/** All parts in file order, as one payload. */
export function assemble(parts: readonly PlacedBytes[]): Payload {
  return [...parts].sort((a, b) => a.offset - b.offset).flatMap(part => part.payload);
}

/**
 * The bytes from `start` to `end`: those of the layers, and under them what `read` finds.
 * @param layers newest first, each sorted
 */
export async function readUnder(
  layers: readonly (readonly Slice[])[],
  start: number,
  end: number,
  read: (offset: number, length: number) => Promise<Payload>,
): Promise<Payload> {
  const { covered, gaps } = overlay(layers, start, end);
  const parts: PlacedBytes[] = [...covered];
  await Promise.all(
    gaps.map(async ({ offset, length }) => parts.push({ offset, payload: await read(offset, length) })),
  );
  return assemble(parts);
}
