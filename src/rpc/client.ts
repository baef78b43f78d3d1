/** A connection to one server that is made when needed and made again when lost. */
import type { Clock } from '../platform/clock.js';
import { sleep } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';
import type { Endpoint, Network, PeerCertificate, StreamSecurity } from '../platform/network.js';
import type { Random } from '../platform/random.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Role } from '../protocol/roles.js';
import { revoked } from '../protocol/member-commands.js';
import { CAPABILITIES, requireCompatible, VERSION } from '../protocol/version.js';
import { CHALLENGE_BYTES, hello, isSameProof, proofOf, prove } from './authentication.js';
import { RpcConnection } from './connection.js';
import { Routes } from './routes.js';
import { requireAllowed } from './gate.js';
import type { Member } from './member.js';
import type { Keyring, ServerKind } from './keyring.js';

const CONNECT_TIMEOUT_MS = 5000;
const FIRST_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 1000;
const NO_BINDING = Buffer.alloc(0);

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
  /** The name that its certificate must have, where it shows one; default: any. */
  readonly serverName?: string | undefined;
  /** A token, of which the secret is proved rather than that of the role. */
  readonly token?: { readonly id: Uint8Array; readonly secret: Uint8Array } | undefined;
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
    const { network, clock, log, endpoint, random } = this.#options;
    const where = `${endpoint.host}:${endpoint.port}`;
    if (this.#backoffMs > 0) await sleep(clock, this.#backoffMs * (0.5 + random.fraction() / 2));
    let connection: RpcConnection | undefined;
    let server: Member | undefined;
    try {
      const bytes = await network.connect(endpoint, CONNECT_TIMEOUT_MS);
      requireServer(this.#options, bytes.security?.peer(), where);
      connection = new RpcConnection(bytes, {
        clock,
        log,
        routes: this.#routes(),
        admit: command => requireAllowed(command, server),
      });
      connection.start();
      await this.#authenticate(connection, bytes.security);
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

  /** What the server may ask. */
  #routes(): Routes {
    const { network, server, routes } = this.#options;
    const { setRevoked } = network;
    const own = new Routes(routes);
    if (server !== 'metadata' || !setRevoked) return own;
    return own.on(revoked, async ({ serials }) => {
      setRevoked(serials);
      return {};
    });
  }

  async #authenticate(connection: RpcConnection, security: StreamSecurity | undefined): Promise<void> {
    const { role, random } = this.#options;
    const challenge = random.bytes(CHALLENGE_BYTES);
    const options = { timeoutMs: CONNECT_TIMEOUT_MS };
    const greeting = { role, challenge, version: VERSION, capabilities: [...CAPABILITIES] };
    if (security?.hasShown === true) {
      const { reply } = await connection.call(hello, greeting, options);
      requireCompatible(reply.version);
      connection.capabilities = reply.capabilities ?? [];
      return;
    }
    const { secret, token, origin } = this.#secret();
    const { reply } = await connection.call(hello, { ...greeting, ...(token ? { token } : {}) }, options);
    requireCompatible(reply.version);
    connection.capabilities = reply.capabilities ?? [];
    const binding = security?.binding() ?? NO_BINDING;
    if (!isSameProof(reply.proof, proofOf(secret, 'server', role, challenge, reply.challenge, binding))) {
      throw new DfsError(
        'EACCES',
        `${connection.remote} has another key than ${origin}; use the one of its cluster (--key-file)`,
      );
    }
    const proof = proofOf(secret, 'client', role, challenge, reply.challenge, binding);
    await connection.call(prove, { proof }, options);
  }

  #secret(): { readonly secret: Uint8Array; readonly token?: Uint8Array; readonly origin: string } {
    const { keys, role, server, token } = this.#options;
    if (token) return { secret: token.secret, token: token.id, origin: 'the token' };
    const secret = keys.secret(role, server);
    if (secret) return { secret, origin: keys.origin };
    throw new DfsError('EACCES', `${keys.origin} holds no ${role} key (dfs key ${role})`);
  }
}

/** EACCES unless the certificate at the other end, where there is one, is of the server that is meant. */
function requireServer(
  { server, serverName }: Pick<RpcClientOptions, 'server' | 'serverName'>,
  peer: PeerCertificate | undefined,
  where: string,
): void {
  const role = server === 'metadata' ? 'metadata' : 'node';
  if (peer?.role === role && serverName !== undefined && peer.name !== serverName)
    throw new DfsError('EACCES', `${where} is ${peer.name}, not ${serverName}, which was there`);
  if (!peer || peer.role === role) return;
  throw new DfsError(
    'EACCES',
    `${where} is ${peer.name}, which has a certificate for '${peer.role}', not '${role}'`,
  );
}
