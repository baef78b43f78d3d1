/**
 * Which clients must have let go of what they cached, because their connection has been closed for LOST_CONNECTION_MS and
 * they have made no other one.
 *
 * A process that dies leaves a closed connection behind at once; a machine that loses its power, or a cut network,
 * leaves an open one. But a closed connection proves no death: a firewall resets connections of clients that live, and
 * this server's own system gives up a connection whose client merely cannot be reached. Neither of the two need ever reach
 * the client. So nothing here asks how a connection came to be closed. The argument is about time alone:
 *
 * 1. A client answers from its caches only while its lease lasts, which is LEASE_MS by its own monotonic clock, counted
 *    from the moment at which it *sent* the request that this server answered with the lease (client/leases/cache-lease.ts). It
 *    renews the lease each LEASE_RENEW_MS, so a client that hears nothing stops by itself; it need not notice
 *    that its connection is closed.
 * 2. When this server closes its end of a connection, or finds it closed, it has sent the last lease of that connection
 *    before, and the client had asked for it earlier still. So that lease is over LEASE_MS later at the latest.
 * 3. LOST_CONNECTION_MS is longer than LEASE_MS: the rest is for clocks that run at different speeds, and for the time
 *    that the client takes to make its kernel drop what it keeps. The count begins when the closed connection
 *    is found, which is never before it was closed.
 * 4. A client that makes another connection drops everything before any change is acknowledged that it might not have
 *    heard of (lease-table.ts, 5). From then on its new connection counts.
 * 5. A session of an earlier process of this server has no connection here until its client is back. That process ended
 *    before this one began to count, so 2 holds for its leases as well.
 *
 * A client whose connection is open and that does not answer may still believe in its lease, or be stopped with pages
 * in its kernel: it is waited for much longer (SILENT_CLIENT_MS), and its session ends.
 */
import type { Clock } from '../../platform/clock.js';
import { LOST_CONNECTION_MS } from '../../protocol/limits.js';
import type { Peer } from '../peer.js';

interface Attendance {
  /** Its newest connection; undefined for a session of an earlier process. */
  readonly peer: Peer | undefined;
  /** Monotonic ms at which that was found closed. */
  closedMs: number | undefined;
}

export class Absence {
  readonly #clock: Clock;
  /** session → its newest connection */
  readonly #attendances = new Map<number, Attendance>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The session comes by this connection from now on; by none, if it is one of an earlier process. */
  attend(session: number, peer: Peer | undefined): void {
    this.#attendances.set(session, { peer, closedMs: undefined });
  }

  /** The session has ended. */
  end(session: number): void {
    this.#attendances.delete(session);
  }

  /** Whether the session's client has been without a connection for so long that nothing is left of its lease. */
  isGone(session: number): boolean {
    const attendance = this.#attendances.get(session);
    if (!attendance || attendance.peer?.isClosed === false) return false;
    attendance.closedMs ??= this.#clock.monotonicMs();
    return this.#clock.monotonicMs() - attendance.closedMs >= LOST_CONNECTION_MS;
  }
}
