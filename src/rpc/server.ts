/** Listens, and answers requests on every connection. */
import type { AlignedBuffers } from '../platform/aligned-buffers.js';
import type { Clock, Timer } from '../platform/clock.js';
import { descriptorLimit } from '../platform/descriptor-limit.js';
import type { Logger } from '../platform/log.js';
import type { ByteStream, Endpoint, Listener, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { DfsError, toDfsError, type ErrnoName } from '../protocol/errors.js';
import { HANDSHAKE_MS } from '../protocol/limits.js';
import { ClosingLog } from './closing-log.js';
import { ConnectionLimits, connectionNumbers } from './connection-limits.js';
import { RpcConnection } from './connection.js';
import { Routes, type PeerConnection } from './routes.js';
import { Gate, type FindToken } from './gate.js';
import type { Keyring, ServerKind } from './keyring.js';
import { WireMemory } from './wire-memory.js';
import { ping } from './watched-client.js';

export interface RpcServerOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly endpoint: Endpoint;
  readonly routes: Routes;
  /** How many files and connections this process may have open; default: what the system says. */
  readonly descriptors?: number;
  readonly keys: Keyring;
  /** Memory for large payloads of requests, whose handlers say when it is free (CallContext.freePayload). */
  readonly buffers?: AlignedBuffers;
  /** What this server proves to be to those who connect. */
  readonly kind: ServerKind;
  /** Default: there are no tokens. */
  readonly findToken?: FindToken;
  /** Told of each connection whose other end has proved to be a member. */
  readonly onMember?: (connection: PeerConnection) => void;
}

/** How often members are looked at that are idle; after IDLE_LOOKS of these they are closed. */
const IDLE_LOOK_MS = 60_000;

export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #connections = new Set<RpcConnection>();
  readonly #memory = new WireMemory();
  readonly #closings: ClosingLog;
  readonly #limits: ConnectionLimits<RpcConnection>;
  #idleTimer: Timer | undefined;
  #listener: Listener | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    this.#closings = new ClosingLog(options.clock, options.log);
    this.#limits = new ConnectionLimits<RpcConnection>({
      numbers: connectionNumbers(options.descriptors ?? descriptorLimit()),
      close: (connection, reason) => this.#closeFor(connection, 'ECONNRESET', reason),
    });
  }

  /** Listens. EADDRINUSE, EADDRNOTAVAIL, … as the system answers. */
  async start(): Promise<void> {
    const { endpoint, network } = this.#options;
    try {
      this.#listener = await network.listen(endpoint, bytes => this.#accept(bytes));
      this.#lookForIdle();
    } catch (error) {
      const reason = toDfsError(error);
      const where = `${endpoint.host}:${endpoint.port}`;
      if (reason.code === 'EADDRINUSE') {
        throw new DfsError('EADDRINUSE', `another program already listens on ${where}; choose another port`);
      }
      throw reason.within(`cannot listen on ${where}`);
    }
  }

  /** Where it listens; the port is the real one when any free port was asked for. */
  get endpoint(): Endpoint {
    if (!this.#listener) throw new DfsError('EINVAL', 'the server does not listen');
    return this.#listener.endpoint;
  }

  /** Stops listening and closes every connection. May be called twice. */
  async close(): Promise<void> {
    this.#idleTimer?.cancel();
    const listener = this.#listener;
    this.#listener = undefined;
    const closing = listener?.close();
    for (const connection of this.#connections) {
      connection.close(new DfsError('ECONNRESET', 'the server shuts down'));
    }
    await closing;
  }

  #accept(bytes: ByteStream): void {
    const { clock, log } = this.#options;
    const routes = new Routes(this.#options.routes).on(ping, async () => ({}));
    const gate = new Gate(this.#options, routes, bytes.security);
    const connection = new RpcConnection(bytes, {
      clock,
      log,
      routes: gate.routes,
      memory: this.#memory,
      buffers: this.#options.buffers,
      closings: this.#closings,
      admit: command => gate.admit(command),
      isProven: () => gate.isOpen,
      member: () => gate.member,
    });
    this.#connections.add(connection);
    this.#limits.accepted(connection);
    connection.onClose(() => {
      this.#connections.delete(connection);
      this.#limits.left(connection);
    });
    this.#watchHandshake(connection, gate);
    if (!connection.isClosed) connection.start();
  }

  #watchHandshake(connection: RpcConnection, gate: Gate): void {
    const timer = this.#options.clock.setTimer(
      HANDSHAKE_MS,
      () => {
        const reason = `it did not prove in ${HANDSHAKE_MS / 1000} s that it knows the key`;
        this.#closeFor(connection, 'ETIMEDOUT', reason);
      },
      true,
    );
    connection.onClose(() => timer.cancel());
    gate.onProved = () => {
      timer.cancel();
      this.#limits.proved(connection);
      this.#options.onMember?.(connection);
    };
  }

  #lookForIdle(): void {
    this.#idleTimer = this.#options.clock.setTimer(
      IDLE_LOOK_MS,
      () => {
        this.#limits.look();
        this.#lookForIdle();
      },
      true,
    );
  }

  #closeFor(connection: RpcConnection, code: ErrnoName, reason: string): void {
    if (connection.isClosed) return;
    this.#closings.note(connection.remote, reason);
    connection.close(new DfsError(code, reason));
  }
}
