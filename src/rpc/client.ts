/** A connection to one server that is made when needed and made again when lost. */
import type { Clock } from '../platform/clock.js';
import { sleep } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Role } from '../protocol/roles.js';
import { CHALLENGE_BYTES, hello, isSameProof, proofOf, prove } from './authentication.js';
import { RpcConnection } from './connection.js';
import { Routes } from './routes.js';
import { requireAllowed, type Member } from './gate.js';
import type { Keyring, ServerKind } from './keyring.js';

const CONNECT_TIMEOUT_MS = 5000;
const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 1000;

export interface RpcClientOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly endpoint: Endpoint;
  readonly keys: Keyring;
  /** What this end is, of which `keys` must hold the secrets. */
  readonly role: Role;
  /** What the other end must prove to be. */
  readonly server: ServerKind;
  /** What this end answers, should the server ask. */
  readonly routes?: Routes;
  /** Done on each new connection before anybody else may use it; throwing makes the connection fail. */
  readonly greet?: (connection: RpcConnection) => Promise<void>;
}

const CONNECTION_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EADDRNOTAVAIL',
]);

/**
 * Errors after which another attempt may succeed: the server was not reached, our connection to it broke, or it answered
 * that it is being shut down. What the server answers of its own connections to others is none of them.
 */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof DfsError)) return false;
  return error.isAnswer ? error.code === 'ESHUTDOWN' : CONNECTION_CODES.has(error.code);
}

/** Whether the server, or the connection to it, was silent for longer than a call may take. */
export function isSilence(error: unknown): boolean {
  return error instanceof DfsError && !error.isAnswer && error.code === 'ETIMEDOUT';
}

export class RpcClient {
  readonly #options: RpcClientOptions;
  #connection: RpcConnection | undefined;
  /** The attempt under way, shared by all who wait for it. */
  #attempt: Promise<RpcConnection> | undefined;
  #backoffMs = 0;
  #isClosed = false;

  constructor(options: RpcClientOptions) {
    this.#options = options;
  }

  get endpoint(): Endpoint {
    return this.#options.endpoint;
  }

  /**
   * The connection, made if there is none, tried again with growing pauses until `deadlineMs` of the monotonic clock;
   * then the last attempt's error. A deadline that has passed still makes one attempt. Only connection errors are
   * tried again.
   */
  async connect(deadlineMs: number): Promise<RpcConnection> {
    const { clock } = this.#options;
    for (;;) {
      if (this.#isClosed) throw new DfsError('ECONNRESET', 'the client was closed');
      if (this.#connection && !this.#connection.isClosed) return this.#connection;
      try {
        this.#attempt ??= this.#open().finally(() => (this.#attempt = undefined));
        return await this.#attempt;
      } catch (error) {
        const leftMs = deadlineMs - clock.monotonicMs();
        if (!isConnectionError(error) || leftMs <= 0) throw error;
        await sleep(clock, Math.min(leftMs, FIRST_BACKOFF_MS));
      }
    }
  }

  /** Closes the connection and makes no new one. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
  }

  async #open(): Promise<RpcConnection> {
    const { network, clock, log, endpoint, random, routes = new Routes() } = this.#options;
    const where = `${endpoint.host}:${endpoint.port}`;
    if (this.#backoffMs > 0) await sleep(clock, this.#backoffMs * (0.5 + random.fraction() / 2));
    let connection: RpcConnection | undefined;
    let server: Member | undefined;
    try {
      const bytes = await network.connect(endpoint, CONNECT_TIMEOUT_MS);
      connection = new RpcConnection(bytes, {
        clock,
        log,
        routes,
        admit: command => requireAllowed(command, server),
      });
      connection.start();
      await this.#authenticate(connection);
      server = { role: this.#options.server === 'metadata' ? 'metadata' : 'node' };
      await this.#options.greet?.(connection);
      if (this.#isClosed) throw new DfsError('ECONNRESET', 'the client was closed');
    } catch (error) {
      connection?.close();
      this.#backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.#backoffMs * 2));
      const reason = toDfsError(error);
      throw isConnectionError(reason) ? reason.within(`cannot reach ${where}`) : reason;
    }
    this.#backoffMs = 0;
    this.#connection = connection;
    return connection;
  }

  async #authenticate(connection: RpcConnection): Promise<void> {
    const { keys, role, server, random } = this.#options;
    const secret = keys.secret(role, server);
    if (!secret) throw new DfsError('EACCES', `${keys.origin} holds no ${role} key (dfs key ${role})`);
    const own = random.bytes(CHALLENGE_BYTES);
    const options = { timeoutMs: CONNECT_TIMEOUT_MS };
    const { reply } = await connection.call(hello, { role, challenge: own }, options);
    if (!isSameProof(reply.proof, proofOf(secret, 'server', role, own, reply.challenge))) {
      throw new DfsError(
        'EACCES',
        `${connection.remote} has another key than ${keys.origin}; use the one of its cluster (--key-file)`,
      );
    }
    const proof = proofOf(secret, 'client', role, own, reply.challenge);
    await connection.call(prove, { proof }, options);
  }
}
