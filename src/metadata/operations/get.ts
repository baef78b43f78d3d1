/** The classic `get`: what a file is, what it consists of, and where that is. */
import type { ReplyOf } from '../../protocol/command.js';
import { assert } from '../../protocol/errors.js';
import { isRegularFile } from '../../protocol/file-mode.js';
import { get as command, getfiles as filesCommand } from '../../protocol/content-commands.js';
import { MAX_SMALL_FILE_EXTENTS } from '../../protocol/limits.js';
import type { ChunkLocation, Extent } from '../../protocol/types.js';
import { extentsFrom } from '../content/extent-map.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

type Page = ReplyOf<typeof filesCommand>['files'][number];

export const get = operation(command, async (tx, { inode: number, offset, limit }, { state }) => {
  const page = await pageOf(tx, await requireInode(tx, number), offset, limit);
  return { ...page, nodes: state.nodes.addresses(nodesOf(page)) };
});

/** Of each file, what `get` tells. */
export const getfiles = operation(filesCommand, async (tx, { inodes }, { state }) => {
  const files: Page[] = [];
  for (const number of inodes) {
    const inode = await tx.inodes.get(number);
    if (inode && isRegularFile(inode.mode)) files.push(await pageOf(tx, inode, 0, MAX_SMALL_FILE_EXTENTS));
  }
  return { files, nodes: state.nodes.addresses(files.flatMap(nodesOf)) };
});

async function pageOf(
  tx: StoreTransaction,
  inode: InodeRecord,
  offset: number,
  limit: number,
): Promise<Page> {
  const found = isRegularFile(inode.mode) ? await extentsFrom(tx, inode.inode, offset, limit + 1) : [];
  const extents = found.slice(0, limit);
  const chunks = await locate(tx, extents);
  return { attributes: attributesOf(inode), extents, chunks, next: found[limit]?.offset ?? -1 };
}

function nodesOf({ chunks }: Page): number[] {
  return chunks.flatMap(chunk => chunk.nodes);
}

/** Where the chunks of these extents are, each once. */
async function locate(tx: StoreTransaction, extents: readonly Extent[]): Promise<ChunkLocation[]> {
  const chunks: ChunkLocation[] = [];
  for (const id of new Set(extents.map(extent => extent.chunk))) {
    const record = await tx.chunks.get(id);
    assert(record, `chunk ${id} has extents but no record`);
    const { chunk, length, checksum, nodes } = record;
    chunks.push({ chunk, length, checksum, nodes: [...nodes] });
  }
  return chunks;
}
