/** The classic `blocks`: commits extents after their chunks were stored. */
import { DfsError } from '../../protocol/errors.js';
import { blocks as command } from '../../protocol/content-commands.js';
import type { Extent } from '../../protocol/types.js';
import { commitContent, inOrder, place } from '../content/content-commit.js';
import { checkStoredChunks, type CommittedChunks } from '../content/chunk-commit.js';
import { isUnchanged } from '../content/extent-map.js';
import { logOf, noteDone, openLog, requireCarriedOut } from '../intents/open-log.js';
import { attributesOf, requireRegularFile } from '../namespace/inodes.js';
import { operation } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

export const blocks = operation(
  command,
  async (tx, request, context) => {
    const inode = await requireRegularFile(tx, request.inode);
    const { carriesOut, wantsLog, replaces } = request;
    const log = carriesOut && logOf(inode.inode, carriesOut, context);
    if (carriesOut && !log) {
      await requireReplayed(tx, request.chunks);
      return { attributes: attributesOf(inode) };
    }
    if (wantsLog) requireCarriedOut(inode.inode, wantsLog, context);
    const { extents, moved } = place(inOrder(request.extents), inode, request.append === true);
    const chunks = await checkStoredChunks(tx, request.chunks, context, log !== undefined);
    checkExtentChunks(extents, chunks);
    if (replaces && !(await isUnchanged(tx, inode.inode, replaces))) {
      return { attributes: attributesOf(inode), overtaken: true };
    }

    const changed = await commitContent(tx, inode, { ...request, extents }, chunks, context);
    if (log && carriesOut)
      await noteDone(tx, log, { done: carriesOut.last, version: changed.version }, context);
    if (request.durable) context.control.requireDurable();
    const opened = wantsLog && request.durable ? await openLog(tx, changed, context) : undefined;
    return {
      attributes: attributesOf(changed),
      ...(moved === 0 ? {} : { moved }),
      ...(opened ? { opened } : {}),
    };
  },
  (request, _reply, { control }) => {
    if (request.durable) control.requireDurable();
  },
);

/** What a client asks to carry out of a log that is over was carried out in its place. EIO when it was not. */
async function requireReplayed(
  tx: StoreTransaction,
  chunks: readonly { readonly chunk: number }[],
): Promise<void> {
  for (const { chunk } of chunks) {
    // One that is not on record any more was overwritten meanwhile.
    if ((await tx.chunks.get(chunk)) || (await tx.retired.has(chunk))) continue;
    throw new DfsError('EIO', 'others have gone on without what this client had synced');
  }
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
