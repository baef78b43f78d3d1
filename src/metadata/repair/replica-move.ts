/** Decides whether a replica should move, so that nodes are about equally full and failure domains differ. */
import { domainOf, type DataNode, type NodeTable } from '../node-table.js';
import { hasRoom } from '../placement.js';
import type { ChunkRecord } from '../store/store.js';
import type { RepairNotes } from './repair-notes.js';
import type { ReplicaPlan } from './replica-plan.js';

/** Between how full two nodes must differ before chunks move by themselves, and until when they then do. */
const IMBALANCE_BEGIN = 0.1;
const IMBALANCE_END = 0.02;

/** How full the nodes are that may get chunks. */
export interface Balance {
  readonly takers: readonly DataNode[];
  /** From 0 to 1. */
  readonly mean: number;
  /** Between the fullest and the emptiest. */
  readonly difference: number;
  /** Whether the nodes are being made equally full. */
  readonly isWanted: boolean;
}

export interface Move {
  /** Nodes that may get the replica. */
  readonly candidates: readonly DataNode[];
  /** Those whose replicas stay. */
  readonly staying: readonly DataNode[];
  /** The replicas share a failure domain, and need not. */
  readonly isCrowded: boolean;
}

export function balanceOf(nodes: NodeTable, repair: RepairNotes, monotonicMs: number): Balance {
  const takers = nodes.takers(monotonicMs);
  const fills = takers.map(node => nodes.fillOf(node));
  const difference = fills.length === 0 ? 0 : Math.max(...fills) - Math.min(...fills);
  const total = sum(takers.map(({ space }) => space.totalBytes));
  const used = sum(takers.map(node => nodes.fillOf(node) * node.space.totalBytes));
  const isWanted = (repair.isRebalancing || repair.isUneven) && nodes.loads.areKnown;
  return { takers, mean: total === 0 ? 0 : used / total, difference, isWanted };
}

/** Whether chunks shall move: they go on until the nodes are nearly equal, not only until they are less unequal. */
export function watchBalance({ difference }: Balance, repair: RepairNotes): void {
  if (difference >= IMBALANCE_BEGIN) repair.isUneven = true;
  else if (difference < IMBALANCE_END) repair.endBalancing();
}

/** Whether nodes say that they are unequally full. */
export function seemUneven(nodes: NodeTable, monotonicMs: number): boolean {
  const fills = nodes
    .takers(monotonicMs)
    .map(({ space }) => 1 - space.freeBytes / Math.max(1, space.totalBytes));
  return fills.length > 0 && Math.max(...fills) - Math.min(...fills) >= IMBALANCE_BEGIN;
}

/** Bytes that are still to move. */
export function bytesToMove({ takers, mean, isWanted }: Balance, nodes: NodeTable): number {
  if (!isWanted) return 0;
  const above = takers.map(node => Math.max(0, nodes.fillOf(node) - mean) * node.space.totalBytes);
  return Math.round(sum(above));
}

/**
 * Only from a node that is fuller than the mean to one that is emptier, and never into fewer failure domains: so nothing
 * moves to and fro.
 */
export function planMove(
  { nodes: holders, length }: ChunkRecord,
  { kept, live, missing, surplus }: ReplicaPlan,
  { takers, mean, isWanted }: Balance,
  nodes: NodeTable,
): Move | undefined {
  if (missing > 0 || surplus.length > 0) return undefined;
  const domains = new Set(kept.map(domainOf));
  const isCrowded = domains.size < kept.length;
  if (!isCrowded && !isWanted) return undefined;
  const others = takers.filter(node => !holders.includes(node.record.node) && hasRoom(node, length));
  if (isCrowded) {
    const candidates = others.filter(node => !domains.has(domainOf(node)));
    if (candidates.length > 0) return { candidates, staying: kept, isCrowded };
  }
  if (!isWanted) return undefined;
  const emptier = others.filter(node => nodes.fillOf(node) < mean);
  for (const giver of live.toSorted((a, b) => nodes.fillOf(b) - nodes.fillOf(a))) {
    const fill = nodes.fillOf(giver);
    if (fill <= mean || emptier.length === 0) return undefined;
    const staying = kept.filter(node => node !== giver);
    const candidates = emptier.filter(
      node =>
        fill - nodes.fillOf(node) - length / node.space.totalBytes >= IMBALANCE_END &&
        new Set([...staying, node].map(domainOf)).size >= domains.size,
    );
    if (candidates.length > 0) return { candidates, staying, isCrowded: false };
  }
  return undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
