/** What flights become in the metadata server's requests: extents of a file, and the chunks that hold them. */
import {
  readableOf,
  storedOf,
  type ReadableChunk,
  type WrittenChunk,
} from '../client/content/readable-chunk.js';
import type { RequestOf } from '../protocol/command.js';
import type { blocks } from '../protocol/content-commands.js';
import { assert } from '../protocol/errors.js';
import type { CarriedOut } from '../protocol/intents.js';
import { SCATTERED_OFFSET } from '../protocol/limits.js';
import type { Extent } from '../protocol/types.js';
import type { Flight } from './flight.js';
import { greaterLoss } from './privilege-loss.js';
import type { Slice } from './write-buffer.js';

/** One commit, as the server is asked for it and as this client takes it over. */
export interface Commit {
  readonly request: Omit<RequestOf<typeof blocks>, 'once'>;
  /** Sorted. */
  readonly extents: readonly Extent[];
  readonly chunks: readonly ReadableChunk[];
}

/**
 * The commit of flights that follow each other in the queue and do not overlap.
 * @param carriesOut the intents of all of them, if the data nodes have those: then nobody waits for the commit
 */
export function commitOf(inode: number, batch: readonly Flight[], carriesOut?: CarriedOut): Commit {
  const extents: Extent[] = [];
  const chunks: WrittenChunk[] = [];
  for (const flight of batch) {
    chunks.push(flight.chunk);
    extents.push(...extentsOf(flight.slices, flight.chunk.chunk));
  }
  extents.sort((a, b) => a.offset - b.offset);
  const last = extents.at(-1);
  const newest = batch.at(-1);
  const loss = batch.map(flight => flight.privilegeLoss).reduce(greaterLoss, undefined);
  assert(last && newest, 'a commit has extents');
  const request = {
    inode,
    extents,
    chunks: chunks.map(storedOf),
    size: last.offset + last.length,
    mtime: newest.mtime,
    ctime: newest.lastWrite,
    durable: !carriesOut && batch.some(flight => flight.isDurable),
    ...(carriesOut ? { carriesOut } : {}),
    ...(newest.isAppending ? { append: true } : {}),
    ...(batch.some(({ isAcknowledged }) => isAcknowledged) ? { acknowledged: true } : {}),
    ...(loss ? { privilegeLoss: loss } : {}),
  };
  return { request, extents, chunks: chunks.map(readableOf) };
}

/** The extents, if others had appended so many bytes in between. */
export function movedBy(bytes: number, extents: readonly Extent[]): readonly Extent[] {
  if (bytes === 0) return extents;
  return extents.map(extent => ({ ...extent, offset: extent.offset + bytes }));
}

/** Where the bytes of a chunk stand in their file, should they have to be put together again without the metadata. */
export function salvageOffset(slices: readonly Slice[]): number {
  let end = slices[0]?.offset;
  const first = end ?? 0;
  for (const slice of slices) {
    if (slice.offset !== end) return SCATTERED_OFFSET;
    end = slice.end;
  }
  return first;
}

/** Slices that follow each other in the file, as they do in the chunk, are one extent. */
function extentsOf(slices: readonly Slice[], chunk: number): Extent[] {
  const extents: { offset: number; length: number; chunk: number; chunkOffset: number }[] = [];
  let chunkOffset = 0;
  for (const slice of slices) {
    const before = extents.at(-1);
    if (before && before.offset + before.length === slice.offset) before.length += slice.length;
    else extents.push({ offset: slice.offset, length: slice.length, chunk, chunkOffset });
    chunkOffset += slice.length;
  }
  return extents;
}
