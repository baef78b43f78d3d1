/** copy_file_range(2) by reference: chunks never change, so a copy is a second reference to them. */
import { DfsError } from '../../protocol/errors.js';
import { MAX_EXTENTS, MAX_FILE_BYTES } from '../../protocol/limits.js';
import { clone as command } from '../../protocol/content-commands.js';
import { copiedInto } from '../../rules/content.js';
import { checkContentAccess } from '../content/content-access.js';
import { raiseGoal } from '../content/chunk-goal.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { extentsFrom, punch } from '../content/extent-map.js';
import { dropCapability } from '../namespace/capabilities.js';
import { Access } from '../../rules/permissions.js';
import { attributesOf, requireRegularFile } from '../namespace/inodes.js';
import { operation } from '../operation.js';

export const clone = operation(command, async (tx, request, context) => {
  const source = await requireRegularFile(tx, request.source);
  const { offset, target: targetNumber, targetOffset } = request;
  let length = Math.min(request.length, Math.max(0, source.size - offset));
  if (length > MAX_FILE_BYTES - targetOffset) {
    throw new DfsError('EFBIG', `a file has at most ${MAX_FILE_BYTES} bytes`);
  }
  const target = await requireRegularFile(tx, targetNumber);
  await checkContentAccess(tx, source, request.caller, Access.read, context);
  await checkContentAccess(tx, target, request.caller, Access.write, context);
  // copy_file_range(2): EINVAL when both are the same file and the ranges overlap.
  const distance = Math.abs(offset - targetOffset);
  if (request.source === targetNumber && length > distance) {
    throw new DfsError('EINVAL', 'the ranges to copy between overlap');
  }
  if (length === 0) return { attributes: attributesOf(target), copied: 0 };
  const found = await extentsFrom(tx, request.source, offset, MAX_EXTENTS);
  const last = found.at(-1);
  // A copy may be short; the caller goes on from there.
  if (found.length === MAX_EXTENTS && last) length = Math.min(length, last.offset + last.length - offset);

  const references = new ChunkReferences();
  let allocated = -(await punch(tx, targetNumber, targetOffset, targetOffset + length, references));
  for (const extent of found) {
    const from = Math.max(extent.offset, offset);
    const until = Math.min(extent.offset + extent.length, offset + length);
    if (from >= until) continue;
    await tx.extents.insert(targetNumber, {
      offset: targetOffset + (from - offset),
      length: until - from,
      chunk: extent.chunk,
      chunkOffset: extent.chunkOffset + (from - extent.offset),
    });
    references.add(extent.chunk);
    context.state.unsynced.share(targetNumber, extent.chunk);
    await raiseGoal(tx, extent.chunk, target.goal);
    allocated += until - from;
  }
  await references.apply(tx, context.nowMs + context.state.graceMs);
  const extents = { allocated, end: targetOffset + length };
  const changed = copiedInto(target, extents, request.privilegeLoss, context.now);
  await tx.inodes.update(changed);
  if (request.privilegeLoss) await dropCapability(tx, targetNumber);
  return { attributes: attributesOf(changed), copied: length };
});
