/** Changing a file's extents. They are sorted, never overlap, and never reach beyond the file's size. */
import type { Extent } from '../../protocol/types.js';
import type { StoreTransaction } from '../store/store.js';
import type { ChunkReferences } from './chunk-references.js';

/** Extents looked at together. */
const PAGE = 1024;

function endOf(extent: Extent): number {
  return extent.offset + extent.length;
}

/** What of `extent` begins at `start`, which lies inside it. */
function tailOf(extent: Extent, start: number): Extent {
  return {
    offset: start,
    length: endOf(extent) - start,
    chunk: extent.chunk,
    chunkOffset: extent.chunkOffset + (start - extent.offset),
  };
}

/** Up to `limit` extents that have bytes at or after `offset`, the one that it lies in first. */
export async function extentsFrom(
  tx: StoreTransaction,
  inode: number,
  offset: number,
  limit: number,
): Promise<Extent[]> {
  const before = await tx.extents.atOrBefore(inode, offset);
  const isInside = before !== undefined && before.offset < offset && before.offset + before.length > offset;
  const rest = await tx.extents.range(inode, offset, Number.MAX_SAFE_INTEGER, isInside ? limit - 1 : limit);
  return isInside ? [before, ...rest] : rest;
}

/** Whether the file's bytes are still where `extents` say. */
export async function isUnchanged(
  tx: StoreTransaction,
  inode: number,
  extents: readonly Extent[],
): Promise<boolean> {
  for (const { offset, length, chunk, chunkOffset } of extents) {
    const found = await tx.extents.atOrBefore(inode, offset);
    if (!found || found.chunk !== chunk || endOf(found) < offset + length) return false;
    if (found.chunkOffset + (offset - found.offset) !== chunkOffset) return false;
  }
  return true;
}

/**
 * Makes [start, end) a hole: extents inside it are deleted, those that reach into it trimmed or split. Touches only
 * what overlaps. Returns how many bytes were covered before.
 */
export async function punch(
  tx: StoreTransaction,
  inode: number,
  start: number,
  end: number,
  references: ChunkReferences,
): Promise<number> {
  if (start >= end) return 0;
  // One extent, found fast, tells that nothing is there: so it is with most pieces of a file that is written at random.
  const last = await tx.extents.atOrBefore(inode, end - 1);
  if (!last || endOf(last) <= start) return 0;
  let freed = 0;
  const before = last.offset <= start ? last : await tx.extents.atOrBefore(inode, start);
  if (before && before.offset < start && endOf(before) > start) {
    await tx.extents.setLength(inode, before.offset, start - before.offset);
    freed += Math.min(endOf(before), end) - start;
    if (endOf(before) > end) {
      // Split: both parts refer to the chunk. Nothing else can begin inside it.
      await tx.extents.insert(inode, tailOf(before, end));
      references.add(before.chunk);
      return freed;
    }
  }
  if (last.offset < start) return freed;
  let from = start;
  for (;;) {
    const inside = await tx.extents.range(inode, from, end, PAGE);
    const final = inside.at(-1);
    if (!final) break;
    await tx.extents.deleteRange(inode, from, final.offset + 1);
    for (const extent of inside) {
      references.drop(extent.chunk);
      freed += Math.min(endOf(extent), end) - extent.offset;
    }
    if (endOf(final) > end) {
      await tx.extents.insert(inode, tailOf(final, end));
      references.add(final.chunk);
    }
    if (inside.length < PAGE) break;
    from = final.offset + 1;
  }
  return freed;
}

export interface Cut {
  readonly freed: number;
  /** Nothing reaches beyond this any more. */
  readonly end: number;
}

/**
 * Deletes and trims up to `limit` extents from the end of a file until none reaches beyond `size`; a large file takes
 * several cuts, the last of which returns `size` as its end.
 */
export async function cutTail(
  tx: StoreTransaction,
  inode: number,
  size: number,
  limit: number,
  references: ChunkReferences,
): Promise<Cut> {
  const tail = await tx.extents.last(inode, size, limit);
  let freed = 0;
  for (const extent of tail) {
    references.drop(extent.chunk);
    freed += extent.length;
  }
  const lowest = tail.at(-1);
  if (lowest) await tx.extents.deleteRange(inode, lowest.offset, Number.MAX_SAFE_INTEGER);
  if (lowest && lowest.offset > size && tail.length === limit) return { freed, end: lowest.offset };
  const before = size > 0 ? await tx.extents.atOrBefore(inode, size - 1) : undefined;
  if (before && endOf(before) > size) {
    freed += endOf(before) - size;
    await tx.extents.setLength(inode, before.offset, size - before.offset);
  }
  return { freed, end: size };
}
