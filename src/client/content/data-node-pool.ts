/** The data nodes as this client knows them: addresses, connections, and which of them failed lately. */
import type { Static, TSchema } from '@sinclair/typebox';
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { Network } from '../../platform/network.js';
import type { Random } from '../../platform/random.js';
import type { Command } from '../../protocol/command.js';
import { DfsError } from '../../protocol/errors.js';
import type { NodeAddress } from '../../protocol/types.js';
import { isConnectionError } from '../../rpc/client.js';
import type { RpcConnection } from '../../rpc/connection.js';
import type { Answer, CallOptions } from '../../rpc/routes.js';
import { WatchedClient } from '../../rpc/watched-client.js';
import type { Role } from '../../protocol/roles.js';
import type { Keyring } from '../../rpc/keyring.js';

export interface DataNodePoolOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly keys: Keyring;
  /** What it is to the servers: a client, or an administrator. */
  readonly role: Role;
}

/** A node that failed is asked last for this long. */
const DISTRUST_MS = 3000;

interface KnownNode {
  readonly address: NodeAddress;
  readonly rpc: WatchedClient;
  /** Monotonic ms until which the node is asked last. */
  distrustedUntilMs: number;
  /** Requests under way, to spread reads over replicas. */
  load: number;
}

export class DataNodePool {
  readonly #options: DataNodePoolOptions;
  /** node number → the node */
  readonly #nodes = new Map<number, KnownNode>();
  #isClosed = false;

  constructor(options: DataNodePoolOptions) {
    this.#options = options;
  }

  /** Takes over addresses that the metadata server told. A node that moved gets a new connection. */
  learn(addresses: readonly NodeAddress[]): void {
    for (const address of addresses) {
      const known = this.#nodes.get(address.node);
      if (known && isSameNode(known.address, address)) continue;
      known?.rpc.close();
      const { host, port, node, member } = address;
      this.#nodes.set(node, {
        address: { node, host, port, ...(member === undefined ? {} : { member }) },
        rpc: new WatchedClient({
          ...this.#options,
          server: 'data',
          serverName: member,
          endpoint: { host, port },
        }),
        distrustedUntilMs: 0,
        load: 0,
      });
    }
  }

  /** The address of a node that was learned; undefined for others. */
  addressOf(node: number): NodeAddress | undefined {
    return this.#nodes.get(node)?.address;
  }

  /** `nodes` with the ones first that are likely to answer soonest. */
  preferred(nodes: readonly number[]): number[] {
    const nowMs = this.#options.clock.monotonicMs();
    const rank = (node: number): number => {
      const known = this.#nodes.get(node);
      if (!known) return Number.MAX_SAFE_INTEGER;
      return known.load + (known.distrustedUntilMs > nowMs ? 1_000_000 : 0);
    };
    return [...nodes].sort((a, b) => rank(a) - rank(b));
  }

  /** Nodes that failed lately. */
  distrusted(): number[] {
    const nowMs = this.#options.clock.monotonicMs();
    return [...this.#nodes.values()].filter(n => n.distrustedUntilMs > nowMs).map(n => n.address.node);
  }

  /** Remembers that a node failed somebody. */
  distrust(node: number): void {
    const known = this.#nodes.get(node);
    if (known) known.distrustedUntilMs = this.#options.clock.monotonicMs() + DISTRUST_MS;
  }

  /** The connection by which a node was last called; undefined when there is none, or it is closed by now. */
  connectionTo(node: number): RpcConnection | undefined {
    return this.#nodes.get(node)?.rpc.connection;
  }

  /** Whether a node shows a sign of life in about two seconds. */
  async answers(node: number): Promise<boolean> {
    return (await this.#nodes.get(node)?.rpc.answers()) === true;
  }

  /**
   * One request to one node, one attempt. A node that cannot be reached, or shows no sign of life for about three
   * seconds, is distrusted for a while.
   */
  async call<Request extends TSchema, Reply extends TSchema>(
    node: number,
    command: Command<Request, Reply>,
    request: Static<Request>,
    options: CallOptions,
  ): Promise<Answer<Static<Reply>>> {
    const known = this.#nodes.get(node);
    if (!known || this.#isClosed)
      throw new DfsError('EHOSTUNREACH', `the address of data node ${node} is not known`);
    known.load += 1;
    try {
      const answer = await known.rpc.call(command, request, options);
      known.distrustedUntilMs = 0;
      return answer;
    } catch (error) {
      if (isConnectionError(error)) this.distrust(node);
      throw error;
    } finally {
      known.load -= 1;
    }
  }

  /** Closes every connection. May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const node of this.#nodes.values()) node.rpc.close();
  }
}

function isSameNode(a: NodeAddress, b: NodeAddress): boolean {
  return a.host === b.host && a.port === b.port && a.member === b.member;
}
