/** Reads chunks from whichever replica answers, and believes none without the checksums with which the chunk was committed. */
import type { Logger } from '../../platform/log.js';
import { blocksCovering, matchesChecksums } from '../../protocol/checksum.js';
import { read, readparts } from '../../protocol/datanode-commands.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { payloadBytes, slicePayload } from '../../platform/payload.js';
import type { Payload } from '../../protocol/frame.js';
import {
  CHECKSUM_BLOCK_BYTES,
  CHECKSUM_BYTES,
  MAX_CHUNK_BYTES,
  MAX_SMALL_FILES,
} from '../../protocol/limits.js';
import { isConnectionError } from '../../rpc/client.js';
import { ChunkTables, isTableOf, requireTable } from './chunk-tables.js';
import type { DataNodePool } from './data-node-pool.js';
import type { ReadManner } from '../local/local-node.js';
import type { LocalReplicas } from '../local/local-replicas.js';
import { isGrantRefused, readGrantBytes, type ReadableChunk } from './readable-chunk.js';

const READ_TIMEOUT_MS = 10_000;

export class ChunkReader {
  readonly #nodes: DataNodePool;
  readonly #log: Logger;
  readonly #local: LocalReplicas | undefined;
  readonly #tables: ChunkTables;

  /** @param local the replicas on this machine, which are preferred to all others */
  constructor(nodes: DataNodePool, log: Logger, local?: LocalReplicas) {
    this.#nodes = nodes;
    this.#tables = new ChunkTables(nodes);
    this.#log = log;
    this.#local = local;
  }

  /**
   * `length` bytes of a chunk from `offset` on: straight from a file of this machine if there is one that has them, else by
   * one try of each replica, the likeliest first. Rejects with ENOENT when
   * every replica is gone (the chunk may have been replaced: look its file's extents up again), with EACCES when the grant
   * is not good any more (look it up, too), with a connection error when a node that may have it was not reached, and with EIO when what there is does not match its checksums.
   */
  async read(
    location: ReadableChunk,
    offset: number,
    length: number,
    manner: ReadManner = {},
  ): Promise<Payload> {
    const found = await this.#local?.read(location, offset, length, manner);
    if (found?.is === 'read') return [found.bytes];
    const errors: DfsError[] = [];
    const preferred = this.#nodes.preferred(location.nodes);
    // A node whose file did not read well is to see that itself: it is who has the chunk made good.
    const order = found ? [found.node, ...preferred.filter(node => node !== found.node)] : preferred;
    for (const node of order) {
      try {
        return await this.#readFrom(node, location, offset, length);
      } catch (error) {
        const reason = toDfsError(error);
        if (!isGrantRefused(reason)) this.#nodes.distrust(node);
        this.#log.warn({ chunk: location.chunk, node, reason: reason.message }, 'a replica was not read');
        errors.push(reason);
      }
    }
    const refused = errors.find(error => isGrantRefused(error));
    if (refused) throw refused;
    const unreached = errors.find(error => isConnectionError(error));
    if (unreached) throw unreached;
    if (errors.length > 0 && errors.every(error => error.code === 'ENOENT')) {
      throw new DfsError('ENOENT', `no data node has chunk ${location.chunk} any more`);
    }
    const reasons = errors.map(error => error.message).join('; ') || 'it has no replica';
    throw new DfsError('EIO', `chunk ${location.chunk} cannot be read: ${reasons}`);
  }

  /** Small chunks as a whole, as far as one try of one replica each has them. Never rejects. */
  async readWhole(locations: readonly ReadableChunk[]): Promise<ReadonlyMap<number, Payload>> {
    const chunks = new Map<number, Payload>();
    const byNode = new Map<number, ReadableChunk[]>();
    for (const location of locations) {
      const [node] = this.#nodes.preferred(location.nodes);
      if (node === undefined) continue;
      const others = byNode.get(node);
      if (others) others.push(location);
      else byNode.set(node, [location]);
    }
    const requests = [...byNode].flatMap(([node, wanted]) =>
      together(wanted).map(parts => ({ node, parts })),
    );
    await Promise.all(
      requests.map(
        async ({ node, parts }) =>
          await this.#readParts(node, parts, chunks).catch(
            // Whoever wants one of them reads it by itself, and hears why that cannot be.
            (error: unknown) =>
              this.#log.debug({ node, reason: toDfsError(error).message }, 'chunks were not read'),
          ),
      ),
    );
    return chunks;
  }

  async #readParts(
    node: number,
    locations: readonly ReadableChunk[],
    chunks: Map<number, Payload>,
  ): Promise<void> {
    const parts = locations.map(({ chunk, length, readGrant }) => ({
      chunk,
      offset: 0,
      length,
      grant: readGrantBytes(readGrant),
    }));
    const { reply, payload } = await this.#nodes.call(
      node,
      readparts,
      { parts },
      { timeoutMs: READ_TIMEOUT_MS },
    );
    let at = 0;
    for (const { index, checksums } of reply.read) {
      const part = parts[index];
      const location = locations[index];
      if (!part || !location)
        throw new DfsError('EPROTO', `data node ${node} sent what it was not asked for`);
      // A copy: the rest of what came with it would stay in memory for as long as this is kept.
      const bytes = Buffer.concat(slicePayload(payload, at, part.length));
      at += part.length;
      if (isTableOf(location, checksums) && matchesChecksums([bytes], checksums))
        chunks.set(part.chunk, [bytes]);
    }
  }

  /** Whether a chunk is likely to be in a file of this machine: then the system keeps what was read of it. */
  isLocal(location: ReadableChunk): boolean {
    return this.#local?.mayHave(location) ?? false;
  }

  /** As LocalReplicas.meet. */
  async meet(location: ReadableChunk): Promise<void> {
    await this.#local?.meet(location);
  }

  /** Part of a chunk that `isLocal` will be wanted. Never rejects. */
  async prefetch(
    location: ReadableChunk,
    offset: number,
    length: number,
    isStreamed: boolean,
  ): Promise<void> {
    await this.#local?.prefetch(location, offset, length, isStreamed);
  }

  /** Reads the blocks in which these bytes are, so that they can be checked. */
  async #readFrom(node: number, location: ReadableChunk, offset: number, length: number): Promise<Payload> {
    const { chunk, readGrant } = location;
    const firstBlock = Math.floor(offset / CHECKSUM_BLOCK_BYTES);
    const from = firstBlock * CHECKSUM_BLOCK_BYTES;
    const blocks = blocksCovering(offset, length);
    const bytes = Math.min(location.length, from + blocks * CHECKSUM_BLOCK_BYTES) - from;
    // All checksums of a whole chunk come with it.
    const isWhole = bytes === location.length;
    const kept = isWhole ? undefined : this.#tables.kept(chunk);
    const { reply, payload } = await this.#nodes.call(
      node,
      read,
      {
        chunk,
        offset: from,
        length: bytes,
        grant: readGrantBytes(readGrant),
        ...(isWhole || kept ? {} : { wantsTable: true }),
      },
      { timeoutMs: READ_TIMEOUT_MS },
    );
    if (payloadBytes(payload) !== bytes) {
      throw new DfsError('EIO', `data node ${node} sent ${payloadBytes(payload)} bytes instead of ${bytes}`);
    }
    if (isWhole) requireTable(location, reply.checksums, node);
    const table = isWhole ? reply.checksums : (kept ?? (await this.#tableFrom(node, location, reply.table)));
    const entries = table.subarray(firstBlock * CHECKSUM_BYTES, (firstBlock + blocks) * CHECKSUM_BYTES);
    if (!matchesChecksums(payload, entries)) {
      throw new DfsError('EIO', `what data node ${node} sent of chunk ${chunk} does not match its checksum`);
    }
    return bytes === length ? payload : slicePayload(payload, offset - from, length);
  }

  /** @param told what the node told with its answer */
  async #tableFrom(node: number, location: ReadableChunk, told: Uint8Array | undefined): Promise<Buffer> {
    if (!told) return await this.#tables.ask(node, location);
    return this.#tables.take(node, location, told);
  }
}

/** Cuts a list of chunks into lists that one request may ask for. */
function together(locations: readonly ReadableChunk[]): ReadableChunk[][] {
  const lists: ReadableChunk[][] = [];
  let bytes = 0;
  for (const location of locations) {
    const last = lists.at(-1);
    bytes += location.length;
    if (last && last.length < MAX_SMALL_FILES && bytes <= MAX_CHUNK_BYTES) last.push(location);
    else {
      lists.push([location]);
      bytes = location.length;
    }
  }
  return lists;
}
