/** The list of the chunks that this node holds, for `dfs recover`. */
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import type { chunksAfter, HeldChunk } from '../protocol/backup-commands.js';
import { chunkChecksum } from '../protocol/checksum.js';
import type { ChunkStore } from './chunk-store.js';

/** A page of the chunks above `after`. With hints each one's header is read. */
export async function listChunks(
  store: ChunkStore,
  { after, limit, hints }: RequestOf<typeof chunksAfter>,
): Promise<ReplyOf<typeof chunksAfter>> {
  const ids = store.chunkIds();
  const first = firstAbove(ids, after);
  const chunks: HeldChunk[] = [];
  let damaged = 0;
  for (const chunk of ids.subarray(first, first + limit)) {
    if (!hints) {
      const length = store.lengthOf(chunk);
      if (length !== undefined) chunks.push({ chunk, length, inode: 0, fileOffset: 0, checksum: 0 });
      continue;
    }
    try {
      const { inode, fileOffset, length, table } = await store.head(chunk);
      chunks.push({ chunk, length, inode, fileOffset, checksum: chunkChecksum(table) });
    } catch {
      // One that was dropped since the ids were listed is not damaged; of one that is, another node may have it whole.
      if (store.has(chunk)) damaged += 1;
    }
  }
  const isLast = first + limit >= ids.length;
  return { chunks, next: isLast ? 0 : (ids[first + limit - 1] ?? 0), damaged };
}

/** The index of the first of the ascending `ids` that is above `after`. */
function firstAbove(ids: Float64Array, after: number): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? 0) > after) high = middle;
    else low = middle + 1;
  }
  return low;
}
