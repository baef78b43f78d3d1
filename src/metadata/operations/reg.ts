/** The classic `reg`: a data node registers. */
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import { reg as command } from '../../protocol/cluster-commands.js';
import type { DataNode } from '../node-table.js';
import { operation, type OperationContext } from '../operation.js';
import type { NodeRecord } from '../store/store.js';

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
  const node = known?.record.node ?? (await tx.counters.get('node')) + 1;
  const record: NodeRecord = {
    node,
    id: request.id,
    host: request.host,
    port: request.port,
    domain: request.domain ?? '',
    isDraining: known?.record.isDraining ?? false,
  };
  if (!known) {
    await tx.counters.set('node', node);
    await tx.nodes.insert(record);
  } else if (hasChanged(known, request)) {
    await tx.nodes.update(record);
  }
  // Chunks will be recorded by this number.
  context.control.requireDurable();
  const { totalBytes, freeBytes, chunks } = request;
  const registered: DataNode = {
    record,
    space: { totalBytes, freeBytes, chunks },
    heardMs: state.clock.monotonicMs(),
    peer: context.peer,
  };
  state.nodes.set(registered);
  context.control.onRollback(() => {
    if (known) state.nodes.set(known);
    else state.nodes.delete(registered);
  });
  return { result: known ? ('DUP' as const) : ('ACK' as const), reason: '', node, cluster, grantKey };
});

function refuse({ state }: OperationContext, reason: string): ReplyOf<typeof command> {
  return { result: 'NAK', reason, node: 0, cluster: state.cluster.cluster, grantKey: new Uint8Array() };
}

function hasMoved({ record }: DataNode, request: Request): boolean {
  return record.host !== request.host || record.port !== request.port;
}

function hasChanged(known: DataNode, request: Request): boolean {
  return hasMoved(known, request) || known.record.domain !== (request.domain ?? '');
}

/**
 * Whether another process with the same identity is still alive at another address. One whose connection has closed is
 * not: a node that was killed and started again, on another port, must not wait until it is suspected.
 */
function isElsewhere(known: DataNode, request: Request, { state, peer }: OperationContext): boolean {
  return (
    hasMoved(known, request) &&
    state.nodes.isLive(known, state.clock.monotonicMs()) &&
    known.peer?.isClosed !== true &&
    (peer === undefined || known.peer !== peer)
  );
}
