/**
 * A client's session at the metadata server: survives broken connections and server restarts.
 *
 *     connecting ──session──► ready ──connection lost──► connecting (same session resumed)
 *                               │                             │
 *                               └───────── close() ◄──────────┘     ended by the server: a new session begins, and
 *                                                                   what the old one had in flight fails with EIO
 */
import type { Clock, Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { Endpoint, Network } from '../../platform/network.js';
import type { Random } from '../../platform/random.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import type { Rights } from '../../protocol/export-commands.js';
import type { InodeRange } from '../../protocol/inode-ranges.js';
import { LEASE_RENEW_MS, SESSION_RENEW_MS, SESSION_TIMEOUT_MS } from '../../protocol/limits.js';
import type { Role } from '../../protocol/roles.js';
import { end, renew, session } from '../../protocol/session-commands.js';
import type { Capability } from '../../protocol/version.js';
import { isSilence, RpcClient } from '../../rpc/client.js';
import type { RpcConnection } from '../../rpc/connection.js';
import type { Keyring } from '../../rpc/keyring.js';
import type { Routes } from '../../rpc/routes.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { HeldLocks } from '../locks/held-locks.js';
import type { ServerClock } from './server-clock.js';

export interface ServerSessionOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metadata: Endpoint;
  readonly keys: Keyring;
  /** What it is to the servers: a client, or an administrator. */
  readonly role: Role;
  /** Who this is, for people. */
  readonly clientName: string;
  /** The directory that is to be the root; left out: whatever this machine may mount. */
  readonly path?: readonly Uint8Array[] | undefined;
  /** A session that an earlier process has begun; a new one begins when left out. */
  readonly begun?: BegunSession | undefined;
}

/** What proves to the server that the session is this client's. */
export interface BegunSession {
  readonly session: number;
  readonly secret: Uint8Array;
  readonly cluster: string;
  readonly run: string;
  /** As in ServerSessionOptions. */
  readonly path?: readonly Uint8Array[] | undefined;
}

/** The client's state that goes to the server when a session begins or is resumed, and the listeners for its answer. */
export interface SessionState {
  readonly lease: CacheLease;
  readonly serverClock: ServerClock;
  readonly heldLocks: HeldLocks;
  /** Inodes that are open; the server knows of all of them then. */
  readonly opens: () => number[];
  /** Sequences of changes that the server may have lost with its power. */
  readonly unsynced: () => number[];
  /** The inodes that this client has to itself. */
  readonly held: () => InodeRange[];
  /** What the server asks of this client. */
  readonly routes: Routes;
  /** The server let the locks on these inodes go, because the client was away for too long. */
  readonly locksLost: (inodes: readonly number[]) => void;
  /** The client was away for too long: others may have used what it had to itself. */
  readonly heldLost: () => void;
  /** The server has ended the session, because the client was away for too long. */
  readonly sessionLost: () => void;
  /**
   * The session began or was resumed.
   * @param isRestarted the server was started anew since the session was last resumed
   * @param lost those of `unsynced` that a power loss took
   */
  readonly resumed: (isRestarted: boolean, lost: readonly number[]) => void;
}

const NONE: BegunSession = { session: 0, secret: new Uint8Array(), cluster: '', run: '' };
const GREETING_TIMEOUT_MS = 5000;
/** How often a client that caches tries to come back: others may wait for it to drop what it has. */
const RETURN_MS = 250;

export class ServerSession {
  readonly #options: ServerSessionOptions;
  readonly #state: SessionState;
  readonly #rpc: RpcClient;
  #id: number;
  #secret: Uint8Array;
  #cluster: string;
  #run: string;
  #rights: Rights | undefined;
  #renewTimer: Timer | undefined;
  #connection: RpcConnection | undefined;
  /** While another process may use the session: calls that need a connection wait for its end. */
  #suspension: { readonly over: Promise<void>; readonly goOn: () => void } | undefined;
  #isClosed = false;
  #greetings = 0;

  constructor(options: ServerSessionOptions, state: SessionState) {
    const { begun = NONE } = options;
    this.#id = begun.session;
    this.#secret = begun.secret;
    this.#cluster = begun.cluster;
    this.#run = begun.run;
    this.#options = options;
    this.#state = state;
    const { network, clock, random, log, metadata, keys, role } = options;
    this.#rpc = new RpcClient({
      network,
      clock,
      random,
      log,
      endpoint: metadata,
      keys,
      role,
      server: 'metadata',
      greet: async connection => await this.#greet(connection),
      routes: state.routes,
    });
  }

  /** The session's number; another one after the server has ended it. */
  get id(): number {
    return this.#id;
  }

  /** How often a connection was begun: from then on the server may believe that what was before is over. */
  get greetings(): number {
    return this.#greetings;
  }

  get cluster(): string {
    return this.#cluster;
  }

  /** What this client may do; undefined: everything. Others may decide that while it runs. */
  get rights(): Rights | undefined {
    return this.#rights;
  }

  get #path(): readonly Uint8Array[] | undefined {
    return this.#options.path ?? this.#options.begun?.path;
  }

  /** Whether the server, as it was when it was last connected, can do what not every version can. */
  can(capability: Capability): boolean {
    return this.#connection?.capabilities.includes(capability) === true;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Connects and begins the session; one attempt, so that a wrong address is told at once. */
  async start(): Promise<void> {
    await this.connect(this.#options.clock.monotonicMs());
    this.scheduleRenewal();
  }

  /** A connection on which the session is resumed; tries until `deadlineMs`. Rejects with a connection's error. */
  connect(deadlineMs: number): Promise<RpcConnection> {
    if (this.#suspension) return this.#connectAfter(this.#suspension.over, deadlineMs);
    return this.#rpc.connect(deadlineMs);
  }

  /** What another process needs to take up the session. */
  get begun(): BegunSession {
    const path = this.#path;
    const begun = { session: this.#id, secret: this.#secret, cluster: this.#cluster, run: this.#run };
    return path ? { ...begun, path } : begun;
  }

  /** Closes the connection, and makes no other one until `goOn`, so that another process may take up the session. */
  suspend(): void {
    if (this.#suspension || this.#isClosed) return;
    let goOn = (): void => undefined;
    const over = new Promise<void>(resolve => (goOn = resolve));
    this.#suspension = { over, goOn };
    this.#renewTimer?.cancel();
    this.#connection?.close(new DfsError('ECONNRESET', 'the session is handed over'));
  }

  /** Takes up the session again after `suspend`. */
  goOn(): void {
    this.#suspension?.goOn();
    this.#suspension = undefined;
    this.scheduleRenewal(0);
  }

  /** Says that this client lives, and whether it caches. ESTALE when the session has ended. */
  async renewOn(connection: RpcConnection, timeoutMs: number): Promise<void> {
    const { lease, serverClock } = this.#state;
    const sentMs = this.#options.clock.monotonicMs();
    const request = { session: this.#id, caches: lease.isWanted };
    const { reply } = await connection.call(renew, request, { timeoutMs });
    serverClock.learn(sentMs, reply.now);
    lease.grant(sentMs, reply.leaseMs);
  }

  /** The next renewal is sent after so long; by default when it is due. */
  scheduleRenewal(delayMs = this.#renewalMs): void {
    if (this.#isClosed || this.#suspension) return;
    this.#renewTimer?.cancel();
    this.#renewTimer = this.#options.clock.setTimer(delayMs, () => void this.#renew(), true);
  }

  /** ESTALE may mean that the server ended our session; then the connection is made anew, with a new session. */
  async check(connection: RpcConnection | undefined): Promise<void> {
    if (!connection || connection.isClosed) return;
    try {
      await this.renewOn(connection, GREETING_TIMEOUT_MS);
    } catch (error) {
      if (hasCode(error, 'ESTALE')) connection.close(new DfsError('ECONNRESET', 'the session ended'));
    }
  }

  /** Ends the session if the server is there, and closes the connection. May be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#renewTimer?.cancel();
    const { clock, log } = this.#options;
    try {
      const connection = await this.#rpc.connect(clock.monotonicMs());
      await connection.call(end, { session: this.#id }, { timeoutMs: GREETING_TIMEOUT_MS });
    } catch (error) {
      // The server ends the session by itself when it hears no more of it.
      log.debug({ reason: toDfsError(error).message }, 'the session was not ended in order');
    }
    this.#rpc.close();
  }

  async #connectAfter(over: Promise<void>, deadlineMs: number): Promise<RpcConnection> {
    await over;
    return await this.connect(deadlineMs);
  }

  async #greet(connection: RpcConnection): Promise<void> {
    if (this.#suspension) throw new DfsError('ECONNRESET', 'the session is handed over');
    this.#greetings += 1;
    this.#requirePath(connection);
    this.#connection = connection;
    const { lease, serverClock, heldLocks } = this.#state;
    const sentMs = this.#options.clock.monotonicMs();
    const greeting = {
      secret: this.#secret,
      client: this.#options.clientName.slice(0, 255),
      opens: this.#state.opens(),
      caches: lease.isWanted,
      unsynced: this.#state.unsynced(),
      heedsRights: true,
      ...(this.#path ? { path: [...this.#path] } : {}),
    };
    const options = { timeoutMs: GREETING_TIMEOUT_MS };
    const locks = heldLocks.all();
    const held = this.#state.held();
    const { reply } = await connection.call(
      session,
      { ...greeting, session: this.#id, locks, held },
      options,
    );
    if (!reply.resumed || !reply.locksKept) this.#loseLocks();
    if (reply.resumed && !reply.heldKept) this.#loseHeld();
    if (reply.resumed && !(reply.locksKept && reply.heldKept)) {
      const kept = { locks: reply.locksKept ? locks : [], held: reply.heldKept ? held : [] };
      await connection.call(session, { ...greeting, session: this.#id, ...kept }, options);
    }
    if (this.#id !== 0 && !reply.resumed) {
      this.#options.log.warn(
        { old: this.#id, new: reply.session },
        'the metadata server began a new session',
      );
      // A session that is resumed is told by the server to drop everything.
      lease.lose();
      this.#state.sessionLost();
    }
    this.#learnRun(reply.run, reply.lost);
    serverClock.learn(sentMs, reply.now);
    this.#id = reply.session;
    this.#secret = Buffer.from(reply.secret);
    this.#cluster = reply.cluster;
    this.#rights = reply.rights;
    lease.grant(sentMs, reply.leaseMs);
    connection.onClose(() => void this.#comeBack());
  }

  /** EOPNOTSUPP when a directory is to be mounted and the server would not heed it: everything would be mounted in its place. */
  #requirePath({ capabilities }: RpcConnection): void {
    const { metadata: server } = this.#options;
    const needed: Capability = 'exports';
    if (!this.#path || capabilities.includes(needed)) return;
    throw new DfsError(
      'EOPNOTSUPP',
      `the metadata server ${server.host}:${server.port} is of a version that cannot mount a directory alone; bring it to a newer one, or mount all`,
    );
  }

  /** Takes notice of another start of the server, and of what it has lost. */
  #learnRun(run: string, lost: readonly number[]): void {
    const isRestarted = this.#run !== '' && run !== this.#run;
    this.#run = run;
    if (lost.length > 0) {
      this.#options.log.error(
        { changes: lost.length },
        'the metadata server lost changes that it had answered',
      );
    }
    this.#state.resumed(isRestarted, lost);
  }

  #loseHeld(): void {
    this.#options.log.warn(
      {},
      'the metadata server let others use what this client had to itself, and which was away for too long',
    );
    this.#state.heldLost();
  }

  #loseLocks(): void {
    const inodes = this.#state.heldLocks.clear();
    if (inodes.length === 0) return;
    this.#options.log.error(
      { inodes },
      'the metadata server let go the locks of this client, which was away',
    );
    this.#state.locksLost(inodes);
  }

  /**
   * A client that has nothing to ask comes back all the same: the server lets go the locks of one that does not, and
   * after a restart it waits for every client to say what it holds. Never rejects.
   */
  async #comeBack(): Promise<void> {
    if (this.#isClosed) return;
    const { clock, log } = this.#options;
    try {
      await this.connect(clock.monotonicMs() + SESSION_TIMEOUT_MS);
    } catch (error) {
      // The next renewal tries again.
      log.debug({ reason: toDfsError(error).message }, 'the metadata server stays away');
    }
  }

  get #renewalMs(): number {
    return this.#state.lease.isWanted ? LEASE_RENEW_MS : SESSION_RENEW_MS;
  }

  async #renew(): Promise<void> {
    const { clock, log } = this.#options;
    const sentMs = clock.monotonicMs();
    let delayMs = RETURN_MS;
    try {
      const connection = await this.connect(clock.monotonicMs());
      try {
        await this.renewOn(connection, GREETING_TIMEOUT_MS);
      } catch (error) {
        if (hasCode(error, 'ESTALE') || isSilence(error)) connection.close(toDfsError(error));
        throw error;
      }
      // The lease counts from when it was asked for.
      delayMs = Math.max(0, sentMs + this.#renewalMs - clock.monotonicMs());
    } catch (error) {
      // The next request, or the next renewal, makes a new connection; until then there is nothing to tell anybody.
      log.debug({ reason: toDfsError(error).message }, 'the session was not renewed');
      if (!this.#state.lease.isWanted) delayMs = SESSION_RENEW_MS;
    }
    this.scheduleRenewal(delayMs);
  }
}
