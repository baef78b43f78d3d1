/** The classic `get`: what a file is, what it consists of, and where that is. */
import { assert } from '../../protocol/errors.js';
import { isRegularFile } from '../../protocol/file-mode.js';
import { get as command, getfiles as filesCommand } from '../../protocol/content-commands.js';
import { MAX_SMALL_FILE_EXTENTS } from '../../protocol/limits.js';
import type { ChunkLocation, Extent } from '../../protocol/types.js';
import { extentsFrom } from '../content/extent-map.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { operation } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

/** Of each file, what `get` tells. */
export const getfiles = operation(filesCommand, async (tx, { inodes }, { state }) => {
  const files = [];
  for (const number of inodes) {
    const inode = await tx.inodes.get(number);
    if (!inode || !isRegularFile(inode.mode)) continue;
    const found = await extentsFrom(tx, number, 0, MAX_SMALL_FILE_EXTENTS + 1);
    const extents = found.slice(0, MAX_SMALL_FILE_EXTENTS);
    const next = found[MAX_SMALL_FILE_EXTENTS]?.offset ?? -1;
    files.push({ attributes: attributesOf(inode), extents, chunks: await locate(tx, extents), next });
  }
  const nodes = files.flatMap(({ chunks }) => chunks.flatMap(chunk => chunk.nodes));
  return { files, nodes: state.nodes.addresses(nodes) };
});

export const get = operation(command, async (tx, { inode: number, offset, limit }, { state }) => {
  const inode = await requireInode(tx, number);
  const found = isRegularFile(inode.mode) ? await extentsFrom(tx, number, offset, limit + 1) : [];
  const extents = found.slice(0, limit);
  const chunks = await locate(tx, extents);
  return {
    attributes: attributesOf(inode),
    extents,
    chunks,
    nodes: state.nodes.addresses(chunks.flatMap(chunk => chunk.nodes)),
    next: found[limit]?.offset ?? -1,
  };
});

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
