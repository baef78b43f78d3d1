/** Stores chunks on data nodes: one request to the first node of a grant, which passes the chunk on (DESIGN decision 7). */
import { sleep, type Clock } from '../platform/clock.js';
import { chunkChecksum, computeChecksums } from '../protocol/checksum.js';
import { syncChunks, write } from '../protocol/datanode-commands.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { payloadBytes, type Payload } from '../protocol/frame.js';
import type { StoredChunk } from '../protocol/metadata-commands.js';
import type { Grant, NodeAddress } from '../protocol/types.js';
import { isConnectionError } from '../rpc/client.js';
import type { DataNodePool } from './data-node-pool.js';
import type { GrantPool } from './grant-pool.js';

export interface ChunkToStore {
  readonly payload: Payload;
  readonly goal: number;
  /** For salvage from the segments alone: whose bytes these are, and where in the file the first one stands. */
  readonly inode: number;
  readonly fileOffset: number;
  /** On stable storage on every node named in the result. */
  readonly durable: boolean;
}

/** A node that does not take a chunk within this time is left out. */
const WRITE_TIMEOUT_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;
/** With every node answering, more attempts than this to reach the goal only delay the writer. */
const ATTEMPTS_FOR_GOAL = 3;

export class ChunkWriter {
  readonly #nodes: DataNodePool;
  readonly #grants: GrantPool;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor(nodes: DataNodePool, grants: GrantPool, clock: Clock, timeoutMs: number) {
    this.#nodes = nodes;
    this.#grants = grants;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Stores one chunk on as many nodes as its goal says, or as there are. A node that fails is left out and another
   * one taken. EIO when no node took it within the client's timeout, ENOSPC when none has room.
   */
  async store(chunk: ChunkToStore): Promise<StoredChunk> {
    const checksums = computeChecksums(chunk.payload);
    const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs;
    const failed = new Set<number>();
    let pauseMs = FIRST_PAUSE_MS;
    /** What was reached so far, when it is fewer replicas than granted. */
    let partly: StoredChunk | undefined;
    for (let attempt = 1; ; attempt += 1) {
      let isGranted = false;
      try {
        const grant = await this.#takeGrant(chunk.goal, failed);
        isGranted = true;
        if (partly && grant.nodes.length <= partly.nodes.length) return partly;
        const stored = await this.#storeUnder(grant, chunk, checksums, failed);
        if (stored.nodes.length >= grant.nodes.length || attempt >= ATTEMPTS_FOR_GOAL) return stored;
        if (!partly || stored.nodes.length > partly.nodes.length) partly = stored;
      } catch (error) {
        if (partly) return partly;
        const reason = toDfsError(error);
        const leftMs = deadlineMs - this.#clock.monotonicMs();
        // One node may be full while others have room; that none has is for the metadata server to say.
        const isFullNode = reason.code === 'ENOSPC' && isGranted && attempt <= ATTEMPTS_FOR_GOAL;
        if (!isFullNode && !isWorthAnotherTry(reason)) throw reason;
        if (leftMs <= 0) throw new DfsError('EIO', `no data node took a chunk: ${reason.message}`);
        // Every node failed once: give them all another chance, later.
        if (reason.code === 'EAGAIN' || attempt > ATTEMPTS_FOR_GOAL) {
          failed.clear();
          await sleep(this.#clock, Math.min(leftMs, pauseMs));
          pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2);
        }
      }
    }
  }

  /** What was stored on this node before this call is on stable storage when it returns. */
  async sync(node: number): Promise<void> {
    await this.#nodes.call(node, syncChunks, {}, { timeoutMs: WRITE_TIMEOUT_MS });
  }

  async #takeGrant(goal: number, failed: ReadonlySet<number>): Promise<Grant> {
    return failed.size === 0 ? await this.#grants.take(goal) : await this.#grants.takeElsewhere(goal, failed);
  }

  async #storeUnder(
    grant: Grant,
    chunk: ChunkToStore,
    checksums: Buffer,
    failed: Set<number>,
  ): Promise<StoredChunk> {
    const [first, ...rest] = grant.nodes;
    if (first === undefined) throw new DfsError('EIO', 'a grant names no data node');
    const forward = rest.map(node => this.#addressOf(node));
    try {
      const { reply } = await this.#nodes.call(
        first,
        write,
        {
          grant,
          checksums,
          inode: chunk.inode,
          fileOffset: chunk.fileOffset,
          forward,
          durable: chunk.durable,
        },
        { payload: chunk.payload, timeoutMs: WRITE_TIMEOUT_MS },
      );
      for (const each of reply.failed) this.#leaveOut(each.node, failed);
      return {
        chunk: grant.chunk,
        length: payloadBytes(chunk.payload),
        checksum: chunkChecksum(checksums),
        nodes: reply.stored,
        grant,
      };
    } catch (error) {
      this.#leaveOut(first, failed);
      throw error;
    }
  }

  #addressOf(node: number): NodeAddress {
    const address = this.#nodes.addressOf(node);
    if (!address) throw new DfsError('EHOSTUNREACH', `the address of data node ${node} is not known`);
    return address;
  }

  #leaveOut(node: number, failed: Set<number>): void {
    failed.add(node);
    this.#nodes.distrust(node);
    this.#grants.dropNode(node);
  }
}

/** Whether another node, or the same one later, may take what this one did not. */
function isWorthAnotherTry(error: DfsError): boolean {
  return (
    isConnectionError(error) || ['EAGAIN', 'EIO', 'EROFS', 'EBADMSG', 'EACCES', 'EPROTO'].includes(error.code)
  );
}
