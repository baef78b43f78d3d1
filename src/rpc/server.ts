/** Listens, and answers requests on every connection. */
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import type { ByteStream, Endpoint, Listener, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import type { Command } from '../protocol/command.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { isLoopback } from './authentication.js';
import { RpcConnection, Routes } from './connection.js';
import { Gate } from './gate.js';
import { PayloadMemory } from './payload-memory.js';
import { ping } from './watched-client.js';

export interface RpcServerOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly endpoint: Endpoint;
  readonly routes: Routes;
  /** The cluster's shared key; without one the server listens on loopback only. */
  readonly key?: Uint8Array | undefined;
}

/** Payloads of requests and replies that a server holds in memory, over all its connections. */
const MAX_PAYLOAD_MEMORY_BYTES = 96 << 20;

export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #connections = new Set<RpcConnection>();
  readonly #memory = new PayloadMemory(MAX_PAYLOAD_MEMORY_BYTES);
  #listener: Listener | undefined;

  constructor(options: RpcServerOptions) {
    this.#options = options;
  }

  /**
   * Listens. EACCES for an address that others can reach when there is no key (DESIGN decision 10); EADDRINUSE,
   * EADDRNOTAVAIL, … as the system answers.
   */
  async start(): Promise<void> {
    const { endpoint, key, network } = this.#options;
    if (!key && !isLoopback(endpoint.host)) {
      throw new DfsError(
        'EACCES',
        `will not listen on ${endpoint.host} without a key, since others could reach it; give --key-file FILE, or listen on 127.0.0.1`,
      );
    }
    try {
      this.#listener = await network.listen(endpoint, bytes => this.#accept(bytes));
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
    const listener = this.#listener;
    this.#listener = undefined;
    const closing = listener?.close();
    for (const connection of this.#connections) {
      connection.close(new DfsError('ECONNRESET', 'the server shuts down'));
    }
    await closing;
  }

  #accept(bytes: ByteStream): void {
    const { key, clock, log } = this.#options;
    const routes = new Routes(this.#options.routes).on(ping, async () => ({}));
    const gate = key ? new Gate(key, this.#options.random, routes) : undefined;
    const connection = new RpcConnection(bytes, {
      clock,
      log,
      routes: gate ? gate.routes : routes,
      memory: this.#memory,
      ...(gate ? { admit: (command: Command) => gate.admit(command) } : {}),
    });
    this.#connections.add(connection);
    connection.onClose(() => this.#connections.delete(connection));
    connection.start();
  }
}
