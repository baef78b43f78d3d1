/**
 * Where a chunk goes: weighted rendezvous hashing over free space. Each node draws a number from a hash of itself and
 * the chunk, stretched by its weight; the highest win. A new node takes only its share, and a fuller one gets less.
 *
 * Wang and Ravishankar, "Using name-based mappings to increase hit rates" (1998); the weights as in Schindelhauer and
 * Schomaker, "Weighted distributed hash tables" (2005): the score is -weight / ln(hash).
 */
import { DfsError } from '../protocol/errors.js';
import { DEFAULT_CHUNK_BYTES, MAX_FILE_BYTES } from '../protocol/limits.js';
import { domainOf, type DataNode } from './node-table.js';

export interface PlacementRequest {
  readonly goal: number;
  /** So many nodes will do, if that is fewer than the goal; left out: as many as the goal says, or all that live. */
  readonly minReplicas?: number | undefined;
  /** The most that the chunk may take. */
  readonly maxBytes: number;
  /** Nodes to be left out as far as there are others. */
  readonly exclude: ReadonlySet<number>;
}

/** Nodes that may get chunks now. At least one of the two lists has some. */
export interface EligibleNodes {
  readonly wanted: readonly DataNode[];
  /** Those to be left out, which are taken when there are too few others. */
  readonly unwanted: readonly DataNode[];
}

/** Space that a node keeps for itself: segment heads, its index, chunks already on their way. */
const RESERVED_BYTES = 64 << 20;

/**
 * The nodes that may get chunks now. EAGAIN when no node lives (they may come back). ENOSPC when fewer have room than
 * the chunk needs: a node that is full lives, so its replica is not done without.
 * @param live the nodes that live
 */
export function eligibleNodes(live: readonly DataNode[], request: PlacementRequest): EligibleNodes {
  if (live.length === 0) {
    throw new DfsError('EAGAIN', 'no data node is alive; start one, or wait until one is back');
  }
  const roomy = live.filter(node => hasRoom(node, request.maxBytes));
  const { goal, minReplicas = goal, exclude } = request;
  const needed = Math.min(goal, minReplicas, live.length);
  if (roomy.length < needed) {
    throw new DfsError(
      'ENOSPC',
      `${roomy.length} of the ${live.length} live data nodes have room left, and ${needed} are needed; delete files or add a node`,
    );
  }
  if (exclude.size === 0) return { wanted: roomy, unwanted: [] };
  return {
    wanted: roomy.filter(node => !exclude.has(node.record.node)),
    unwanted: roomy.filter(node => exclude.has(node.record.node)),
  };
}

/**
 * The nodes for one chunk: as many as the goal says or as there are, in as many failure domains as there are. Among
 * those chosen each is first for an equal share of the chunks, since the first is the one that the client sends to.
 * Unwanted ones come last.
 */
export function placeChunk(chunk: number, nodes: EligibleNodes, goal: number): number[] {
  const chosen = bestNodes(chunk, nodes.wanted, goal, []);
  const others = bestNodes(chunk, nodes.unwanted, goal - chosen.length, chosen);
  return [...inTurn(chunk, chosen), ...inTurn(chunk, others)];
}

/** The nodes for `count` further replicas, best first, unwanted ones last; `holders` have the chunk already. */
export function furtherNodes(
  chunk: number,
  nodes: EligibleNodes,
  count: number,
  holders: readonly DataNode[],
): number[] {
  const chosen = bestNodes(chunk, nodes.wanted, count, holders);
  const others = bestNodes(chunk, nodes.unwanted, count - chosen.length, [...holders, ...chosen]);
  return [...chosen, ...others].map(node => node.record.node);
}

function inTurn(chunk: number, nodes: readonly DataNode[]): number[] {
  const numbers = nodes.map(node => node.record.node).sort((a, b) => a - b);
  const first = Math.floor(hashFraction(chunk, 0) * numbers.length);
  return [...numbers.slice(first), ...numbers.slice(0, first)];
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
export function hasRoom(node: Pick<DataNode, 'space'>, maxBytes: number): boolean {
  return node.space.freeBytes >= RESERVED_BYTES + maxBytes;
}

/** Bytes of chunks that still fit: none where a whole chunk does not. */
export function roomOf(node: DataNode): number {
  return hasRoom(node, DEFAULT_CHUNK_BYTES) ? node.space.freeBytes - RESERVED_BYTES : 0;
}

/**
 * How many bytes can be stored with so many replicas, each on another node, when the nodes have so much room: the largest x
 * for which the sum of min(room, x) is at least replicas · x. A node with more than an equal share of the bytes takes
 * one replica of everything, and the others share the rest.
 */
export function storableBytes(rooms: readonly number[], replicas: number): number {
  const [largest = 0, ...rest] = rooms.toSorted((a, b) => b - a);
  if (rooms.length < replicas) return 0;
  const share = rooms.reduce((sum, room) => sum + room, 0) / replicas;
  if (replicas > 1 && largest > share) return storableBytes(rest, replicas - 1);
  return Math.min(Math.floor(share), MAX_FILE_BYTES);
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
