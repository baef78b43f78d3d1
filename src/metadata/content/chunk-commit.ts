/** Commits stored chunks: checks that the client may, and writes their records. */
import { DfsError } from '../../protocol/errors.js';
import { isGrantSigned } from '../../protocol/grant-signature.js';
import type { StoredChunk } from '../../protocol/content-commands.js';
import type { Extent } from '../../protocol/types.js';
import type { OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

export interface CommittedChunks {
  /** chunk → its length, for every chunk named in the request */
  readonly lengths: ReadonlyMap<number, number>;
  /** chunk → what was stored, for those that were not committed before */
  readonly fresh: ReadonlyMap<number, StoredChunk>;
}

/**
 * Checks chunks that a client says it stored. A chunk that was committed before is fine if it is the same (the client
 * lost its session and tries again). EINVAL for what no grant allows, ESTALE for a grant that has expired.
 * @param isSynced a program was told that it is on stable storage, so that a grant that has expired does not matter
 */
export async function checkStoredChunks(
  tx: StoreTransaction,
  chunks: readonly StoredChunk[],
  context: OperationContext,
  isSynced = false,
): Promise<CommittedChunks> {
  const lengths = new Map<number, number>();
  const fresh = new Map<number, StoredChunk>();
  for (const stored of chunks) {
    if (lengths.has(stored.chunk)) throw invalid(stored, 'is named twice');
    lengths.set(stored.chunk, stored.length);
    if (await isFresh(tx, stored, context, isSynced)) fresh.set(stored.chunk, stored);
  }
  return { lengths, fresh };
}

/**
 * Writes the new chunks with their references and their file's goal, and ends their grants. Nodes that a grant names and the commit does not
 * may hold a part; they are told to drop it, after a time in which a late write of theirs has ended.
 */
export async function recordNewChunks(
  tx: StoreTransaction,
  { fresh }: CommittedChunks,
  extents: readonly Extent[],
  file: Pick<InodeRecord, 'inode' | 'goal'>,
  { nowMs, state, control }: OperationContext,
): Promise<void> {
  if (fresh.size === 0) return;
  const { inode, goal } = file;
  /** chunk → extents of this commit that refer to it */
  const counts = new Map<number, number>();
  for (const { chunk } of extents) counts.set(chunk, (counts.get(chunk) ?? 0) + 1);
  for (const stored of fresh.values()) {
    const { chunk, length, checksum, nodes, grant } = stored;
    const references = counts.get(chunk) ?? 0;
    await tx.chunks.insert({ chunk, length, checksum, references, goal, nodes });
    if (nodes.length < goal) state.repair.note(chunk);
    if (stored.synced !== true) {
      state.unsynced.add(inode, chunk, nodes);
      control.onRollback(() => state.unsynced.remove(chunk));
    }
    if (!(await tx.grants.delete(chunk))) {
      // The grant went with the last second before a power loss, and the nodes were told to drop an unknown chunk.
      for (const node of nodes) await tx.drops.delete(node, chunk);
    }
    if (references === 0) await tx.doomed.insert(chunk, nowMs + state.graceMs);
    for (const node of grant.nodes) {
      if (!nodes.includes(node)) await tx.drops.insert(node, chunk, nowMs + state.graceMs);
    }
  }
}

/** Whether the chunk is new, after checking that it may be committed. */
async function isFresh(
  tx: StoreTransaction,
  stored: StoredChunk,
  { state, nowMs }: OperationContext,
  isSynced: boolean,
): Promise<boolean> {
  const { chunk, grant, length, nodes } = stored;
  if (grant.chunk !== chunk) throw invalid(stored, `comes with the grant of chunk ${grant.chunk}`);
  if (!isGrantSigned(state.cluster.grantKey, grant)) {
    throw invalid(stored, 'comes with a grant that this cluster did not give');
  }
  if (length > grant.maxBytes) throw invalid(stored, `is longer than the ${grant.maxBytes} bytes granted`);
  if (nodes.length === 0) throw invalid(stored, 'is on no data node');
  if (new Set(nodes).size < nodes.length || nodes.some(node => !grant.nodes.includes(node))) {
    throw invalid(stored, 'is said to be on nodes that its grant does not name');
  }
  // A grant is on record until its chunk is committed, so a chunk that has one was not.
  if (!(await tx.grants.get(chunk))) {
    const existing = await tx.chunks.get(chunk);
    if (existing) {
      if (existing.length === length && existing.checksum === stored.checksum) return false;
      throw invalid(stored, 'was committed before with other bytes');
    }
    // Without any record the grant was given in the last second before a power loss, and is good.
    if (!isSynced && (await tx.retired.has(chunk))) {
      throw new DfsError('ESTALE', `chunk ${chunk} was deleted meanwhile; store the data again`);
    }
  }
  if (!isSynced && grant.expiresMs < nowMs) {
    throw new DfsError('ESTALE', `the grant of chunk ${chunk} has expired; store the data again`);
  }
  return true;
}

function invalid({ chunk }: StoredChunk, what: string): DfsError {
  return new DfsError('EINVAL', `chunk ${chunk} ${what}`);
}
