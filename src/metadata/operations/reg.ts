/** The classic `reg`: a data node registers. */
import { timingSafeEqual } from 'node:crypto';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import { reg as command } from '../../protocol/cluster-commands.js';
import { believableSpace, type DataNode } from '../node-table.js';
import { MAX_NODES } from '../../protocol/limits.js';
import { operation, type OperationContext } from '../operation.js';
import type { NodeRecord } from '../store/store.js';

const PROOF_BYTES = 16;

type Request = RequestOf<typeof command>;

export const reg = operation(command, async (tx, request, context) => {
  const { state } = context;
  const { cluster, grantKey } = state.cluster;
  if (request.cluster !== '' && request.cluster !== cluster) {
    return refuse(
      context,
      `the data directory belongs to cluster ${request.cluster}, but this is cluster ${cluster}; give the node another directory or another metadata server`,
    );
  }
  const known = state.nodes.byId(request.id);
  if (known && isElsewhere(known, request, context)) {
    const { host, port } = known.record;
    return refuse(
      context,
      `node ${request.id} is alive at ${host}:${port}; if its directory was copied, empty the copy, if it was moved, stop the old process`,
    );
  }
  const member = context.peer?.member?.certificate?.name ?? '';
  const owner = known?.record.member ?? '';
  if (owner !== '' && owner !== member && (await tx.members.get('node', owner))) {
    return refuse(
      context,
      `node ${request.id} is of the member ${owner}; if its directory was moved to another machine, remove the old one: dfs member remove node/${owner}`,
    );
  }
  if (!known && state.nodes.size >= MAX_NODES) {
    return refuse(
      context,
      `there are ${MAX_NODES} data nodes, which is as many as there may be; remove those that are gone: dfs node remove N`,
    );
  }
  const node = known?.record.node ?? (await tx.counters.get('node')) + 1;
  const record: NodeRecord = {
    node,
    id: request.id,
    host: request.host,
    port: request.port,
    domain: request.domain ?? '',
    isDraining: known?.record.isDraining ?? false,
    member,
  };
  if (!known) {
    await tx.counters.set('node', node);
    await tx.nodes.insert(record);
  } else if (hasChanged(known, request) || owner !== member) {
    await tx.nodes.update(record);
  }
  // Chunks will be recorded by this number.
  context.control.requireDurable();
  const registered: DataNode = {
    record,
    space: believableSpace(request),
    heardMs: state.clock.monotonicMs(),
    hasReported: false,
    skewMs: known?.skewMs ?? 0,
    peer: context.peer,
    // The reply to an earlier request may have been lost.
    proof: known && isProved(known, request) ? known.proof : state.random.bytes(PROOF_BYTES),
  };
  state.nodes.set(registered);
  if (known && hasMoved(known, request)) state.nodes.reach.forget(known.record);
  context.control.onRollback(() => {
    if (known) state.nodes.set(known);
    else state.nodes.delete(registered);
  });
  const result = known ? ('DUP' as const) : ('ACK' as const);
  return {
    result,
    reason: '',
    node,
    cluster,
    grantKey,
    proof: registered.proof,
    serverMs: context.nowMs,
    unreachable: state.nodes.reach.unreachable(record)?.reason ?? '',
  };
});

function refuse({ state, nowMs }: OperationContext, reason: string): ReplyOf<typeof command> {
  const nothing = new Uint8Array();
  return {
    result: 'NAK',
    reason,
    node: 0,
    cluster: state.cluster.cluster,
    grantKey: nothing,
    proof: nothing,
    serverMs: nowMs,
  };
}

function hasMoved({ record }: DataNode, request: Request): boolean {
  return record.host !== request.host || record.port !== request.port;
}

function hasChanged(known: DataNode, request: Request): boolean {
  return hasMoved(known, request) || known.record.domain !== (request.domain ?? '');
}

/**
 * Whether another process with the same identity is still alive. One whose connection has closed is not: a node that was
 * killed and started again, on another port, must not wait until it is suspected. The node itself, which comes by a new
 * connection while the old one seems to be open, shows what it was told when it last registered.
 */
function isElsewhere(known: DataNode, request: Request, { state, peer }: OperationContext): boolean {
  if (!state.nodes.isHeard(known, state.clock.monotonicMs()) || known.peer?.isClosed === true) return false;
  // What this process asks of itself.
  if (peer === undefined || known.peer === undefined) return hasMoved(known, request);
  return known.peer !== peer && !isProved(known, request);
}

function isProved({ proof }: DataNode, request: Request): boolean {
  const shown = request.proof;
  return shown !== undefined && shown.length === proof.length && timingSafeEqual(proof, shown);
}
