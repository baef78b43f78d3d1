/**
 * Requests to the metadata server: each is sent until it is answered, over as many connections as that takes, or until
 * the server has been away for the session's timeout.
 *
 * A request waits until the server has everything that this client acknowledged before (client/log/change-log.ts), so that
 * programs of one client see one order.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import { isDoneWithin, sleep, type Clock } from '../../platform/clock.js';
import { formatDuration } from '../../platform/duration.js';
import type { Command } from '../../protocol/command.js';
import { amend, grant, release } from '../../protocol/content-commands.js';
import { nodes } from '../../protocol/cluster-commands.js';
import { DfsError, hasCode, toDfsError } from '../../protocol/errors.js';
import { statfs } from '../../protocol/namespace-commands.js';
import { batch, hold, renew } from '../../protocol/session-commands.js';
import { isConnectionError, isSilence } from '../../rpc/client.js';
import type { RpcConnection } from '../../rpc/connection.js';
import type { BatchUnderWay } from '../log/change-log.js';
import type { LogPlace } from '../log/waiting-changes.js';
import type { Acquisition } from '../leases/acquisition.js';
import type { ServerSession } from '../session/server-session.js';

/** A server that took the connection but does not answer for this long is tried again on a new connection. */
const ATTEMPT_TIMEOUT_MS = 15_000;
const RETRY_PAUSE_MS = 20;

/** Requests that tell and change nothing that is in the log of changes: they do not wait until the server has it. */
const BESIDE_THE_LOG: ReadonlySet<string> = new Set(
  [batch, hold, renew, release, grant, amend, nodes, statfs].map(({ name }) => name),
);

/** What was acknowledged before the server has it. */
export interface AcknowledgedChanges {
  readonly hasChanges: boolean;
  /** See ChangeLog.drained. */
  drained(isUrgent?: boolean, place?: LogPlace): Promise<void>;
  /** See ChangeLog.sent. */
  sent(place?: LogPlace): Promise<BatchUnderWay | undefined>;
}

export interface RequestsOptions {
  readonly clock: Clock;
  /** How long a request waits for an absent metadata server before it fails with EIO. */
  readonly timeoutMs: number;
  readonly server: ServerSession;
  readonly acknowledged: AcknowledgedChanges;
  /** Told of each reply. */
  readonly acquisition: Acquisition;
}

/** How a request waits. */
export interface WaitingOptions {
  /** Asked when the server has stayed away for the session's timeout: whether to go on waiting. */
  readonly isPatient?: (() => boolean) | undefined;
  /** The caller has waited for the log of changes. */
  readonly hasWaited?: boolean;
}

export class Requests {
  readonly #options: RequestsOptions;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /**
   * Sends a request that changes nothing, or that may be repeated without harm. Waits for an absent server up to the
   * session's timeout, then fails with EIO.
   */
  async ask<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Static<Request>,
  ): Promise<Static<Reply>> {
    return await this.#untilTold(command.name, async (connection, timeoutMs) => {
      const { reply } = await connection.call(command, request, { timeoutMs });
      return reply;
    });
  }

  /** As `ask`, for a request that names the session; it is made anew for each connection by which it is sent. */
  async askInSession<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    requestOf: (session: number, connection: RpcConnection) => Static<Request>,
  ): Promise<Static<Reply>> {
    const { server } = this.#options;
    return await this.#untilTold(command.name, async (connection, timeoutMs) => {
      const { reply } = await connection.call(command, requestOf(server.id, connection), { timeoutMs });
      return reply;
    });
  }

  async #untilTold<Reply>(
    what: string,
    attempt: (connection: RpcConnection, timeoutMs: number) => Promise<Reply>,
  ): Promise<Reply> {
    const { acquisition } = this.#options;
    const ticket = acquisition.ticket();
    const reply = await this.untilAnswered(what, attempt);
    acquisition.learn(ticket, reply, false);
    return reply;
  }

  /**
   * Does `attempt` with a connection, again whenever that breaks or stays silent. EIO when the server stays away.
   */
  async untilAnswered<Reply>(
    what: string,
    attempt: (connection: RpcConnection, timeoutMs: number) => Promise<Reply>,
    { isPatient = () => false, hasWaited = false }: WaitingOptions = {},
  ): Promise<Reply> {
    const { clock, timeoutMs, server, acknowledged } = this.#options;
    let deadlineMs = clock.monotonicMs() + timeoutMs;
    const mustWait = !hasWaited && acknowledged.hasChanges && !BESIDE_THE_LOG.has(what);
    if (mustWait) await this.drainedFor(what);
    for (;;) {
      let connection: RpcConnection | undefined;
      try {
        connection = await server.connect(deadlineMs);
        const leftMs = Math.max(1, deadlineMs - clock.monotonicMs());
        return await attempt(connection, Math.min(leftMs, ATTEMPT_TIMEOUT_MS));
      } catch (error) {
        const reason = toDfsError(error);
        // Silence may mean a dead connection that nobody told us of; a new one finds out.
        if (isSilence(reason)) connection?.close(reason);
        if (reason.code === 'ESTALE') await server.check(connection);
        if (!isConnectionError(reason)) throw reason;
        const nowMs = clock.monotonicMs();
        // From now on: the last attempt may have ended long after the deadline, if this process was stopped.
        if (deadlineMs <= nowMs && isPatient()) deadlineMs = nowMs + timeoutMs;
        const leftMs = deadlineMs - nowMs;
        if (leftMs <= 0 || server.isClosed) throw this.#absent(what, reason.message);
        await sleep(clock, Math.min(leftMs, RETRY_PAUSE_MS));
      }
    }
  }

  /**
   * Everything that was acknowledged before is committed. EIO when the server stays away.
   * @param place waits for nothing behind this place of the log
   */
  async drainedFor(what: string, place?: LogPlace): Promise<void> {
    await this.#inTime(what, this.#options.acknowledged.drained(true, place));
  }

  /**
   * Does `attempt`, which sends a request right behind everything that was acknowledged before. What is under way of that need not be
   * answered before it is sent: `attempt` is told the batch, and is done again without one where the server says EAGAIN.
   * @param place as for `drainedFor`
   */
  async inOrder<Reply>(
    what: string,
    place: LogPlace | undefined,
    attempt: (afterBatch?: number) => Promise<Reply>,
  ): Promise<Reply> {
    const { clock, timeoutMs, acknowledged } = this.#options;
    const before = await this.#inTime(what, acknowledged.sent(place));
    if (!before) return await attempt();
    try {
      const reply = await attempt(before.sequence);
      // What it says of inodes comes after what the batch says.
      await isDoneWithin(clock, timeoutMs, before.answered());
      return reply;
    } catch (error) {
      if (!hasCode(error, 'EAGAIN')) throw error;
    }
    await this.#inTime(what, before.answered());
    return await attempt();
  }

  /** EIO when `told` takes longer than a server may be away. */
  async #inTime<Told>(what: string, told: Promise<Told>): Promise<Told> {
    const { clock, timeoutMs } = this.#options;
    if (await isDoneWithin(clock, timeoutMs, told)) return await told;
    throw this.#absent(what, 'it has not answered what was acknowledged before');
  }

  #absent(what: string, reason: string): DfsError {
    const duration = formatDuration(this.#options.timeoutMs);
    return new DfsError('EIO', `'${what}' failed, no metadata server for ${duration}: ${reason}`);
  }
}
