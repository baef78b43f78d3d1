/**
 * Replicas that are committed, and of which no data node has said yet that they are on stable storage. They are named to
 * the nodes before the commits themselves go to stable storage (replica-sync.ts), and to a client that calls fsync for a
 * file that others have written.
 *
 *     committed ──► unsynced ──► synced: forgotten here
 *                      └───────► absent: the node lost it with its power; remembered for a while
 *
 * In memory only: after a restart the inventory of each node tells what it has, and what it has is on stable storage.
 */
import type { Clock } from '../platform/clock.js';

/** A chunk that a node was to have. */
export interface UnsyncedReplica {
  readonly node: number;
  readonly chunk: number;
}

interface LostReplica extends UnsyncedReplica {
  readonly inodes: readonly number[];
  /** Monotonic ms. By then the repair has made another replica, or knows of what is missing. */
  readonly untilMs: number;
}

/** Of one node that does not answer; the oldest are found by its inventory. */
const MAX_OF_NODE = 65_536;
const LOST_FOR_MS = 30_000;

export class UnsyncedReplicas {
  readonly #clock: Clock;
  /** node → chunks, those committed first come first */
  readonly #byNode = new Map<number, Set<number>>();
  /** chunk → inodes whose extents refer to it */
  readonly #inodes = new Map<number, number[]>();
  #lost: LostReplica[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Nodes that have replicas to sync. */
  nodes(): number[] {
    return [...this.#byNode.keys()];
  }

  /** The first `limit` chunks that a node is to sync. */
  of(node: number, limit: number): number[] {
    const chunks: number[] = [];
    for (const chunk of this.#byNode.get(node) ?? []) {
      if (chunks.length === limit) break;
      chunks.push(chunk);
    }
    return chunks;
  }

  /** What is not known to be on stable storage of an inode's chunks, or is known to be lost. */
  ofInode(inode: number): UnsyncedReplica[] {
    const found: UnsyncedReplica[] = [];
    const chunks = [...this.#inodes].flatMap(([chunk, inodes]) => (inodes.includes(inode) ? chunk : []));
    for (const [node, unsynced] of this.#byNode) {
      for (const chunk of chunks) if (unsynced.has(chunk)) found.push({ node, chunk });
    }
    this.#dropOldLosses();
    for (const { node, chunk, inodes } of this.#lost) if (inodes.includes(inode)) found.push({ node, chunk });
    return found;
  }

  /** A chunk was committed, as a part of the inode. */
  add(inode: number, chunk: number, nodes: readonly number[]): void {
    this.#inodes.set(chunk, [inode]);
    for (const node of nodes) {
      let chunks = this.#byNode.get(node);
      if (!chunks) this.#byNode.set(node, (chunks = new Set()));
      chunks.add(chunk);
      const [oldest] = chunks;
      if (chunks.size > MAX_OF_NODE && oldest !== undefined) this.synced(node, [oldest]);
    }
  }

  /** Another inode refers to the chunk too. */
  share(inode: number, chunk: number): void {
    const inodes = this.#inodes.get(chunk);
    if (inodes && !inodes.includes(inode)) inodes.push(inode);
  }

  /** The commit of the chunk was rolled back. */
  remove(chunk: number): void {
    for (const node of this.nodes()) this.synced(node, [chunk]);
  }

  /** The node has these on stable storage. */
  synced(node: number, chunks: Iterable<number>): void {
    const unsynced = this.#byNode.get(node);
    if (!unsynced) return;
    for (const chunk of chunks) {
      if (!unsynced.delete(chunk)) continue;
      if (![...this.#byNode.values()].some(others => others.has(chunk))) this.#inodes.delete(chunk);
    }
    if (unsynced.size === 0) this.#byNode.delete(node);
  }

  /** The node does not have these. */
  absent(node: number, chunks: readonly number[]): void {
    this.#dropOldLosses();
    const untilMs = this.#clock.monotonicMs() + LOST_FOR_MS;
    for (const chunk of chunks) {
      const inodes = this.#inodes.get(chunk);
      if (inodes) this.#lost.push({ node, chunk, inodes, untilMs });
    }
    this.synced(node, chunks);
  }

  #dropOldLosses(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#lost.some(({ untilMs }) => untilMs < nowMs))
      this.#lost = this.#lost.filter(({ untilMs }) => untilMs >= nowMs);
  }
}
