/**
 * Where a chunk goes: weighted rendezvous hashing over free space. Each node draws a number from a hash of itself and
 * the chunk, stretched by its weight; the highest win. A new node takes only its share, and a fuller one gets less.
 *
 * Wang and Ravishankar, "Using name-based mappings to increase hit rates" (1998); the weights as in Schindelhauer and
 * Schomaker, "Weighted distributed hash tables" (2005): the score is -weight / ln(hash).
 */
import { DfsError } from '../protocol/errors.js';
import { domainOf, type DataNode } from './node-table.js';

export interface PlacementRequest {
  readonly goal: number;
  /** The most that the chunk may take. */
  readonly maxBytes: number;
  /** Nodes to be left out if there are others. */
  readonly exclude: ReadonlySet<number>;
}

/** Space that a node keeps for itself: segment heads, its index, chunks already on their way. */
const RESERVED_BYTES = 64 << 20;

/**
 * The nodes that may get chunks now. EAGAIN when no node lives (they may come back), ENOSPC when none has room.
 * @param live the nodes that live
 */
export function eligibleNodes(live: readonly DataNode[], request: PlacementRequest): readonly DataNode[] {
  if (live.length === 0) {
    throw new DfsError('EAGAIN', 'no data node is alive; start one, or wait until one is back');
  }
  const wanted = live.filter(node => !request.exclude.has(node.record.node));
  const candidates = wanted.length > 0 ? wanted : live;
  const roomy = candidates.filter(node => hasRoom(node, request.maxBytes));
  if (roomy.length > 0) return roomy;
  // The nodes to be left out are better than none.
  const others = live.filter(node => hasRoom(node, request.maxBytes));
  if (others.length > 0) return others;
  throw new DfsError(
    'ENOSPC',
    `none of the ${live.length} live data nodes has room left; delete files or add a node`,
  );
}

/**
 * The nodes for one chunk: as many as the goal says or as there are, in as many failure domains as there are. Among
 * those chosen each is first for an equal share of the chunks, since the first is the one that the client sends to.
 * @param nodes what eligibleNodes() returned, not empty
 */
export function placeChunk(chunk: number, nodes: readonly DataNode[], goal: number): number[] {
  const chosen = bestNodes(chunk, nodes, goal, []).map(node => node.record.node);
  chosen.sort((a, b) => a - b);
  const first = Math.floor(hashFraction(chunk, 0) * chosen.length);
  return [...chosen.slice(first), ...chosen.slice(0, first)];
}

/**
 * The nodes for `count` further replicas, best first: those in failure domains of their own come before those that
 * share one with another replica.
 * @param holders where the chunk is already, none of which is among `nodes`
 */
export function bestNodes(
  chunk: number,
  nodes: readonly DataNode[],
  count: number,
  holders: readonly DataNode[],
): DataNode[] {
  if (nodes.length <= count) return [...nodes];
  const ranked = nodes
    .map(node => ({ node, score: score(chunk, node) }))
    .sort((a, b) => b.score - a.score)
    .map(each => each.node);
  const taken = new Set(holders.map(domainOf));
  const apart: DataNode[] = [];
  const together: DataNode[] = [];
  for (const node of ranked) {
    if (taken.has(domainOf(node))) together.push(node);
    else apart.push(node);
    taken.add(domainOf(node));
  }
  return [...apart, ...together].slice(0, count);
}

/** Whether a chunk of so many bytes still fits. */
export function hasRoom(node: DataNode, maxBytes: number): boolean {
  return node.space.freeBytes >= RESERVED_BYTES + maxBytes;
}

function score(chunk: number, node: DataNode): number {
  return -node.space.freeBytes / Math.log(hashFraction(chunk, node.record.node));
}

/** A number in (0, 1) that depends on both, evenly spread; the finalizer of MurmurHash3 on each 32-bit part. */
export function hashFraction(chunk: number, node: number): number {
  let hash = mix(chunk >>> 0);
  hash = mix(hash ^ Math.floor(chunk / 2 ** 32));
  hash = mix(hash ^ Math.imul(node, 0x9e37_79b1));
  return (hash + 0.5) / 2 ** 32;
}

function mix(value: number): number {
  let hash = value ^ 0x2545_f491;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
