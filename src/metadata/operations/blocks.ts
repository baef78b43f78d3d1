/**
 * The classic `blocks`: commits extents after their chunks were stored. The one moment at which a file's content
 * changes (docs/decisions/01).
 */
import { DfsError } from '../../protocol/errors.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import { blocks as command } from '../../protocol/content-commands.js';
import type { Extent } from '../../protocol/types.js';
import { appendShift, committed, extentChange } from '../../rules/content.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { checkStoredChunks, recordNewChunks, type CommittedChunks } from '../content/chunk-commit.js';
import { isUnchanged, punch } from '../content/extent-map.js';
import { attributesOf, requireRegularFile } from '../namespace/inodes.js';
import { dropCapability } from '../namespace/capabilities.js';
import { operation } from '../operation.js';
import type { InodeRecord } from '../store/store.js';

/** On average, of one commit. */
const SMALL_EXTENT_BYTES = 256 << 10;

export const blocks = operation(
  command,
  async (tx, request, context) => {
    const inode = await requireRegularFile(tx, request.inode);
    const { extents, moved } = place(inOrder(request.extents), inode, request.append === true);
    const chunks = await checkStoredChunks(tx, request.chunks, context);
    checkExtentChunks(extents, chunks);
    const { replaces } = request;
    if (replaces && !(await isUnchanged(tx, inode.inode, replaces))) {
      return { attributes: attributesOf(inode), overtaken: true };
    }

    const references = new ChunkReferences();
    let freed = 0;
    for (const run of runsOf(extents)) {
      // Nothing reaches beyond the size, so what is appended covers nothing.
      if (run.start < inode.size) freed += await punch(tx, inode.inode, run.start, run.end, references);
    }
    for (const extent of extents) {
      await tx.extents.insert(inode.inode, extent);
      if (!chunks.fresh.has(extent.chunk)) references.add(extent.chunk);
    }
    await recordNewChunks(tx, chunks, extents, inode, context);
    await references.apply(tx, context.nowMs + context.state.graceMs);
    if (inode.size > 0 && isInPieces(extents)) await tx.fragmented.insert(inode.inode);
    const { allocated, end } = extentChange(extents);
    const changed = committed(inode, request, { allocated: allocated - freed, end }, context.now);
    await tx.inodes.update(changed);
    if (request.privilegeLoss) await dropCapability(tx, inode.inode);
    if (request.durable) context.control.requireDurable();
    return { attributes: attributesOf(changed), ...(moved === 0 ? {} : { moved }) };
  },
  (request, _reply, { control }) => {
    if (request.durable) control.requireDurable();
  },
);

/** A commit that leaves a file in small pieces; the defragmenter looks whether there are many. */
function isInPieces(extents: readonly Extent[]): boolean {
  return extents.length > 0 && extentChange(extents).allocated / extents.length <= SMALL_EXTENT_BYTES;
}

interface Placed {
  readonly extents: readonly Extent[];
  readonly moved: number;
}

/** The extents as the file gets them, those of an append at its end. */
function place(extents: readonly Extent[], inode: InodeRecord, isAppend: boolean): Placed {
  const moved = isAppend ? appendShift(inode, extents) : 0;
  if (moved === 0) return { extents, moved };
  return { extents: inOrder(extents.map(extent => ({ ...extent, offset: extent.offset + moved }))), moved };
}

/** Sorted by offset. EINVAL when two overlap, EFBIG when one ends beyond the largest file. */
function inOrder(given: readonly Extent[]): readonly Extent[] {
  const extents = given.toSorted((a, b) => a.offset - b.offset);
  let end = 0;
  for (const extent of extents) {
    if (extent.offset < end) {
      throw new DfsError('EINVAL', `two extents of one commit overlap at offset ${extent.offset}`);
    }
    // Subtracted rather than added, since the sum may not be exact.
    if (extent.length > MAX_FILE_BYTES - extent.offset) {
      throw new DfsError('EFBIG', `a file has at most ${MAX_FILE_BYTES} bytes`);
    }
    end = extent.offset + extent.length;
  }
  return extents;
}

/**
 * EINVAL for an extent whose chunk the same request shows no grant of, or that reaches beyond its end. That a chunk is on
 * record is not enough: an extent of somebody else's chunk would be somebody else's bytes in the client's own file.
 */
function checkExtentChunks(extents: readonly Extent[], { lengths }: CommittedChunks): void {
  for (const { chunk, chunkOffset, length, offset } of extents) {
    const chunkLength = lengths.get(chunk);
    if (chunkLength === undefined) {
      throw new DfsError(
        'EINVAL',
        `the extent at ${offset} refers to chunk ${chunk}, of which the commit shows no grant`,
      );
    }
    if (chunkOffset + length > chunkLength) {
      throw new DfsError(
        'EINVAL',
        `the extent at ${offset} ends beyond chunk ${chunk}, which has ${chunkLength} bytes`,
      );
    }
  }
}

/** Extents that follow each other without a gap, as one range. */
function* runsOf(extents: readonly Extent[]): Generator<{ readonly start: number; readonly end: number }> {
  let start = 0;
  let end = 0;
  for (const extent of extents) {
    if (extent.offset > end) {
      if (end > start) yield { start, end };
      start = extent.offset;
    }
    end = extent.offset + extent.length;
  }
  if (end > start) yield { start, end };
}
