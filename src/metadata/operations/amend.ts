/** Takes further nodes into a grant, when too few of those that it names took the chunk. */
import { DfsError } from '../../protocol/errors.js';
import { isGrantSigned, signGrant } from '../../protocol/grant-signature.js';
import { amend as command } from '../../protocol/content-commands.js';
import type { Grant } from '../../protocol/types.js';
import { liveTakers } from '../content/grants.js';
import { operation, type OperationContext } from '../operation.js';
import { eligibleNodes, furtherNodes } from '../placement.js';
import type { StoreTransaction } from '../store/store.js';

/** Nodes that failed stay in the grant, so that what they may have got is dropped; more of them are too many. */
const MAX_NODES = 32;

export const amend = operation(command, async (tx, { grant, goal, minReplicas, stored, failed }, context) => {
  const { state } = context;
  const { chunk, maxBytes, expiresMs } = grant;
  await checkGrant(tx, grant, stored, context);
  for (const number of failed) {
    const node = state.nodes.get(number);
    if (node) state.nodes.reach.doubt(node.record);
  }
  const live = liveTakers(goal, state.nodes, state.clock.monotonicMs());
  const others = live.filter(node => !stored.includes(node.record.node));
  let add: number[] = [];
  const missing = goal - stored.length;
  // When somebody holds it and nobody else lives, what there is will have to do.
  if (missing > 0 && (others.length > 0 || stored.length === 0)) {
    const needed = Math.max(0, (minReplicas ?? goal) - stored.length);
    const request = { goal: missing, minReplicas: needed, maxBytes, exclude: new Set(failed) };
    const eligible = eligibleNodes(others, request);
    const holders = stored.map(node => state.nodes.get(node)).filter(node => node !== undefined);
    add = furtherNodes(chunk, eligible, missing, holders);
  }
  const nodes = [...new Set([...grant.nodes, ...add])];
  if (nodes.length > MAX_NODES) throw expired(grant);
  const unsigned = { chunk, nodes, maxBytes, expiresMs };
  if (!(await tx.grants.delete(chunk))) {
    // A power loss took the grant along, and since then the server has ordered the nodes to drop an unknown chunk.
    for (const node of grant.nodes) await tx.drops.delete(node, chunk);
  }
  await tx.grants.insert({ chunk, expiresMs, nodes });
  const signature = signGrant(state.cluster.grantKey, unsigned);
  return { grant: { ...unsigned, signature }, add, nodes: state.nodes.addresses(nodes) };
});

/** EINVAL for a grant that was never given or was used, ESTALE for one that is good no more. */
async function checkGrant(
  tx: StoreTransaction,
  grant: Grant,
  stored: readonly number[],
  { state, nowMs }: OperationContext,
): Promise<void> {
  const { chunk } = grant;
  if (!isGrantSigned(state.cluster.grantKey, grant)) {
    throw new DfsError('EINVAL', `the grant for chunk ${chunk} is none that this cluster gave`);
  }
  if (new Set(stored).size < stored.length || stored.some(node => !grant.nodes.includes(node))) {
    throw new DfsError('EINVAL', `chunk ${chunk} is said to be on nodes that its grant does not name`);
  }
  if (await tx.chunks.get(chunk)) throw new DfsError('EINVAL', `chunk ${chunk} is committed already`);
  if (grant.expiresMs < nowMs || (await tx.retired.has(chunk))) throw expired(grant);
}

function expired({ chunk }: Grant): DfsError {
  return new DfsError('ESTALE', `the grant for chunk ${chunk} is good no more; ask for another one`);
}
