/** Compares the chunks on a data node with the records, a page at a time. */
import { MAX_INVENTORY } from '../../protocol/limits.js';
import { inventory as command } from '../../protocol/cluster-commands.js';
import { operation, type OperationContext } from '../operation.js';
import { planReplicas } from '../repair/replica-plan.js';
import type { ChunkRecord, StoreTransaction } from '../store/store.js';
import { forgetReplica } from './heartbeat.js';

const ID_BYTES = 8;
/**
 * A chunk on a node that nobody knows stays there for so long: it is only in the way, and should this database turn out
 * to be an old copy, its chunks are not gone at once.
 */
const UNKNOWN_GRACE_MS = 600_000;

export const inventory = operation(command, async (tx, request, context) => {
  const { state } = context;
  const { node, id, after, until } = request;
  const known = state.nodes.registered(node, id, context.peer);
  if (!known) {
    return { known: false, through: after, missing: [] };
  }
  // The node looked twice.
  for (const chunk of request.absent) await forgetReplica(tx, node, chunk, context);
  const held = idsOf(request.chunks);
  const records = await tx.chunks.after(after, MAX_INVENTORY);
  const isCut = records.length === MAX_INVENTORY;
  // Beyond the last record that was read nothing can be said yet.
  const through = isCut ? Math.min(until, records.at(-1)?.chunk ?? until) : until;
  const recorded = new Map<number, ChunkRecord>();
  for (const record of records) if (record.chunk <= through) recorded.set(record.chunk, record);
  const seen = new Set<number>();
  for (const chunk of held) {
    if (chunk > through) break;
    seen.add(chunk);
    const record = recorded.get(chunk);
    if (record) await welcome(tx, node, record, context);
    else await dropUnknown(tx, node, chunk, context);
  }
  const missing: number[] = [];
  for (const { chunk, nodes } of recorded.values()) {
    if (nodes.includes(node) && !seen.has(chunk)) missing.push(chunk);
  }
  if (through === Number.MAX_SAFE_INTEGER) {
    state.repair.look();
    if (missing.length === 0 && !known.hasReported) {
      state.nodes.set({ ...known, hasReported: true });
      context.control.onRollback(() => state.nodes.set(known));
    }
  }
  return { known: true, through, missing };
});

/** A replica that is not on record is used if it is needed (its node was away for long), and else dropped. */
async function welcome(
  tx: StoreTransaction,
  node: number,
  record: ChunkRecord,
  { state, nowMs }: OperationContext,
): Promise<void> {
  const { chunk, nodes } = record;
  if (nodes.includes(node) || (await tx.drops.has(node, chunk))) return;
  const { missing } = planReplicas(record, state.nodes, state.clock.monotonicMs());
  if (missing > 0) {
    await tx.chunks.setNodes(chunk, [...nodes, node]);
    state.repair.note(chunk);
  } else {
    await tx.drops.insert(node, chunk, nowMs + UNKNOWN_GRACE_MS);
  }
}

async function dropUnknown(
  tx: StoreTransaction,
  node: number,
  chunk: number,
  { state, nowMs }: OperationContext,
): Promise<void> {
  // Stored by a client that is about to commit it; or newer than anything that this database has given out.
  if ((await tx.grants.get(chunk)) || !state.chunkIds.hasGiven(chunk)) return;
  if (!(await tx.drops.has(node, chunk))) await tx.drops.insert(node, chunk, nowMs + UNKNOWN_GRACE_MS);
}

function idsOf(bytes: Uint8Array): number[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ids: number[] = [];
  for (let at = 0; at + ID_BYTES <= buffer.length; at += ID_BYTES)
    ids.push(Number(buffer.readBigUInt64LE(at)));
  // Others are no chunks: the first is 1, and beyond 2^53 two of them would be the same number.
  return ids.filter(id => id >= 1 && Number.isSafeInteger(id));
}
