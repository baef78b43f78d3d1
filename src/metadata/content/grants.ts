/** Gives out permission to store chunks, remembered until the chunk is committed or the grant expires, and to read them. */
import { signGrant } from '../../protocol/grant-signature.js';
import { DfsError } from '../../protocol/errors.js';
import { READ_GRANT_LIFETIME_MS } from '../../protocol/limits.js';
import type { Grant, NodeAddress } from '../../protocol/types.js';
import type { DataNode, NodeTable } from '../node-table.js';
import type { OperationContext } from '../operation.js';
import { eligibleNodes, placeChunk } from '../placement.js';
import type { StoreTransaction } from '../store/store.js';

export interface GrantRequest {
  readonly count: number;
  readonly goal: number;
  readonly maxBytes: number;
  readonly minReplicas?: number | undefined;
  readonly exclude: readonly number[];
}

export interface Granted {
  readonly grants: Grant[];
  readonly readGrants: Buffer;
  readonly nodes: NodeAddress[];
}

export const NOTHING_GRANTED: Granted = { grants: [], readGrants: Buffer.alloc(0), nodes: [] };

/**
 * The nodes that may get chunks. EAGAIN when there are too few just after a start: the first node to come back would get
 * every replica.
 */
export function liveTakers(goal: number, nodes: NodeTable, monotonicMs: number): DataNode[] {
  const live = nodes.takers(monotonicMs);
  if (live.length < Math.min(goal, nodes.size) && nodes.isWaiting(monotonicMs)) {
    throw new DfsError('EAGAIN', 'the metadata server has just started and waits for its data nodes');
  }
  return live;
}

/** EAGAIN when no data node lives, or those that do are still coming back; ENOSPC when too few have room. */
export async function issueGrants(
  tx: StoreTransaction,
  request: GrantRequest,
  context: OperationContext,
): Promise<Granted> {
  if (request.count === 0) return NOTHING_GRANTED;
  const { state } = context;
  const monotonicMs = state.clock.monotonicMs();
  const live = liveTakers(request.goal, state.nodes, monotonicMs);
  const eligible = eligibleNodes(live, { ...request, exclude: new Set(request.exclude) });
  const expiresMs = context.nowMs + state.grantLifetimeMs;
  const grants: Grant[] = [];
  for (let index = 0; index < request.count; index += 1) {
    const chunk = state.chunkIds.take();
    const unsigned = {
      chunk,
      nodes: placeChunk(chunk, eligible, request.goal),
      maxBytes: request.maxBytes,
      expiresMs,
    };
    grants.push({ ...unsigned, signature: signGrant(state.cluster.grantKey, unsigned) });
  }
  for (const { chunk, nodes } of grants) await tx.grants.insert({ chunk, expiresMs, nodes });
  return {
    grants,
    readGrants: issueReadGrants(
      grants.map(({ chunk }) => chunk),
      context,
    ),
    nodes: state.nodes.addresses(grants.flatMap(grant => grant.nodes)),
  };
}

/** Permission to read chunks, in their order. */
export function issueReadGrants(chunks: readonly number[], { state, nowMs }: OperationContext): Buffer {
  return state.readGrantKey.sign(chunks, nowMs + READ_GRANT_LIFETIME_MS);
}
