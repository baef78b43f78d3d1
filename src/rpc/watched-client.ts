/**
 * A connection to a server that is watched while answers are waited for. A process that is stopped, or a machine that
 * has vanished, keeps its connections: only its silence shows it. A large request on a slow disk takes long, though, so
 * silence is not measured by that request, but by a `ping` on a connection of its own, which needs no disk and queues
 * behind nothing.
 *
 *     idle ──call──► waiting ──QUIET_MS without an answer──► pinged ──answer──► waiting
 *                                                              └──none──► both connections are closed, calls fail
 */
import { Type, type Static, type TSchema } from '@sinclair/typebox';
import type { Timer } from '../platform/clock.js';
import { command, type Command } from '../protocol/command.js';
import { MEMBERS } from '../protocol/roles.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { isConnectionError, RpcClient, type RpcClientOptions } from './client.js';
import type { RpcConnection } from './connection.js';
import type { Answer, CallOptions } from './routes.js';

/** Answered by every server as soon as its event loop gets to it. */
export const ping = command('ping', 2003, {
  allow: MEMBERS,
  request: Type.Object({}),
  reply: Type.Object({}),
});

/** After so long without any answer the server is asked whether it lives. */
const QUIET_MS = 1000;
/** Then it has so long to say so. */
const PING_TIMEOUT_MS = 2000;
/** A timer that is so late tells that this process itself had stopped. */
const OWN_LAG_MS = 500;

export class WatchedClient {
  readonly #options: RpcClientOptions;
  readonly #calls: RpcClient;
  readonly #pings: RpcClient;
  /** The connection by which the last call went. */
  #connection: RpcConnection | undefined;
  #waiting = 0;
  /** Monotonic ms of the last sign of life, or of the first call since nobody waited. */
  #heardMs = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: RpcClientOptions) {
    this.#options = options;
    this.#calls = new RpcClient(options);
    this.#pings = new RpcClient(options);
  }

  /**
   * One request, one attempt. Rejects with what the server answered, or with a connection error: ETIMEDOUT when the
   * server does not answer in the call's time, or shows no sign of life for about three seconds.
   */
  async call<Request extends TSchema, Reply extends TSchema>(
    what: Command<Request, Reply>,
    request: Static<Request>,
    options: CallOptions,
  ): Promise<Answer<Static<Reply>>> {
    const connection = await this.#calls.connect(this.#options.clock.monotonicMs());
    this.#connection = connection;
    if (this.#waiting === 0) this.#heard();
    this.#waiting += 1;
    this.#watch();
    try {
      const answer = await connection.call(what, request, options);
      this.#heard();
      return answer;
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#stopWatching();
    }
  }

  /** The connection by which the last call went; undefined when it is closed by now. */
  get connection(): RpcConnection | undefined {
    return this.#connection?.isClosed === false ? this.#connection : undefined;
  }

  /** Whether the server shows a sign of life in about two seconds. */
  async answers(): Promise<boolean> {
    try {
      await this.#ping();
      return true;
    } catch {
      return false;
    }
  }

  /** Closes every connection and makes no new one. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#stopWatching();
    this.#calls.close();
    this.#pings.close();
  }

  #heard(): void {
    this.#heardMs = this.#options.clock.monotonicMs();
  }

  #watch(): void {
    if (this.#timer || this.#isClosed) return;
    const { clock } = this.#options;
    const delayMs = Math.max(0, this.#heardMs + QUIET_MS - clock.monotonicMs());
    const timer = clock.setTimer(
      delayMs,
      () => {
        void this.#look(timer);
      },
      true,
    );
    this.#timer = timer;
  }

  #stopWatching(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Never rejects. */
  async #look(timer: Timer): Promise<void> {
    const { clock, log, endpoint } = this.#options;
    const startedMs = clock.monotonicMs();
    if (startedMs - this.#heardMs >= QUIET_MS) {
      const connection = this.#connection;
      try {
        await this.#ping();
        this.#heard();
      } catch (error) {
        const wasStopped = clock.monotonicMs() - startedMs > PING_TIMEOUT_MS + OWN_LAG_MS;
        const hasAnswered = this.#heardMs > startedMs;
        if (!wasStopped && !hasAnswered && !this.#isClosed) {
          const where = `${endpoint.host}:${endpoint.port}`;
          log.warn({ server: where, reason: toDfsError(error).message }, 'a server shows no sign of life');
          connection?.close(new DfsError('ETIMEDOUT', `${where} shows no sign of life`));
        }
      }
    }
    // Somebody else watches by now, or nobody waits.
    if (this.#timer !== timer) return;
    this.#timer = undefined;
    if (this.#waiting > 0) this.#watch();
  }

  /** Rejects with a connection error. */
  async #ping(): Promise<void> {
    const { clock } = this.#options;
    let timer: Timer | undefined;
    let connection: RpcConnection | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = clock.setTimer(PING_TIMEOUT_MS, () => {
        // A new one next time: what lies in the way of this one may have forgotten it.
        connection?.close();
        reject(new DfsError('ETIMEDOUT', `no answer in ${PING_TIMEOUT_MS} ms`));
      });
    });
    const answer = async (): Promise<void> => {
      connection = await this.#pings.connect(0);
      await connection.call(ping, {}, { timeoutMs: 2 * PING_TIMEOUT_MS });
    };
    try {
      await Promise.race([answer(), silence]);
    } catch (error) {
      // Whatever it answered, it answered.
      if (isConnectionError(error)) throw error;
    } finally {
      timer?.cancel();
    }
  }
}
