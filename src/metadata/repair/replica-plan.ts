/** Plans the replicas of one chunk, for its nodes' states at this moment. */
import { domainOf, type DataNode, type NodeTable } from '../node-table.js';
import type { ChunkRecord } from '../store/store.js';

export interface ReplicaPlan {
  /** Replicas on nodes that are not lost, drained ones included: how far the chunk is from being lost. */
  readonly alive: number;
  /** Replicas to make: towards the goal, or towards one on each node when there are fewer nodes. */
  readonly missing: number;
  /** There are too few nodes for the goal. */
  readonly isShort: boolean;
  /** Nodes whose replicas count: neither lost nor drained. */
  readonly kept: readonly DataNode[];
  /** Those of them that live. */
  readonly live: readonly DataNode[];
  /** Live nodes to copy from. */
  readonly sources: readonly DataNode[];
  /** Nodes whose replicas are not needed. */
  readonly surplus: readonly DataNode[];
}

/**
 * Replicas on draining nodes do not count, but go only when there are enough others. A node that is merely suspected
 * still counts, and a lost one's replicas stay on record: it may come back with them.
 */
export function planReplicas(chunk: ChunkRecord, nodes: NodeTable, monotonicMs: number): ReplicaPlan {
  const live: DataNode[] = [];
  const draining: DataNode[] = [];
  const kept: DataNode[] = [];
  let alive = 0;
  for (const number of chunk.nodes) {
    const node = nodes.get(number);
    const state = node && nodes.stateOf(node, monotonicMs);
    if (!node || state === 'lost') continue;
    alive += 1;
    if (!node.record.isDraining) kept.push(node);
    if (state === 'suspect') continue;
    if (node.record.isDraining) draining.push(node);
    else live.push(node);
  }
  const want = Math.min(chunk.goal, nodes.usable(monotonicMs));
  const isEnough = live.length >= chunk.goal;
  return {
    alive,
    missing: Math.max(0, want - kept.length),
    isShort: want < chunk.goal && kept.length < chunk.goal,
    kept,
    live,
    sources: [...live, ...draining],
    surplus: isEnough ? [...draining, ...leastUseful(live, live.length - chunk.goal, nodes)] : [],
  };
}

/** Those that share a domain with another replica, and then those on the fullest nodes. */
function leastUseful(replicas: readonly DataNode[], count: number, nodes: NodeTable): DataNode[] {
  const left = [...replicas];
  const chosen: DataNode[] = [];
  while (chosen.length < count) {
    const shared = left.filter(node => left.some(other => other !== node && sameDomain(other, node)));
    const [fullest] = (shared.length > 0 ? shared : left).toSorted(
      (a, b) => nodes.fillOf(b) - nodes.fillOf(a),
    );
    if (!fullest) break;
    chosen.push(fullest);
    left.splice(left.indexOf(fullest), 1);
  }
  return chosen;
}

/** Whether both fail together. */
function sameDomain(a: DataNode, b: DataNode): boolean {
  return domainOf(a) === domainOf(b);
}
