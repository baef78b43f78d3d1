/**
 * The classic `blocks`: commits extents after their chunks were stored. The one moment at which a file's content
 * changes (DESIGN decision 1).
 */
import { DfsError } from '../../protocol/errors.js';
import { withoutPrivileges } from '../../protocol/file-mode.js';
import { clampTime, ctimeAfter } from '../../protocol/file-time.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import { blocks as command } from '../../protocol/content-commands.js';
import type { Extent } from '../../protocol/types.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { checkStoredChunks, recordNewChunks, type CommittedChunks } from '../content/chunk-commit.js';
import { isUnchanged, punch } from '../content/extent-map.js';
import { attributesOf, requireRegularFile } from '../namespace/inodes.js';
import { dropCapability } from '../namespace/capabilities.js';
import { operation } from '../operation.js';

/** On average, of one commit. */
const SMALL_EXTENT_BYTES = 256 << 10;

export const blocks = operation(
  command,
  async (tx, request, context) => {
    const inode = await requireRegularFile(tx, request.inode);
    const { extents, moved } = place(inOrder(request.extents), inode.size, request.append === true);
    const chunks = await checkStoredChunks(tx, request.chunks, context);
    checkExtentChunks(extents, chunks);
    const { replaces } = request;
    if (replaces && !(await isUnchanged(tx, inode.inode, replaces))) {
      return { attributes: attributesOf(inode), overtaken: true };
    }

    const references = new ChunkReferences();
    let allocated = inode.allocated;
    for (const run of runsOf(extents)) {
      // Nothing reaches beyond the size, so what is appended covers nothing.
      if (run.start < inode.size) allocated -= await punch(tx, inode.inode, run.start, run.end, references);
    }
    for (const extent of extents) {
      await tx.extents.insert(inode.inode, extent);
      allocated += extent.length;
      if (!chunks.fresh.has(extent.chunk)) references.add(extent.chunk);
    }
    await recordNewChunks(tx, chunks, extents, inode.goal, context);
    await references.apply(tx, context.nowMs + context.state.graceMs);
    if (inode.size > 0 && isInPieces(extents)) await tx.fragmented.insert(inode.inode);
    const last = extents.at(-1);
    const asked = request.append === true ? 0 : request.size;
    const size = Math.max(inode.size, asked, last ? last.offset + last.length : 0);
    const changed = {
      ...inode,
      mode: request.privilegeLoss ? withoutPrivileges(inode.mode, request.privilegeLoss) : inode.mode,
      size,
      allocated,
      mtime: replaces ? inode.mtime : clampTime(request.mtime),
      ctime: replaces ? inode.ctime : ctimeAfter(inode.ctime, request.ctime ?? context.now, context.now),
      version: inode.version + 1,
    };
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
  const bytes = extents.reduce((sum, { length }) => sum + length, 0);
  return extents.length > 0 && bytes / extents.length <= SMALL_EXTENT_BYTES;
}

interface Placed {
  readonly extents: readonly Extent[];
  readonly moved: number;
}

/**
 * POSIX write() with O_APPEND: "the file offset shall be set to the end of the file prior to each write", the end being
 * the one at this moment, whoever wrote before.
 */
function place(extents: readonly Extent[], size: number, isAppend: boolean): Placed {
  const moved = isAppend ? size - (extents[0]?.offset ?? size) : 0;
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
