/**
 * The metadata server's time, as a data node knows it. Grants expire by that clock. A node whose own wall
 * clock is hours off must neither refuse a new grant nor accept one that expired long ago.
 *
 * Each reply to `reg` and `heartbeat` carries the server's time. It was read at some moment between the sending of the
 * request and the arrival of the reply, by this node's monotonic clock, which cannot be set: so each round trip bounds the
 * difference of the two clocks, and the narrowest bounds so far hold until a round trip contradicts them. Without
 * any reply there is no grant key either, so no grant is checked before.
 */
import type { Clock } from '../platform/clock.js';

export class ServerTime {
  readonly #clock: Clock;
  /** The server's ms since the epoch minus this node's monotonic ms. */
  #offsetMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes a reply into account.
   * @param serverMs what it says, in ms since the epoch
   * @param sentMs monotonic ms at which its request was sent
   */
  learn(serverMs: number, sentMs: number): void {
    const least = serverMs - this.#clock.monotonicMs();
    const most = serverMs - sentMs;
    const middle = (least + most) / 2;
    this.#offsetMs = Math.min(most, Math.max(least, this.#offsetMs ?? middle));
  }

  /** Whole ms since the epoch by the server's clock; undefined before the first reply. */
  get nowMs(): number | undefined {
    return this.#offsetMs === undefined ? undefined : Math.floor(this.#offsetMs + this.#clock.monotonicMs());
  }
}
