/** Puts a new chunk together from pieces of others, so that a file in many pieces becomes one in few. */
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import { chunkChecksum, computeChecksums } from '../protocol/checksum.js';
import type { assemble } from '../protocol/datanode-commands.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { ChunkStore } from './chunk-store.js';
import type { Pipeline } from './pipeline.js';

type Order = RequestOf<typeof assemble>;
type Piece = Order['pieces'][number];

/** Pieces fetched at once. */
const AT_ONCE = 8;

export interface AssemblyOptions {
  readonly store: ChunkStore;
  readonly pipeline: Pipeline;
  /** This node's number. */
  readonly node: number;
}

/** Rejects with what kept a piece from being read, or the chunk from being stored here. */
export async function assembleChunk(
  order: Order,
  options: AssemblyOptions,
): Promise<ReplyOf<typeof assemble>> {
  const { grant, inode, fileOffset, pieces, forward } = order;
  const { store, pipeline, node } = options;
  const payload: Buffer[] = [];
  for (let at = 0; at < pieces.length; at += AT_ONCE) {
    const some = pieces.slice(at, at + AT_ONCE);
    payload.push(...(await Promise.all(some.map(async piece => await fetchPiece(piece, options)))));
  }
  const checksums = computeChecksums(payload);
  const length = payload.reduce((sum, { length: bytes }) => sum + bytes, 0);
  const request = { grant, checksums, inode, fileOffset, forward, durable: true };
  const forwarded = pipeline.forward(request, payload);
  await store.put({ chunk: grant.chunk, inode, fileOffset, length, table: checksums, payload });
  await store.sync();
  const { stored } = await forwarded;
  return { stored: [node, ...stored], checksum: chunkChecksum(checksums) };
}

async function fetchPiece(
  { chunk, offset, length, grant, nodes }: Piece,
  { store, pipeline, node }: AssemblyOptions,
): Promise<Buffer> {
  let reason = new DfsError('ENOENT', `no node is named that has chunk ${chunk}`);
  // What is here need not travel.
  for (const from of nodes.toSorted((a, b) => Number(b.node === node) - Number(a.node === node))) {
    try {
      if (from.node !== node) return await pipeline.fetch(from, { chunk, offset, length, grant });
      const { bytes } = await store.read(chunk, offset, length);
      return bytes;
    } catch (error) {
      reason = toDfsError(error);
    }
  }
  throw reason;
}
