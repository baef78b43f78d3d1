/**
 * Collects chunks.
 *
 *     granted ──blocks──► committed ──last reference──► doomed ──grace, backup──► retired, nodes told to drop it ──► forgotten
 *        └──grant expired, and a margin──► nodes told to drop it
 *
 * A retired chunk's id is kept until no grant for it can be valid, so that a late commit cannot bring it back.
 */
import type { OperationContext } from '../operation.js';
import type { StoreTransaction } from '../store/store.js';

const CHUNKS_AT_ONCE = 256;
/** Clocks of data nodes may be a little behind ours: until then they would still take the chunk. */
const EXPIRY_MARGIN_MS = 600_000;
/** The shortest grace that there can be. */
export const MIN_GRACE_MS = 1000;

/** Chunks whose grace is over, and to which the newest backup of the metadata does not refer. Returns whether there may be more. */
export async function collectDoomedChunks(
  tx: StoreTransaction,
  { nowMs, state }: OperationContext,
): Promise<boolean> {
  // By an earlier process, whose clock may have been another one, everything may have been doomed just now.
  if (nowMs < state.startedMs + state.graceMs) return false;
  const backedUpMs = state.backup.collectableBeforeMs(nowMs);
  // What is due was doomed a grace before; but by an earlier process maybe a shorter one.
  const graceMs = backedUpMs >= state.startedMs ? state.graceMs : MIN_GRACE_MS;
  const untilMs = Math.min(nowMs, backedUpMs + graceMs);
  const due = await tx.doomed.due(untilMs, CHUNKS_AT_ONCE);
  for (const chunk of due) {
    const record = await tx.chunks.get(chunk);
    await tx.doomed.delete(chunk);
    if (!record || record.references > 0) continue;
    await tx.chunks.delete(chunk);
    await tx.retired.insert(chunk, nowMs + state.grantLifetimeMs + EXPIRY_MARGIN_MS);
    for (const node of record.nodes) await tx.drops.insert(node, chunk, nowMs);
  }
  return due.length === CHUNKS_AT_ONCE;
}

/** Chunks that a client may have stored and never committed. Returns whether there may be more. */
export async function collectExpiredGrants(
  tx: StoreTransaction,
  { nowMs, state }: OperationContext,
): Promise<boolean> {
  const oldest = await tx.grants.oldest(CHUNKS_AT_ONCE);
  const untilMs = nowMs - EXPIRY_MARGIN_MS;
  const expired = oldest.filter(grant => grant.expiresMs < untilMs);
  for (const { chunk, nodes } of expired) {
    await tx.grants.delete(chunk);
    await tx.retired.insert(chunk, nowMs + state.grantLifetimeMs + EXPIRY_MARGIN_MS);
    for (const node of nodes) await tx.drops.insert(node, chunk, nowMs);
  }
  return expired.length === CHUNKS_AT_ONCE;
}

/** Chunk ids that no valid grant can name any more. */
export async function forgetRetiredChunks(
  tx: StoreTransaction,
  { nowMs }: OperationContext,
): Promise<boolean> {
  return (await tx.retired.deleteUntil(nowMs, CHUNKS_AT_ONCE)) === CHUNKS_AT_ONCE;
}
