/** The data nodes: their addresses (in the store too) and their states (in memory only). */
import { MAX_NODE_BYTES, NODE_LOST_MS, NODE_SUSPECT_MS } from '../protocol/limits.js';
import type { NodeState, NodeStatus } from '../protocol/cluster-commands.js';
import type { NodeAddress } from '../protocol/types.js';
import { NodeLoads } from './node-loads.js';
import { NodeReach, type Advertised } from './node-reach.js';
import type { Peer } from './peer.js';
import type { NodeRecord } from './store/store.js';

export interface NodeSpace {
  readonly totalBytes: number;
  readonly freeBytes: number;
  readonly chunks: number;
}

export interface DataNode {
  readonly record: NodeRecord;
  readonly space: NodeSpace;
  /** Monotonic ms of the last sign of life; undefined before the first since this process started. */
  readonly heardMs: number | undefined;
  /** Whether it has told all that it holds since it registered. */
  readonly hasReported: boolean;
  /** By how much its wall clock was ahead of ours at its last heartbeat; 0 for about equal. */
  readonly skewMs: number;
  /** The connection on which it registered. */
  readonly peer: Peer | undefined;
  /** What it was told then, which nobody else knows; empty before. */
  readonly proof: Buffer;
}

/** How long a node may be silent. */
export interface NodePatience {
  /** Then it gets no new chunks. */
  readonly suspectAfterMs: number;
  /** Then its replicas are made again elsewhere. */
  readonly lostAfterMs: number;
}

export const DEFAULT_PATIENCE: NodePatience = { suspectAfterMs: NODE_SUSPECT_MS, lostAfterMs: NODE_LOST_MS };

const NEVER_HEARD = { hasReported: false, skewMs: 0, peer: undefined, proof: Buffer.alloc(0) };
const NO_SPACE: NodeSpace = { totalBytes: 0, freeBytes: 0, chunks: 0 };

/** What a node says of its room, as far as it can be: more is free than there is, or than any disk has, in none. */
export function believableSpace({ totalBytes, freeBytes, chunks }: NodeSpace): NodeSpace {
  const total = Math.min(totalBytes, MAX_NODE_BYTES);
  return {
    totalBytes: total,
    freeBytes: Math.min(freeBytes, total),
    chunks: Math.min(chunks, MAX_NODE_BYTES),
  };
}

/** What fails together with the node. */
export function domainOf({ record }: DataNode): string {
  return record.domain || record.host;
}

export class NodeTable {
  readonly loads = new NodeLoads();
  readonly reach = new NodeReach();
  /** node number → node */
  readonly #nodes = new Map<number, DataNode>();
  /** identity → node number */
  readonly #numbers = new Map<string, number>();
  readonly #startedMs: number;

  readonly #patience: NodePatience;

  /** @param startedMs the monotonic time at which this process began to listen to nodes */
  constructor(startedMs: number, patience: NodePatience = DEFAULT_PATIENCE) {
    this.#startedMs = startedMs;
    this.#patience = patience;
  }

  get(node: number): DataNode | undefined {
    return this.#nodes.get(node);
  }

  byId(id: string): DataNode | undefined {
    const node = this.#numbers.get(id);
    return node === undefined ? undefined : this.#nodes.get(node);
  }

  /**
   * The node, if it registered with this process as `id` on this very connection: nobody else speaks in its name.
   * @param peer undefined for what this process asks of itself
   */
  registered(number: number, id: string, peer: Peer | undefined): DataNode | undefined {
    const node = this.#nodes.get(number);
    // One that has not registered since this process started may have another address by now.
    if (!node || node.record.id !== id || node.heardMs === undefined) return undefined;
    return peer === undefined || node.peer === peer ? node : undefined;
  }

  set(node: DataNode): void {
    this.#nodes.set(node.record.node, node);
    this.#numbers.set(node.record.id, node.record.node);
  }

  delete(node: DataNode): void {
    this.#nodes.delete(node.record.node);
    this.#numbers.delete(node.record.id);
  }

  /** A node known from the store, of which nothing was heard yet. */
  load(record: NodeRecord): void {
    this.set({ record, space: NO_SPACE, heardMs: undefined, ...NEVER_HEARD });
  }

  get size(): number {
    return this.#nodes.size;
  }

  all(): DataNode[] {
    return [...this.#nodes.values()];
  }

  isLive(node: DataNode, monotonicMs: number): boolean {
    return this.stateOf(node, monotonicMs) === 'live';
  }

  /** Whether the node of this identity is known to be at this address. */
  isAt({ id, host, port }: Advertised): boolean {
    const record = this.byId(id)?.record;
    return record?.host === host && record.port === port;
  }

  /** Whether its heartbeats arrive, also when no other process reaches it. */
  isHeard(node: DataNode, monotonicMs: number): boolean {
    return node.heardMs !== undefined && monotonicMs - node.heardMs <= this.#patience.suspectAfterMs;
  }

  /**
   * A node that was not heard of since this process started has been silent since then. One that is heard and cannot be
   * reached is of no more use than a silent one.
   */
  stateOf(node: DataNode, monotonicMs: number): NodeState {
    const { lostAfterMs, suspectAfterMs } = this.#patience;
    const silentMs = monotonicMs - (node.heardMs ?? this.#startedMs);
    const unreachable = this.reach.unreachable(node.record);
    const unreachedMs = unreachable ? monotonicMs - unreachable.sinceMs : 0;
    if (silentMs > lostAfterMs || unreachedMs > lostAfterMs) return 'lost';
    return node.heardMs === undefined || silentMs > suspectAfterMs || unreachable ? 'suspect' : 'live';
  }

  /** Nodes that live, and may lack chunks of which this process does not know that they lack them. */
  unreported(monotonicMs: number): number[] {
    return this.live(monotonicMs).flatMap(({ record, hasReported }) => (hasReported ? [] : record.node));
  }

  /** How full a node's disk is, from 0 to 1: by what it should hold, as far as that is known, and else by what it says. */
  fillOf({ record, space }: DataNode): number {
    if (space.totalBytes === 0) return 0;
    const wanted = this.loads.of(record.node);
    return wanted === undefined
      ? 1 - space.freeBytes / space.totalBytes
      : Math.min(1, wanted / space.totalBytes);
  }

  live(monotonicMs: number): DataNode[] {
    return this.all().filter(node => this.isLive(node, monotonicMs));
  }

  /** Nodes that may get chunks: live, and not being drained. */
  takers(monotonicMs: number): DataNode[] {
    return this.live(monotonicMs).filter(node => !node.record.isDraining);
  }

  /** How many nodes may hold replicas that last: neither lost nor drained. */
  usable(monotonicMs: number): number {
    const all = this.all();
    return all.filter(node => !node.record.isDraining && this.stateOf(node, monotonicMs) !== 'lost').length;
  }

  /** Whether nodes that were alive when this process started may not have had the time to say so. */
  isWaiting(monotonicMs: number): boolean {
    return monotonicMs - this.#startedMs <= this.#patience.suspectAfterMs;
  }

  /** How to reach these nodes, each once. */
  addresses(nodes: Iterable<number>): NodeAddress[] {
    const addresses: NodeAddress[] = [];
    for (const node of new Set(nodes)) {
      const known = this.#nodes.get(node);
      if (!known) continue;
      const { host, port, member } = known.record;
      addresses.push({ node, host, port, ...(member === '' ? {} : { member }) });
    }
    return addresses;
  }

  status(monotonicMs: number): NodeStatus[] {
    const statuses: NodeStatus[] = [];
    for (const node of this.#nodes.values()) {
      const state = this.stateOf(node, monotonicMs);
      const unreachable = this.reach.unreachable(node.record)?.reason ?? '';
      const { member: _member, ...record } = node.record;
      statuses.push({ ...record, ...node.space, state, skewMs: node.skewMs, unreachable });
    }
    return statuses;
  }
}
