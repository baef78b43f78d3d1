/** fallocate(2): holes, zeros, and a size that is reached before anything is written there. */
import { DfsError } from '../../protocol/errors.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import { fallocate as command } from '../../protocol/content-commands.js';
import { preallocated } from '../../rules/content.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { punch } from '../content/extent-map.js';
import { dropCapability } from '../namespace/capabilities.js';
import { attributesOf, requireRegularFile } from '../namespace/inodes.js';
import { operation } from '../operation.js';

/** Extents taken out in one transaction; others have their turn in between. */
const CUT_EXTENTS = 2048;

export const fallocate = operation(command, async (begun, request, context) => {
  const { offset, length, zero } = request;
  // Subtracted rather than added, since the sum may not be exact.
  if (length > MAX_FILE_BYTES - offset) {
    throw new DfsError('EFBIG', `a file has at most ${MAX_FILE_BYTES} bytes`);
  }
  const end = offset + length;
  let tx = begun;
  let from = offset;
  for (;;) {
    const inode = await requireRegularFile(tx, request.inode);
    const inside = zero ? await tx.extents.range(inode.inode, from, end, CUT_EXTENTS) : [];
    const last = inside.length === CUT_EXTENTS ? inside.at(-1) : undefined;
    const until = last ? Math.min(end, last.offset + last.length) : end;
    const references = new ChunkReferences();
    const freed = zero ? await punch(tx, inode.inode, from, until, references) : 0;
    await references.apply(tx, context.nowMs + context.state.graceMs);
    const size = request.keepSize ? inode.size : Math.max(inode.size, until);
    const change = { size, freed, isZeroed: zero };
    const changed = preallocated(inode, change, request.privilegeLoss, context.now);
    await tx.inodes.update(changed);
    if (request.privilegeLoss) await dropCapability(tx, inode.inode);
    if (until === end) return { attributes: attributesOf(changed) };
    from = until;
    tx = await context.control.pause();
  }
});
