/** A data node says that it lives, and learns which chunks it may delete. */
import { MAX_DROPS, SHOWN_SKEW_MS } from '../../protocol/limits.js';
import { heartbeat as command } from '../../protocol/cluster-commands.js';
import { operation, toMs, type OperationContext } from '../operation.js';
import { removeReplica } from '../repair/replica-changes.js';
import { believableSpace } from '../node-table.js';
import type { StoreTransaction } from '../store/store.js';

export const heartbeat = operation(command, async (tx, request, context) => {
  const { state, peer, nowMs } = context;
  const { node, id } = request;
  const known = state.nodes.registered(node, id, peer);
  if (!known) return { known: false, drop: [], serverMs: nowMs };
  const aheadMs = request.wallMs === undefined ? 0 : request.wallMs - toMs(context.now);
  const skewMs = Math.abs(aheadMs) < SHOWN_SKEW_MS ? 0 : aheadMs;
  if (request.dropped.length > 0) await tx.drops.deleteMany(node, request.dropped);
  state.nodes.set({
    ...known,
    space: believableSpace(request),
    heardMs: state.clock.monotonicMs(),
    skewMs,
  });
  for (const chunk of request.absent ?? []) await forgetReplica(tx, node, chunk, context);
  const quarantine: number[] = [];
  for (const chunk of request.damaged ?? []) {
    if (await isDispensable(tx, node, chunk, context)) quarantine.push(chunk);
  }
  const unreachable = state.nodes.reach.unreachable(known.record)?.reason ?? '';
  const drop = await dropsDue(tx, node, nowMs);
  const endedLogs = (request.logs ?? []).filter(log => !state.intentLogs.has(log));
  // A server that lost its power would ask for the intents of a log whose end it does not know.
  if (endedLogs.length > 0) context.control.requireDurable();
  return { known: true, quarantine, endedLogs, drop, serverMs: nowMs, skewMs, unreachable };
});

/**
 * What the node may drop now. A chunk that was unknown when its drop was noted may have been committed since (its grant
 * was lost with the last second before a power loss): what is on record for the node is never dropped.
 */
async function dropsDue(tx: StoreTransaction, node: number, nowMs: number): Promise<number[]> {
  const due = await tx.drops.due(node, nowMs, MAX_DROPS);
  if (due.length === 0) return due;
  const recorded = (await tx.chunks.among(due)).filter(({ nodes }) => nodes.includes(node));
  if (recorded.length === 0) return due;
  const kept = new Set(recorded.map(({ chunk }) => chunk));
  await tx.drops.deleteMany(node, [...kept]);
  return due.filter(chunk => !kept.has(chunk));
}

/** The node does not have the chunk. */
export async function forgetReplica(
  tx: StoreTransaction,
  node: number,
  chunk: number,
  context: OperationContext,
): Promise<void> {
  const record = await tx.chunks.get(chunk);
  if (record?.nodes.includes(node) === true) await removeReplica(tx, record, node, context);
}

/**
 * Whether the node may put its damaged replica aside, which then is not counted any more. The last one stays: some of
 * its bytes may be good, and there is nothing better.
 */
async function isDispensable(
  tx: StoreTransaction,
  node: number,
  chunk: number,
  context: OperationContext,
): Promise<boolean> {
  const record = await tx.chunks.get(chunk);
  if (record?.nodes.includes(node) !== true) return true;
  const { nodes, clock } = context.state;
  const monotonicMs = clock.monotonicMs();
  const hasOther = record.nodes.some(other => {
    const known = other === node ? undefined : nodes.get(other);
    return known !== undefined && nodes.isLive(known, monotonicMs);
  });
  context.state.damage.note({ chunk, node, isLast: !hasOther });
  if (hasOther) await removeReplica(tx, record, node, context);
  return hasOther;
}
