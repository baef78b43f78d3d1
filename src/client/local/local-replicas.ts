/**
 * Short-circuit reads: chunks of data nodes on this machine are read from the nodes' files rather than asked of the nodes.
 * What a node tells of its directory holds as long as its connection does:
 *
 *     unknown ──a large chunk is wanted──► asking ──its proof stands in a file here──► local
 *        ▲                                   └──no such file, no right to read it──► elsewhere
 *        └────────────────the connection is closed, or replaced by another──────────────┘
 *
 * Who is asked for a chunk of a node in any state but `local` hears that it is not to be had here, without waiting.
 */
import { isDoneWithin, type Clock } from '../../platform/clock.js';
import { BufferPool } from '../../platform/buffer-pool.js';
import { DIRECT_SLACK_BYTES } from '../../platform/direct-reads.js';
import type { LocalFiles } from '../../platform/local-files.js';
import type { Logger } from '../../platform/log.js';
import { join } from 'node:path';
import { locality, locate, LOCALITY_PROOF_FILE } from '../../protocol/datanode-commands.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { CHECKSUM_BLOCK_BYTES } from '../../protocol/limits.js';
import type { RpcConnection } from '../../rpc/connection.js';
import type { DataNodePool } from '../content/data-node-pool.js';
import { DiskReads } from './disk-reads.js';
import { LocalNode, type ReadManner } from './local-node.js';
import { readGrantBytes, type KeptReadGrant, type ReadableChunk } from '../content/readable-chunk.js';

/** Smaller chunks are read whole and kept: asking where they are takes as long as asking for them. */
const MIN_CHUNK_BYTES = 128 << 10;
const CALL_TIMEOUT_MS = 10_000;
/** A reader of much waits no longer to hear whether a node is on this machine. */
const LEARNING_MS = 500;
/** What a reader asks for at once, and the rest of the blocks at both of its ends; room for reads past the page cache. */
const LOAN_BYTES = (1 << 20) + 2 * CHECKSUM_BLOCK_BYTES + DIRECT_SLACK_BYTES;
/** Kept for later, of what readers have borrowed. */
const MAX_FREE_LOANS = 16;

/** What came of looking for a chunk on this machine. */
export type LocalRead =
  | { readonly is: 'read'; readonly bytes: Buffer }
  /** The file of this node does not have what was stored. */
  | { readonly is: 'damaged'; readonly node: number };

/** A node as its connection has it. */
interface Neighbour {
  readonly connection: RpcConnection;
  /** While the node is `local`. */
  local: LocalNode | undefined;
  /** While it is not known whether the node is local; never rejects. */
  learning: Promise<void> | undefined;
}

/** A request that makes a connection to a node. */
interface Call {
  /** Monotonic ms. */
  readonly atMs: number;
  /** Resolves when it is over, whatever came of it: all readers who want the node wait together. */
  readonly answered: Promise<void>;
}

export interface LocalReplicasOptions {
  readonly nodes: DataNodePool;
  readonly files: LocalFiles;
  readonly clock: Clock;
  readonly log: Logger;
}

export class LocalReplicas {
  readonly #options: LocalReplicasOptions;
  readonly #diskReads: DiskReads;
  readonly #pool = new BufferPool(LOAN_BYTES, MAX_FREE_LOANS);
  /** node number → the node, in any state but `unknown` */
  readonly #neighbours = new Map<number, Neighbour>();
  /** node number → when a connection to it was last asked for */
  readonly #calls = new Map<number, Call>();
  #isClosed = false;

  constructor(options: LocalReplicasOptions) {
    this.#options = options;
    this.#diskReads = new DiskReads(options.clock);
  }

  /** Exactly these bytes of a chunk; undefined when they have to be asked of a node. Never rejects. */
  async read(
    location: ReadableChunk,
    offset: number,
    length: number,
    manner: ReadManner = {},
  ): Promise<LocalRead | undefined> {
    if (location.length < MIN_CHUNK_BYTES) return undefined;
    for (const node of location.nodes) {
      const local = this.#localNode(node);
      const bytes = local && (await local.read(location, offset, length, manner));
      if (bytes === 'damaged') return { is: 'damaged', node };
      if (bytes) return { is: 'read', bytes };
    }
    return undefined;
  }

  /**
   * Waits a short while until it is known which of a chunk's nodes are on this machine. For readers of much: what they asked of a
   * node meanwhile would fill its page cache, which then reads ahead for them. Never rejects.
   */
  async meet({ length, nodes }: ReadableChunk): Promise<void> {
    if (length >= MIN_CHUNK_BYTES) await Promise.all(nodes.map(async node => await this.#meet(node)));
  }

  /** Whether `read` is likely to find a chunk. */
  mayHave(location: ReadableChunk): boolean {
    return this.#holderOf(location) !== undefined;
  }

  /** As LocalNode.prefetch. */
  async prefetch(
    location: ReadableChunk,
    offset: number,
    length: number,
    isStreamed: boolean,
  ): Promise<void> {
    await this.#holderOf(location)?.prefetch(location, offset, length, isStreamed);
  }

  /** Lets go of every file. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const neighbours = [...this.#neighbours.values()];
    this.#neighbours.clear();
    await Promise.all(neighbours.map(async ({ local }) => await local?.close()));
  }

  #holderOf({ chunk, length, nodes }: ReadableChunk): LocalNode | undefined {
    if (length < MIN_CHUNK_BYTES) return undefined;
    for (const node of nodes) {
      const local = this.#localNode(node);
      if (local?.mayHave(chunk)) return local;
    }
    return undefined;
  }

  /** The node if it is known to be on this machine; one of which nothing is known is asked. */
  #localNode(node: number): LocalNode | undefined {
    const connection = this.#options.nodes.connectionTo(node);
    // The first request to the node makes one.
    if (!connection || this.#isClosed) return undefined;
    const known = this.#neighbours.get(node);
    if (known?.connection === connection) return known.local;
    const neighbour: Neighbour = { connection, local: undefined, learning: undefined };
    this.#neighbours.set(node, neighbour);
    connection.onClose(() => this.#forget(node, neighbour));
    void known?.local?.close();
    neighbour.learning = this.#learn(node, neighbour).finally(() => (neighbour.learning = undefined));
    return undefined;
  }

  async #meet(node: number): Promise<void> {
    const { nodes, clock } = this.#options;
    if (this.#isClosed || this.#localNode(node)) return;
    if (!nodes.connectionTo(node)) {
      await this.#call(node).answered;
      this.#localNode(node);
    }
    const learning = this.#neighbours.get(node)?.learning;
    if (learning) await isDoneWithin(clock, LEARNING_MS, learning);
  }

  /** Makes a connection to a node, unless that was tried a short while ago. */
  #call(node: number): Call {
    const { nodes, clock } = this.#options;
    const atMs = clock.monotonicMs();
    const last = this.#calls.get(node);
    if (last && last.atMs + CALL_TIMEOUT_MS > atMs) return last;
    const answered = nodes.call(node, locality, {}, { timeoutMs: LEARNING_MS }).then(
      () => undefined,
      () => undefined,
    );
    const call = { atMs, answered };
    this.#calls.set(node, call);
    return call;
  }

  #forget(node: number, neighbour: Neighbour): void {
    if (this.#neighbours.get(node) === neighbour) this.#neighbours.delete(node);
    void neighbour.local?.close();
    neighbour.local = undefined;
  }

  /** Finds out whether the node is on this machine. Never rejects. */
  async #learn(node: number, neighbour: Neighbour): Promise<void> {
    const { nodes, files, clock, log } = this.#options;
    const { connection } = neighbour;
    const timeoutMs = CALL_TIMEOUT_MS;
    try {
      const { reply } = await connection.call(locality, {}, { timeoutMs });
      const { directory, proof } = reply;
      if ((await this.#proofIn(directory, proof.length)) !== proof) {
        throw new DfsError('EINVAL', `${directory} is not the directory of that node`);
      }
      if (this.#neighbours.get(node) !== neighbour) return;
      const diskReads = this.#diskReads;
      const pool = this.#pool;
      const place = async (chunk: number, readGrant: KeptReadGrant) => {
        const request = { chunk, grant: readGrantBytes(readGrant) };
        const answer = await nodes.call(node, locate, request, { timeoutMs });
        if (nodes.connectionTo(node) === connection) return answer.reply;
        throw new DfsError('ECONNRESET', 'the node was connected to anew');
      };
      neighbour.local = new LocalNode({ node, directory, files, diskReads, pool, clock, log, locate: place });
      log.info({ node, directory }, 'the files of this data node are read without asking it');
    } catch (error) {
      log.debug({ node, reason: toDfsError(error).message }, 'a data node is not on this machine');
    }
  }

  /** The proof that a directory of this machine holds; rejects when there is none that can be read. */
  async #proofIn(directory: string, length: number): Promise<string> {
    const file = await this.#options.files.open(join(directory, LOCALITY_PROOF_FILE));
    try {
      const target = Buffer.alloc(length);
      return target.toString('latin1', 0, await file.pread(target, 0));
    } finally {
      await file.close();
    }
  }
}
