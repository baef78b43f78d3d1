/**
 * The node's tie to the metadata server: registers, says every second that the node lives, and takes the orders that
 * come back.
 *
 *     registering ── ACK, DUP ──► beating ──┐
 *          ▲                        │  ▲    │ every HEARTBEAT_MS
 *          │                        │  └────┘
 *          └── connection lost, or `known: false`, for ever
 */
import type { Clock, Timer } from '../platform/clock.js';
import { formatDuration } from '../platform/duration.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { HEARTBEAT_MS, MAX_DROPS } from '../protocol/limits.js';
import { heartbeat, reg } from '../protocol/cluster-commands.js';
import { isConnectionError, RpcClient } from '../rpc/client.js';
import type { RpcConnection } from '../rpc/connection.js';
import type { Routes } from '../rpc/routes.js';
import type { ReplicaTroubles } from './replica-troubles.js';
import type { NodeSpace } from './free-space.js';
import type { KeptIntents } from './kept-intents.js';
import type { ServerTime } from './server-time.js';
import { reportInventory } from './inventory-report.js';
import type { Keyring } from '../rpc/keyring.js';

/** How long a start waits for the metadata server when nobody says otherwise. */
const START_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 5000;
/** How often everything is reported, besides at each registration. */
const INVENTORY_MS = 86_400_000;
/**
 * The second one comes sooner: what a client stored here before this node lost its power, and the chunk with it, may be
 * committed after the first one.
 */
const SECOND_INVENTORY_MS = 600_000;

/** What the node tells about itself. */
export interface NodeReport extends NodeSpace {
  readonly chunks: number;
}

/** What the metadata server told at registration. */
export interface Registration {
  readonly node: number;
  readonly cluster: string;
  /** Signs grants. */
  readonly grantKey: Uint8Array;
}

export interface MetadataLinkOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly keys: Keyring;
  readonly metadata: Endpoint;
  /** Learns the metadata server's time from its replies. */
  readonly serverTime: ServerTime;
  /** The node's identity. */
  readonly id: string;
  /** The cluster it belongs to now; empty for none yet. */
  readonly cluster: () => string;
  /** What fails together with this node; empty for its host. */
  readonly domain: string;
  /** How long a start waits for the metadata server; default 10,000 ms. */
  readonly startTimeoutMs?: number | undefined;
  readonly report: () => Promise<NodeReport>;
  readonly onRegistered: (registration: Registration) => Promise<void>;
  /** Every chunk on this node, ascending, and whether one is here. */
  readonly chunkIds: () => Float64Array;
  readonly has: (chunk: number) => boolean;
  /** Whether a chunk must stay, since somebody may ask for its intent. */
  readonly isNeeded: (chunk: number) => boolean;
  /** Logs that may be over, and what becomes of those that are. */
  readonly logs: Pick<KeptIntents, 'takeIdleLogs' | 'end'>;
  /** What is wrong with chunks here. */
  readonly troubles: ReplicaTroubles;
  /** Puts a damaged chunk aside. */
  readonly quarantine: (chunk: number) => Promise<void>;
  /** What the metadata server may order on the node's own connection. */
  readonly routes: Routes;
  /** Drops chunks; resolves when they are gone for good. */
  readonly drop: (chunks: readonly number[]) => Promise<void>;
}

export class MetadataLink {
  readonly #options: MetadataLinkOptions;
  readonly #rpc: RpcClient;
  /** The connection on which this node is registered. */
  #registeredOn: RpcConnection | undefined;
  #advertised: Endpoint | undefined;
  #node = 0;
  /** By which the metadata server knows this process again on another connection; undefined before it registered. */
  #proof: Buffer | undefined;
  /** Chunks that are being dropped. */
  readonly #dropping = new Set<number>();
  /** Chunks that are gone, which the metadata server does not know yet. */
  readonly #dropped = new Set<number>();
  #beating: Promise<void> | undefined;
  #inventory: Promise<void> = Promise.resolve();
  /** Monotonic ms at which the next inventory is due. */
  #nextInventoryMs = 0;
  #pause: { readonly timer: Timer; readonly end: () => void } | undefined;
  #isClosed = false;
  #isSkewed = false;
  #unreachable = '';
  /** The last trouble that was logged, so that an hour without the server is not 3600 lines. */
  #trouble = '';

  constructor(options: MetadataLinkOptions) {
    this.#options = options;
    this.#rpc = new RpcClient({ ...options, role: 'node', server: 'metadata', endpoint: options.metadata });
  }

  /** Connects; returns the address by which this machine reaches the metadata server. */
  async connect(): Promise<string> {
    const { clock, metadata, startTimeoutMs = START_TIMEOUT_MS } = this.#options;
    try {
      const connection = await this.#rpc.connect(clock.monotonicMs() + startTimeoutMs);
      return connection.localHost;
    } catch (error) {
      const reason = toDfsError(error);
      if (!isConnectionError(reason)) throw reason;
      throw new DfsError(
        reason.code,
        `the metadata server ${metadata.host}:${metadata.port} did not answer within ${startTimeoutMs / 1000} s (${reason.message}); start it first, or check the address`,
      );
    }
  }

  /**
   * Registers for the first time and begins to beat. EACCES with the metadata server's reason when it refuses.
   * @param advertised where others reach this node
   */
  async start(advertised: Endpoint): Promise<void> {
    const { clock } = this.#options;
    this.#advertised = advertised;
    await this.#register(await this.#rpc.connect(clock.monotonicMs() + START_TIMEOUT_MS));
    this.#beating = this.#beatForEver();
  }

  /** Stops beating and closes the connection. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#rpc.close();
    this.#pause?.timer.cancel();
    this.#pause?.end();
    await this.#beating;
    await this.#inventory;
  }

  async #register(connection: RpcConnection): Promise<void> {
    const { id, domain, report, cluster, onRegistered, log } = this.#options;
    const advertised = this.#advertised;
    if (!advertised) throw new DfsError('EINVAL', 'the node does not listen yet');
    const sizes = await report();
    const sentMs = this.#options.clock.monotonicMs();
    const { reply } = await connection.call(
      reg,
      {
        id,
        cluster: cluster(),
        domain,
        ...advertised,
        ...(this.#proof ? { proof: this.#proof } : {}),
        ...sizes,
      },
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    this.#options.serverTime.learn(reply.serverMs, sentMs);
    if (reply.result === 'NAK') {
      throw new DfsError('EACCES', `the metadata server refuses this node: ${reply.reason}`);
    }
    const { node, grantKey } = reply;
    await onRegistered({ node, cluster: reply.cluster, grantKey });
    this.#node = node;
    this.#proof = Buffer.from(reply.proof);
    this.#registeredOn = connection;
    log.info({ node, result: reply.result, cluster: reply.cluster }, 'registered');
    this.#noteReach(reply.unreachable ?? '');
    this.#takeInventory(connection);
  }

  /** Tells what is here, now. Resolves when the metadata server knows, or cannot be told. */
  async reportInventory(): Promise<void> {
    if (this.#registeredOn) this.#takeInventory(this.#registeredOn);
    await this.#inventory;
  }

  /** At registration, soon after, and once a day; never two at once. */
  #takeInventory(connection: RpcConnection): void {
    this.#nextInventoryMs = this.#options.clock.monotonicMs() + SECOND_INVENTORY_MS;
    this.#inventory = this.#runInventory(this.#inventory, connection);
  }

  /** Never rejects. */
  async #runInventory(earlier: Promise<void>, connection: RpcConnection): Promise<void> {
    const { id, chunkIds, has, log } = this.#options;
    await earlier;
    if (this.#isClosed || connection !== this.#registeredOn) return;
    try {
      const chunks = chunkIds();
      await reportInventory({ connection, node: this.#node, id, chunks, has });
      log.info({ chunks: chunks.length }, 'the metadata server knows what is here');
    } catch (error) {
      // The next registration, at the latest, brings the next one.
      if (!this.#isClosed) log.warn({ reason: toDfsError(error).message }, 'the inventory was not reported');
    }
  }

  /** Never rejects. */
  async #beatForEver(): Promise<void> {
    for (;;) {
      await this.#wait(HEARTBEAT_MS);
      if (this.#isClosed) return;
      try {
        await this.#beat();
        if (this.#trouble !== '') this.#options.log.info('heartbeats are sent again');
        this.#trouble = '';
      } catch (error) {
        const { message } = toDfsError(error);
        if (!this.#isClosed && message !== this.#trouble) {
          this.#options.log.warn({ reason: message }, 'no heartbeat could be sent; trying on');
          this.#trouble = message;
        }
      }
    }
  }

  async #beat(): Promise<void> {
    const { id, report, troubles, has, clock, serverTime, logs, isNeeded } = this.#options;
    const connection = await this.#rpc.connect(0);
    if (connection !== this.#registeredOn) await this.#register(connection);
    const dropped = [...this.#dropped].slice(0, MAX_DROPS);
    const sizes = await report();
    const sentMs = clock.monotonicMs();
    const { sec, nsec } = clock.now();
    const wallMs = sec * 1000 + Math.floor(nsec / 1e6);
    const { reply } = await connection.call(
      heartbeat,
      { node: this.#node, id, ...sizes, dropped, ...troubles.take(has), wallMs, logs: logs.takeIdleLogs() },
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    serverTime.learn(reply.serverMs, sentMs);
    this.#noteSkew(reply.skewMs ?? 0);
    this.#noteReach(reply.unreachable ?? '');
    if (!reply.known) {
      this.#registeredOn = undefined;
      await this.#register(connection);
      return;
    }
    for (const chunk of dropped) this.#dropped.delete(chunk);
    if (clock.monotonicMs() >= this.#nextInventoryMs) {
      this.#takeInventory(connection);
      this.#nextInventoryMs += INVENTORY_MS - SECOND_INVENTORY_MS;
    }
    for (const chunk of reply.quarantine ?? []) void this.#quarantine(chunk);
    logs.end(reply.endedLogs ?? []);
    // The order may have been given again before the server knew that it was carried out.
    const drop = reply.drop.filter(
      chunk => !this.#dropping.has(chunk) && !this.#dropped.has(chunk) && !isNeeded(chunk),
    );
    if (drop.length > 0) void this.#drop(drop);
  }

  /** Says when others cannot reach this node, and when they can again. */
  #noteReach(unreachable: string): void {
    if (unreachable === this.#unreachable) return;
    this.#unreachable = unreachable;
    const { log } = this.#options;
    if (unreachable === '') {
      log.info('the metadata server reaches this node where it says that it is');
      return;
    }
    log.warn(
      `this node gets no chunks, since the metadata server does not reach it where it says that it is: ${unreachable}; ` +
        'check --host and --advertise, and what lies between the two',
    );
  }

  /** Says once that the clock is off, and once that it is right again. */
  #noteSkew(skewMs: number): void {
    const isSkewed = skewMs !== 0;
    if (isSkewed === this.#isSkewed) return;
    this.#isSkewed = isSkewed;
    const { log } = this.#options;
    if (isSkewed) {
      const ahead = `${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead of' : 'behind'}`;
      log.warn(
        `this machine's clock is ${ahead} the metadata server's; DFS does not depend on it, but set it right`,
      );
    } else log.info("this machine's clock agrees with the metadata server's again");
  }

  /** Never rejects; what could not be put aside is told of again. */
  async #quarantine(chunk: number): Promise<void> {
    const { quarantine, log } = this.#options;
    try {
      await quarantine(chunk);
      log.error({ chunk }, 'a damaged chunk was put aside; there are other replicas');
    } catch (error) {
      log.warn({ chunk, reason: toDfsError(error).message }, 'a damaged chunk could not be put aside');
    }
  }

  /** Never rejects; what could not be dropped will be ordered again. */
  async #drop(chunks: readonly number[]): Promise<void> {
    for (const chunk of chunks) this.#dropping.add(chunk);
    try {
      await this.#options.drop(chunks);
      for (const chunk of chunks) this.#dropped.add(chunk);
    } catch (error) {
      this.#options.log.warn({ reason: toDfsError(error).message }, 'chunks could not be dropped');
    } finally {
      for (const chunk of chunks) this.#dropping.delete(chunk);
    }
  }

  async #wait(delayMs: number): Promise<void> {
    await new Promise<void>(resolve => {
      if (this.#isClosed) {
        resolve();
        return;
      }
      this.#pause = { timer: this.#options.clock.setTimer(delayMs, resolve), end: resolve };
    });
    this.#pause = undefined;
  }
}
