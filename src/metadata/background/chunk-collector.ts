/**
 * Collects chunks.
 *
 *     granted ──blocks──► committed ──last reference──► doomed ──grace, backup──► retired, nodes told to drop it ──► forgotten
 *        └──grant expired, and a margin──► nodes told to drop it
 *
 * A retired chunk's id is kept until no grant for it can be valid, so that a late commit cannot bring it back.
 */
import type { OperationContext } from '../operation.js';
import type { ServerState } from '../server-state.js';
import type { ChunkRecord, StoreTransaction } from '../store/store.js';

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
  if (due.length === 0) return false;
  const records = await tx.chunks.among(due);
  const unused = records.filter(({ references }) => references === 0);
  await tx.doomed.deleteMany(due);
  await tx.chunks.deleteMany(unused.map(({ chunk }) => chunk));
  await retire(tx, unused, nowMs, state);
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
  for (const { chunk } of expired) await tx.grants.delete(chunk);
  await retire(tx, expired, nowMs, state);
  return expired.length === CHUNKS_AT_ONCE;
}

/** Keeps the ids of chunks that are in no table any more, and has their nodes told to drop them. */
async function retire(
  tx: StoreTransaction,
  gone: readonly Pick<ChunkRecord, 'chunk' | 'nodes'>[],
  nowMs: number,
  { grantLifetimeMs }: Pick<ServerState, 'grantLifetimeMs'>,
): Promise<void> {
  if (gone.length === 0) return;
  const chunks = gone.map(({ chunk }) => chunk);
  await tx.retired.insertMany(chunks, nowMs + grantLifetimeMs + EXPIRY_MARGIN_MS);
  for (const node of new Set(gone.flatMap(({ nodes }) => nodes))) {
    const held = gone.filter(({ nodes }) => nodes.includes(node)).map(({ chunk }) => chunk);
    await tx.drops.insertMany(node, held, nowMs);
  }
}

/** Chunk ids that no valid grant can name any more. */
export async function forgetRetiredChunks(
  tx: StoreTransaction,
  { nowMs }: OperationContext,
): Promise<boolean> {
  return (await tx.retired.deleteUntil(nowMs, CHUNKS_AT_ONCE)) === CHUNKS_AT_ONCE;
}
