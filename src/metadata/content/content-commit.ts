/** The one moment at which a file's content changes (docs/decisions/01): extents are put into the place of others. */
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import { DfsError } from '../../protocol/errors.js';
import type { RequestOf } from '../../protocol/command.js';
import type { blocks } from '../../protocol/content-commands.js';
import type { Extent } from '../../protocol/types.js';
import { appendShift, committed, extentChange } from '../../rules/content.js';
import { dropCapability } from '../namespace/capabilities.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';
import { recordNewChunks, type CommittedChunks } from './chunk-commit.js';
import { ChunkReferences } from './chunk-references.js';
import { punch } from './extent-map.js';

/** On average, of one commit. */
const SMALL_EXTENT_BYTES = 256 << 10;

/** What becomes of a file besides the extents that it gets, which are sorted and do not overlap. */
export type ContentCommit = Pick<
  RequestOf<typeof blocks>,
  'append' | 'size' | 'mtime' | 'ctime' | 'privilegeLoss' | 'replaces'
> & { readonly extents: readonly Extent[] };

/** Puts the extents, whose chunks were checked, into the file. Returns the file as it is then. */
export async function commitContent(
  tx: StoreTransaction,
  inode: InodeRecord,
  commit: ContentCommit,
  chunks: CommittedChunks,
  context: OperationContext,
): Promise<InodeRecord> {
  const { extents } = commit;
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
  const changed = committed(inode, commit, { allocated: allocated - freed, end }, context.now);
  await tx.inodes.update(changed);
  if (commit.privilegeLoss) await dropCapability(tx, inode.inode);
  return changed;
}

/** A commit that leaves a file in small pieces; the defragmenter looks whether there are many. */
function isInPieces(extents: readonly Extent[]): boolean {
  return extents.length > 0 && extentChange(extents).allocated / extents.length <= SMALL_EXTENT_BYTES;
}

export interface Placed {
  readonly extents: readonly Extent[];
  readonly moved: number;
}

/** Sorted extents as the file gets them, those of an append at its end. EFBIG when one ends beyond the largest file. */
export function place(extents: readonly Extent[], inode: InodeRecord, isAppend: boolean): Placed {
  const moved = isAppend ? appendShift(inode, extents) : 0;
  if (moved === 0) return { extents, moved };
  return { extents: inOrder(extents.map(extent => ({ ...extent, offset: extent.offset + moved }))), moved };
}

/** Sorted by offset. EINVAL when two overlap, EFBIG when one ends beyond the largest file. */
export function inOrder(given: readonly Extent[]): readonly Extent[] {
  const extents = given.toSorted((a, b) => a.offset - b.offset);
  requireOrder(extents);
  return extents;
}

/** EINVAL when the extents are not sorted by offset, or overlap; EFBIG when one ends beyond the largest file. */
export function requireOrder(extents: readonly Extent[]): void {
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
