/** Passes chunks on to the next node (docs/decisions/07). */
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { matchesChecksums } from '../protocol/checksum.js';
import { read, write } from '../protocol/datanode-commands.js';
import type { ReplyOf, RequestOf } from '../protocol/command.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Payload } from '../protocol/frame.js';
import type { NodeAddress } from '../protocol/types.js';
import { WatchedClient } from '../rpc/watched-client.js';
import type { Keyring } from '../rpc/keyring.js';

export type WriteRequest = RequestOf<typeof write>;
export type WriteResult = ReplyOf<typeof write>;

/**
 * How long the last node of a chain may take, and how much longer each node before it: the one before must still be
 * able to say who failed. The whole stays below the 30 s that a client waits. A node that shows no sign of life at all is
 * given up much sooner (WatchedClient).
 */
const LAST_NODE_MS = 10_000;
const MORE_PER_NODE_MS = 4000;

export interface PipelineOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly keys: Keyring;
}

interface Peer {
  readonly endpoint: Endpoint;
  readonly member: string | undefined;
  readonly rpc: WatchedClient;
}

export class Pipeline {
  readonly #options: PipelineOptions;
  /** "node number/nodes left in the chain" → connection */
  readonly #peers = new Map<string, Peer>();
  #isClosed = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /**
   * Sends the chunk along `request.forward`. When the next node fails, the one behind it is asked directly. Never
   * rejects: the result names every node of the chain, either as stored or as failed.
   */
  async forward(request: WriteRequest, payload: Payload): Promise<WriteResult> {
    const failed: WriteResult['failed'] = [];
    let rest = request.forward;
    const deadlineMs = this.#options.clock.monotonicMs() + allowanceMs(rest.length);
    for (;;) {
      const [next, ...behind] = rest;
      if (!next) return { stored: [], failed };
      const timeoutMs = Math.min(allowanceMs(rest.length), deadlineMs - this.#options.clock.monotonicMs());
      try {
        if (timeoutMs <= 0) throw new DfsError('ETIMEDOUT', 'the nodes before it took all the time');
        const rpc = this.#rpcTo(next, behind.length);
        const { reply } = await rpc.call(
          write,
          { ...request, forward: behind },
          { payload, timeoutMs, passesOn: behind.length },
        );
        return { stored: reply.stored, failed: [...failed, ...reply.failed] };
      } catch (error) {
        const { message, code } = toDfsError(error);
        failed.push({ node: next.node, reason: message, code });
        this.#options.log.warn(
          { chunk: request.grant.chunk, node: next.node, reason: message },
          'a node did not take a chunk that was passed on',
        );
        rest = behind;
      }
    }
  }

  /** Part of a chunk of another node, checked. EBADMSG when it was damaged on the way; else what the node answers. */
  async fetch(from: NodeAddress, part: RequestOf<typeof read>): Promise<Buffer> {
    const { chunk, offset } = part;
    const rpc = this.#rpcTo(from, 0);
    const answer = await rpc.call(read, part, { timeoutMs: LAST_NODE_MS });
    if (!matchesChecksums(answer.payload, answer.reply.checksums, offset)) {
      throw new DfsError('EBADMSG', `chunk ${chunk} was damaged on its way from data node ${from.node}`);
    }
    return Buffer.concat(answer.payload);
  }

  /** Closes every connection. May be called twice. */
  close(): void {
    this.#isClosed = true;
    for (const { rpc } of this.#peers.values()) rpc.close();
    this.#peers.clear();
  }

  /**
   * Chunks with more nodes to go do not share a connection with those with fewer. A connection that is full of requests
   * stops being read; if nodes that pass chunks on to each other all waited for requests stuck behind such ones, none
   * would go on. This way a request waits only for ones that have a shorter way.
   */
  #rpcTo(address: NodeAddress, nodesBehind: number): WatchedClient {
    if (this.#isClosed) throw new DfsError('ESHUTDOWN', 'the data node is being shut down');
    const key = `${address.node}/${nodesBehind}`;
    const { host, port, member } = address;
    const known = this.#peers.get(key);
    if (known?.endpoint.host === host && known.endpoint.port === port && known.member === member)
      return known.rpc;
    known?.rpc.close();
    const endpoint = { host, port };
    const rpc = new WatchedClient({
      ...this.#options,
      role: 'node',
      server: 'data',
      serverName: member,
      endpoint,
    });
    this.#peers.set(key, { endpoint, member, rpc });
    return rpc;
  }
}

function allowanceMs(nodes: number): number {
  return LAST_NODE_MS + MORE_PER_NODE_MS * (nodes - 1);
}
