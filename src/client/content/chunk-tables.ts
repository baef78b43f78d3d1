/**
 * The checksum tables of chunks, as far as this client reads parts of them: a node tells them, and the metadata server knows the
 * checksum of each (docs/decisions/41). So what is taken from a node is what was stored, and not merely what the node says of itself.
 */
import { LRUCache } from 'lru-cache';
import { checksumTableBytes, chunkChecksum } from '../../protocol/checksum.js';
import { locate } from '../../protocol/datanode-commands.js';
import { DfsError } from '../../protocol/errors.js';
import type { ChunkLocation } from '../../protocol/types.js';
import { LARGE_KEY_BYTES, LRU_ENTRY_BYTES, stringCost } from '../caches/cache-budget.js';
import type { DataNodePool } from './data-node-pool.js';
import { readGrantBytes, type ReadableChunk } from './readable-chunk.js';

/** Those of 4 MiB chunks are 1 KiB, so this is enough for some 12 GiB of them. */
const TABLES_BYTES = 4 << 20;
const LOCATE_TIMEOUT_MS = 10_000;

export class ChunkTables {
  readonly #nodes: DataNodePool;
  /** chunk id → its table, in latin1 */
  readonly #tables = new LRUCache<number, string>({
    maxSize: TABLES_BYTES,
    sizeCalculation: table => LRU_ENTRY_BYTES + LARGE_KEY_BYTES + stringCost(table.length),
  });

  constructor(nodes: DataNodePool) {
    this.#nodes = nodes;
  }

  /** The table, if it is at hand. */
  kept(chunk: number): Buffer | undefined {
    const kept = this.#tables.get(chunk);
    return kept === undefined ? undefined : Buffer.from(kept, 'latin1');
  }

  /** Takes the table that a node tells, if it is the chunk's; else EIO. */
  take(node: number, location: ChunkLocation, told: Uint8Array): Buffer {
    requireTable(location, told, node);
    // A copy: the table would keep the whole message in memory.
    const table = Buffer.from(told);
    this.#tables.set(location.chunk, table.toString('latin1'));
    return table;
  }

  /** Asks a node for the table alone. Rejects like every call to a node, and like `take`. */
  async ask(node: number, location: ReadableChunk): Promise<Buffer> {
    const { chunk, readGrant } = location;
    const request = { chunk, grant: readGrantBytes(readGrant) };
    const { reply } = await this.#nodes.call(node, locate, request, { timeoutMs: LOCATE_TIMEOUT_MS });
    return this.take(node, location, reply.checksums);
  }
}

/** Whether this is the table of the chunk as it was committed. */
export function isTableOf({ length, checksum }: ChunkLocation, table: Uint8Array): boolean {
  return table.length === checksumTableBytes(length) && chunkChecksum(table) === checksum;
}

/** EIO unless it is. */
export function requireTable(location: ChunkLocation, table: Uint8Array, node: number): void {
  if (isTableOf(location, table)) return;
  throw new DfsError('EIO', `what data node ${node} has as chunk ${location.chunk} is not what was stored`);
}
