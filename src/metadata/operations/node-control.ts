/** Orders of administrators about data nodes: drain, forget, rebalance. */
import { DfsError } from '../../protocol/errors.js';
import {
  drain as drainCommand,
  rebalance as rebalanceCommand,
  removenode as removeCommand,
} from '../../protocol/cluster-commands.js';
import type { DataNode } from '../node-table.js';
import { operation, type OperationContext } from '../operation.js';
import type { ServerState } from '../server-state.js';
import type { StoreTransaction } from '../store/store.js';

const CHUNKS_AT_ONCE = 512;

export const drain = operation(drainCommand, async (tx, { node: number, isDraining }, context) => {
  const { state, control } = context;
  const node = requireNode(state, number);
  const changed: DataNode = { ...node, record: { ...node.record, isDraining } };
  await tx.nodes.update(changed.record);
  control.requireDurable();
  state.nodes.set(changed);
  control.onRollback(() => state.nodes.set(node));
  state.repair.look();
  return {};
});

export const rebalance = operation(rebalanceCommand, async (_tx, { isWanted }, { state }) => {
  state.repair.isRebalancing = isWanted;
  state.repair.look();
  return {};
});

export const removenode = operation(removeCommand, async (begun, { node: number, force }, context) => {
  const { state, control } = context;
  const node = requireNode(state, number);
  if (!force) {
    if (state.nodes.isLive(node, state.clock.monotonicMs())) {
      throw new DfsError(
        'EBUSY',
        `node ${number} is alive; drain it (dfs node drain ${number}) and stop it first`,
      );
    }
    const { tx, count } = await eachChunkOn(
      begun,
      number,
      context,
      async (_tx, _chunk, others) => others.length === 0,
    );
    if (count > 0) {
      throw new DfsError(
        'EBUSY',
        `${count} chunks have their last replica on node ${number}; bring it back, or give --force to lose them`,
      );
    }
    return await forget(tx, node, context);
  }
  const reply = await forget(begun, node, context);
  control.requireDurable();
  return reply;
});

async function forget(
  begun: StoreTransaction,
  node: DataNode,
  context: OperationContext,
): Promise<{ chunks: number }> {
  const { state, control } = context;
  const { tx, count } = await eachChunkOn(begun, node.record.node, context, async (within, chunk, others) => {
    await within.chunks.setNodes(chunk, others);
    return true;
  });
  await tx.nodes.delete(node.record.node);
  await tx.drops.deleteAll(node.record.node);
  control.requireDurable();
  state.nodes.delete(node);
  control.onRollback(() => state.nodes.set(node));
  state.repair.look();
  return { chunks: count };
}

/** Does `work` with every chunk on the node, some in each transaction; counts those for which it says yes. */
async function eachChunkOn(
  begun: StoreTransaction,
  node: number,
  { control }: OperationContext,
  work: (tx: StoreTransaction, chunk: number, others: readonly number[]) => Promise<boolean>,
): Promise<{ readonly tx: StoreTransaction; readonly count: number }> {
  let tx = begun;
  let count = 0;
  for (let after = 0; ;) {
    const chunks = await tx.chunks.after(after, CHUNKS_AT_ONCE);
    for (const { chunk, nodes, references } of chunks) {
      if (references === 0 || !nodes.includes(node)) continue;
      if (
        await work(
          tx,
          chunk,
          nodes.filter(each => each !== node),
        )
      )
        count += 1;
    }
    const last = chunks.at(-1);
    if (!last || chunks.length < CHUNKS_AT_ONCE) return { tx, count };
    after = last.chunk;
    tx = await control.pause();
  }
}

function requireNode(state: ServerState, number: number): DataNode {
  const node = state.nodes.get(number);
  if (!node) throw new DfsError('ENOENT', `there is no data node ${number}; dfs nodes lists them`);
  return node;
}
