/** Sends orders to data nodes, over the connection that each made when it registered. */
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import { assemble, replicate, verify } from '../protocol/datanode-commands.js';
import { DfsError } from '../protocol/errors.js';
import type { RpcConnection } from '../rpc/connection.js';

/** A node that has not copied a chunk in this time is not about to. */
const COPY_TIMEOUT_MS = 60_000;
const ORDER_TIMEOUT_MS = 10_000;

/** A data node's own connection. */
export type NodeConnection = Pick<RpcConnection, 'call' | 'isClosed'>;

/** Every order rejects with EHOSTUNREACH when the node has not registered, or with what the node refuses. */
export class NodeOrders {
  readonly #connections = new Map<number, NodeConnection>();

  /** The node takes orders by this connection from now on. */
  bind(node: number, connection: NodeConnection): void {
    this.#connections.set(node, connection);
  }

  /** Undefined until the node has registered. */
  connectionOf(node: number): NodeConnection | undefined {
    return this.#connections.get(node);
  }

  /** Resolves when the chunk is copied. */
  async copy(node: number, order: RequestOf<typeof replicate>): Promise<void> {
    await this.#find(node).call(replicate, order, { timeoutMs: COPY_TIMEOUT_MS });
  }

  /** Resolves when the new chunk is stored. */
  async assemble(node: number, order: RequestOf<typeof assemble>): Promise<ReplyOf<typeof assemble>> {
    return (await this.#find(node).call(assemble, order, { timeoutMs: COPY_TIMEOUT_MS })).reply;
  }

  async verify(node: number, order: RequestOf<typeof verify>): Promise<ReplyOf<typeof verify>> {
    return (await this.#find(node).call(verify, order, { timeoutMs: ORDER_TIMEOUT_MS })).reply;
  }

  #find(node: number): NodeConnection {
    const connection = this.#connections.get(node);
    if (!connection) throw new DfsError('EHOSTUNREACH', `data node ${node} has not registered`);
    return connection;
  }
}
