/**
 * Tries the addresses that data nodes advertise: when a node registers, from time to time, and soon after a client says
 * that a node failed it. A node is reached when the answer there has the node's identity, over a connection on which
 * both sides have proved the cluster's key.
 *
 * That is this server's view. A client elsewhere may reach a node that the server does not, or the other way round: one that
 * does not reach a node leaves it out of its writes, and reads other replicas.
 */
import { isDoneWithin, type Clock, type Timer } from '../platform/clock.js';
import { formatDuration } from '../platform/duration.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint } from '../platform/network.js';
import { info } from '../protocol/datanode-commands.js';
import { toDfsError } from '../protocol/errors.js';
import { RpcClient, type RpcClientOptions } from '../rpc/client.js';
import type { Advertised } from './node-reach.js';
import type { DataNode, NodeTable } from './node-table.js';

/** Asks the process that listens there for its identity. Rejects when none answers, or it cannot prove to be a member. */
export type AskIdentity = (endpoint: Endpoint) => Promise<string>;

/** A node that registers waits for its answer no longer than this. */
const REGISTRATION_MS = 2000;
/** Afterwards it has so long to answer. */
const PATIENCE_MS = 5000;
const LOOK_MS = 500;
/** How often nodes are tried that were reached, and that were not. */
const REACHED_MS = 10_000;
const UNREACHED_MS = 2000;

/** Asks over the network. */
export function askOver(options: Omit<RpcClientOptions, 'endpoint' | 'role' | 'server'>): AskIdentity {
  return async endpoint => {
    const client = new RpcClient({ ...options, role: 'admin', server: 'data', endpoint });
    try {
      const connection = await client.connect(options.clock.monotonicMs());
      return (await connection.call(info, {}, { timeoutMs: PATIENCE_MS })).reply.id;
    } finally {
      client.close();
    }
  };
}

export interface ReachProbeOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodes: NodeTable;
  readonly ask: AskIdentity;
}

export class ReachProbe {
  readonly #options: ReachProbeOptions;
  /** Identities of nodes that are being tried. */
  readonly #trying = new Set<string>();
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: ReachProbeOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#isClosed) return;
    const look = (): void => {
      this.#look();
      this.start();
    };
    this.#timer = this.#options.clock.setTimer(LOOK_MS, look, true);
  }

  /** May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Tries a node that is about to be registered. */
  async tryFirst(node: Advertised): Promise<void> {
    await this.#try(node, REGISTRATION_MS);
  }

  #look(): void {
    const { clock, nodes } = this.#options;
    const nowMs = clock.monotonicMs();
    for (const node of nodes.all()) {
      const { record } = node;
      if (!nodes.isHeard(node, nowMs) || this.#trying.has(record.id)) continue;
      const pauseMs = nodes.reach.unreachable(record) ? UNREACHED_MS : REACHED_MS;
      if (nowMs - nodes.reach.triedMs(record) >= pauseMs) void this.#tryAgain(node);
    }
  }

  /** Never rejects. */
  async #tryAgain({ record }: DataNode): Promise<void> {
    const { nodes, log } = this.#options;
    this.#trying.add(record.id);
    const before = nodes.reach.unreachable(record);
    await this.#try(record, PATIENCE_MS);
    this.#trying.delete(record.id);
    const now = nodes.reach.unreachable(record);
    if (now && !before) log.warn({ node: record.node, reason: now.reason }, 'a data node cannot be reached');
    if (before && !now) log.info({ node: record.node }, 'a data node can be reached again');
  }

  /** Never rejects. */
  async #try(node: Advertised, patienceMs: number): Promise<void> {
    const { clock, nodes, ask } = this.#options;
    const { id, host, port } = node;
    let reason = `${host}:${port} did not answer within ${formatDuration(patienceMs)}`;
    const asked = ask({ host, port }).then(
      found => (reason = found === id ? '' : `another data node answers at ${host}:${port}`),
      (error: unknown) => (reason = toDfsError(error).message),
    );
    await isDoneWithin(clock, patienceMs, asked);
    if (!this.#isClosed) nodes.reach.note(node, reason, clock.monotonicMs());
  }
}
