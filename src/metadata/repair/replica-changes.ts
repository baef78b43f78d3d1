/** Changes to the recorded replicas of a chunk. */
import { signGrant } from '../../protocol/grant-signature.js';
import type { Grant } from '../../protocol/types.js';
import type { DataNode } from '../node-table.js';
import type { OperationContext } from '../operation.js';
import { bestNodes, hasRoom } from '../placement.js';
import type { ChunkRecord, StoreTransaction } from '../store/store.js';
import { balanceOf, planMove } from './replica-move.js';
import { planReplicas } from './replica-plan.js';

/** A chunk to be copied from one node to another. */
export interface Copy {
  readonly chunk: number;
  readonly bytes: number;
  readonly from: DataNode;
  readonly to: DataNode;
  readonly grant: Grant;
}

/**
 * What is to be copied so that the chunk has its replicas; undefined when nothing is, or nothing can be. Replicas that
 * are not needed are taken off, and their nodes told to drop them.
 * @param mayMove also when the chunk has enough replicas, but one where it should not be
 */
export async function settleReplicas(
  tx: StoreTransaction,
  chunk: number,
  mayMove: boolean,
  context: OperationContext,
): Promise<Copy | undefined> {
  const record = await tx.chunks.get(chunk);
  // Nobody refers to it any more: it is collected.
  if (!record || record.references === 0) return undefined;
  const { state } = context;
  const monotonicMs = state.clock.monotonicMs();
  const plan = planReplicas(record, state.nodes, monotonicMs);
  if (plan.surplus.length > 0) {
    await trim(tx, record, plan.surplus, context);
    return undefined;
  }
  if (plan.sources.length === 0) return undefined;
  const balance = balanceOf(state.nodes, state.repair, monotonicMs);
  const move = mayMove ? planMove(record, plan, balance, state.nodes) : undefined;
  if (plan.missing === 0 && !move) return undefined;
  const to = await target(tx, record, move?.candidates ?? balance.takers, move?.staying ?? plan.kept);
  if (!to) return undefined;
  // Any of them will do; taking turns spreads the work, and passes over one that cannot read its replica.
  const from = plan.sources[Math.floor(state.random.fraction() * plan.sources.length)];
  if (!from) return undefined;
  const unsigned = {
    chunk,
    nodes: [to.record.node],
    maxBytes: record.length,
    expiresMs: context.nowMs + context.state.grantLifetimeMs,
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
  state.nodes.loads.add(node, -record.length);
  await tx.chunks.setNodes(
    record.chunk,
    record.nodes.filter(each => each !== node),
  );
  state.repair.note(record.chunk);
}

/** Readers who were told of these replicas have a while to read them. */
async function trim(
  tx: StoreTransaction,
  { chunk, nodes, length }: ChunkRecord,
  surplus: readonly DataNode[],
  { nowMs, state }: OperationContext,
): Promise<void> {
  const gone = new Set(surplus.map(({ record }) => record.node));
  await tx.chunks.setNodes(
    chunk,
    nodes.filter(node => !gone.has(node)),
  );
  for (const node of gone) {
    state.nodes.loads.add(node, -length);
    await tx.drops.insert(node, chunk, nowMs + state.graceMs);
  }
}

/**
 * Where a further replica goes.
 * @param staying those that will hold the chunk besides: in their failure domains it goes last
 */
async function target(
  tx: StoreTransaction,
  { chunk, nodes, length }: ChunkRecord,
  candidates: readonly DataNode[],
  staying: readonly DataNode[],
): Promise<DataNode | undefined> {
  const possible: DataNode[] = [];
  for (const node of candidates) {
    const { node: number } = node.record;
    if (nodes.includes(number) || !hasRoom(node, length)) continue;
    if (!(await tx.drops.has(number, chunk))) possible.push(node);
  }
  return bestNodes(chunk, possible, 1, staying)[0];
}
