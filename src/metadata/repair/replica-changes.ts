/** Changes to where a chunk is, as it stands in the books. */
import { signGrant } from '../../protocol/grant-signature.js';
import { GRANT_LIFETIME_MS } from '../../protocol/limits.js';
import type { Grant } from '../../protocol/types.js';
import { DOOMED_GRACE_MS } from '../content/chunk-references.js';
import type { DataNode } from '../node-table.js';
import type { OperationContext } from '../operation.js';
import { bestNodes, hasRoom } from '../placement.js';
import type { ChunkRecord, StoreTransaction } from '../store/store.js';
import { fillOf, planReplicas } from './replica-plan.js';

/** A chunk to be copied from one node to another. */
export interface Copy {
  readonly chunk: number;
  readonly bytes: number;
  readonly from: DataNode;
  readonly to: DataNode;
  readonly grant: Grant;
}

/** A node takes chunks from a fuller one only when the difference is worth it. */
const WORTHWHILE_DIFFERENCE = 0.02;

/**
 * What is to be copied so that the chunk has its replicas; undefined when nothing is, or nothing can be. Replicas that
 * are not needed are taken off, and their nodes told to drop them.
 * @param isMove the chunk has enough replicas, but one on a node that is fuller than others
 */
export async function settleReplicas(
  tx: StoreTransaction,
  chunk: number,
  isMove: boolean,
  context: OperationContext,
): Promise<Copy | undefined> {
  const record = await tx.chunks.get(chunk);
  // Nobody refers to it any more: it is collected.
  if (!record || record.references === 0) return undefined;
  const { state } = context;
  const plan = planReplicas(record, state.nodes, state.clock.monotonicMs());
  if (plan.surplus.length > 0) {
    await trim(tx, record, plan.surplus, context);
    return undefined;
  }
  if (plan.sources.length === 0) return undefined;
  const fullest = plan.sources.toSorted((a, b) => fillOf(b) - fillOf(a))[0];
  if (plan.missing === 0 && (!isMove || !fullest)) return undefined;
  const to = await target(tx, record, plan.missing === 0 ? fullest : undefined, context);
  if (!to) return undefined;
  // Any of them will do; taking turns spreads the work, and passes over one that cannot read its replica.
  const from = plan.sources[Math.floor(state.random.fraction() * plan.sources.length)];
  if (!from) return undefined;
  const unsigned = {
    chunk,
    nodes: [to.record.node],
    maxBytes: record.length,
    expiresMs: context.nowMs + GRANT_LIFETIME_MS,
  };
  const grant = { ...unsigned, signature: signGrant(state.cluster.grantKey, unsigned) };
  return { chunk, bytes: record.length, from, to, grant };
}

/** A copy was made. A chunk that is gone meanwhile, or is being dropped there, is not wanted there. */
export async function recordReplica(
  tx: StoreTransaction,
  { chunk, to }: Copy,
  context: OperationContext,
): Promise<void> {
  const { node } = to.record;
  const record = await tx.chunks.get(chunk);
  if (record?.nodes.includes(node)) return;
  if (!record) {
    await tx.drops.insert(node, chunk, context.nowMs);
    return;
  }
  // The drop may be under way, and would take the new replica.
  if (await tx.drops.has(node, chunk)) return;
  await tx.chunks.setNodes(chunk, [...record.nodes, node]);
  context.state.repair.note(chunk);
}

/** The node does not have the chunk. */
export async function removeReplica(
  tx: StoreTransaction,
  record: ChunkRecord,
  node: number,
  { state }: OperationContext,
): Promise<void> {
  await tx.chunks.setNodes(
    record.chunk,
    record.nodes.filter(each => each !== node),
  );
  state.repair.note(record.chunk);
}

/** Readers who were told of these replicas have a while to read them. */
async function trim(
  tx: StoreTransaction,
  { chunk, nodes }: ChunkRecord,
  surplus: readonly DataNode[],
  { nowMs }: OperationContext,
): Promise<void> {
  const gone = new Set(surplus.map(({ record }) => record.node));
  await tx.chunks.setNodes(
    chunk,
    nodes.filter(node => !gone.has(node)),
  );
  for (const node of gone) await tx.drops.insert(node, chunk, nowMs + DOOMED_GRACE_MS);
}

/** Where a further replica goes; with `fullest` only if that is a node which is emptier. */
async function target(
  tx: StoreTransaction,
  record: ChunkRecord,
  fullest: DataNode | undefined,
  { state }: OperationContext,
): Promise<DataNode | undefined> {
  const candidates: DataNode[] = [];
  for (const node of state.nodes.takers(state.clock.monotonicMs())) {
    const { node: number } = node.record;
    if (record.nodes.includes(number) || !hasRoom(node, record.length)) continue;
    if (fullest && fillOf(fullest) - fillOf(node) < WORTHWHILE_DIFFERENCE) continue;
    if (!(await tx.drops.has(number, record.chunk))) candidates.push(node);
  }
  const holders = record.nodes.flatMap(number => state.nodes.get(number) ?? []);
  return bestNodes(record.chunk, candidates, 1, holders)[0];
}
