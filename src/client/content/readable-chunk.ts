/** A chunk's place together with the permission to read it, and how both are kept. */
import type { StoredChunk } from '../../protocol/content-commands.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { expiryOf, READ_GRANT_BYTES, readGrantAt } from '../../protocol/read-grants.js';
import type { ChunkLocation, Grant } from '../../protocol/types.js';

/**
 * The bytes of a read grant as a string of latin1, which takes 40 bytes of memory: a Buffer takes some 300, and one that lies
 * in a reply would keep all of the reply.
 */
export type KeptReadGrant = string;

/** For one grant, between two calls. */
const scratch = Buffer.alloc(READ_GRANT_BYTES);

export interface ReadableChunk extends ChunkLocation {
  readonly readGrant: KeptReadGrant;
}

/** A chunk that this client has stored and may commit. */
export interface WrittenChunk extends ReadableChunk {
  readonly grant: Grant;
  /** Whether its nodes put it on stable storage before they answered. */
  readonly isSynced: boolean;
  /** Whether every one of them has with it, on stable storage, what is to be done with it. */
  readonly hasIntent: boolean;
}

/** The grant of the chunk at `index` of a list. */
export function keptReadGrant(readGrants: Uint8Array, index: number): KeptReadGrant {
  return readGrantAt(readGrants, index, scratch).toString('latin1');
}

/** As it is shown to a data node. */
export function readGrantBytes(kept: KeptReadGrant): Buffer {
  return Buffer.from(kept, 'latin1');
}

/** When a grant expires, in ms since the epoch by the metadata server's clock. */
export function keptExpiryOf(kept: KeptReadGrant): number {
  scratch.write(kept, 'latin1');
  return expiryOf(scratch);
}

/**
 * Chunks with their grants, which came in the same reply.
 * @param first the place of the first chunk's grant among `readGrants`
 */
export function readableChunks(
  chunks: readonly ChunkLocation[],
  readGrants: Uint8Array,
  first = 0,
): ReadableChunk[] {
  return chunks.map(({ chunk, length, checksum, nodes }, index) => ({
    chunk,
    length,
    checksum,
    nodes,
    readGrant: keptReadGrant(readGrants, first + index),
  }));
}

/** What is kept of a chunk once it is committed. */
export function readableOf({ chunk, length, checksum, nodes, readGrant }: WrittenChunk): ReadableChunk {
  return { chunk, length, checksum, nodes, readGrant };
}

/** Its entry in a request to the metadata server. */
export function storedOf({ chunk, length, checksum, nodes, grant, isSynced }: WrittenChunk): StoredChunk {
  return { chunk, length, checksum, nodes, grant, ...(isSynced ? { synced: true } : {}) };
}

/**
 * Whether a data node refuses a grant: it has expired, or the node has (or had, or will have in a moment) another key than
 * the metadata server. Another one, from the metadata server, may do.
 */
export function isGrantRefused(error: unknown): boolean {
  return error instanceof DfsError && error.isAnswer && hasCode(error, 'EACCES', 'EAGAIN');
}
