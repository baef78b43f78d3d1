/** The classic `get`: attributes, extents and chunk locations of a file. */
import type { ReplyOf } from '../../protocol/command.js';
import { assert, hasCode } from '../../protocol/errors.js';
import { isRegularFile } from '../../protocol/file-mode.js';
import { get as command, getfiles as filesCommand } from '../../protocol/content-commands.js';
import { MAX_SMALL_FILE_EXTENTS } from '../../protocol/limits.js';
import type { ChunkLocation, Extent } from '../../protocol/types.js';
import { checkContentAccess } from '../content/content-access.js';
import { extentsFrom } from '../content/extent-map.js';
import { issueReadGrants } from '../content/grants.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { Access } from '../../rules/permissions.js';
import { operation } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

type Page = ReplyOf<typeof filesCommand>['files'][number];

export const get = operation(command, async (tx, { inode: number, offset, limit, caller }, context) => {
  const inode = await requireInode(tx, number);
  await checkContentAccess(tx, inode, caller, Access.read, context);
  const page = await pageOf(tx, inode, offset, limit);
  const readGrants = issueReadGrants(idsOf(page), context);
  return { ...page, readGrants, nodes: context.state.nodes.addresses(nodesOf(page)) };
});

/** Of each file, what `get` tells. */
export const getfiles = operation(filesCommand, async (tx, { inodes, caller }, context) => {
  const files: Page[] = [];
  for (const number of inodes) {
    const inode = await tx.inodes.get(number);
    if (!inode || !isRegularFile(inode.mode)) continue;
    try {
      await checkContentAccess(tx, inode, caller, Access.read, context);
    } catch (error) {
      if (hasCode(error, 'EACCES')) continue;
      throw error;
    }
    files.push(await pageOf(tx, inode, 0, MAX_SMALL_FILE_EXTENTS));
  }
  const readGrants = issueReadGrants(files.flatMap(idsOf), context);
  return { files, readGrants, nodes: context.state.nodes.addresses(files.flatMap(nodesOf)) };
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

function idsOf({ chunks }: Page): number[] {
  return chunks.map(({ chunk }) => chunk);
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
