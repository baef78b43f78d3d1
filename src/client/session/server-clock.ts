/**
 * The metadata server's clock, as far as this client knows it: the times that this client shows for what it writes, and
 * for what it decides alone, are those that the server keeps.
 *
 * Each of some replies tells the server's time at a moment between the request and the reply. As long as that agrees with
 * what was known, nothing changes; so two processes on one machine have exactly one clock. A jump of this machine's own
 * clock is left out: the next reply tells whether the server's has jumped too.
 */
import type { Clock, Timespec } from '../../platform/clock.js';

/** The wall clock and the monotonic one drift apart by less than this between two looks; beyond it somebody has set the first. */
const JUMP_MS = 50;
/** A look at both clocks that took longer than this tells nothing of how they differ: this process was held up between the two. */
const LOOK_MS = 5;
const NS_PER_SEC = 1e9;

export class ServerClock {
  readonly #clock: Clock;
  /** What the server's clock is ahead of this machine's. */
  #offsetMs = 0;
  /** Wall clock minus monotonic clock, when last looked at in one go. */
  #differenceMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#look();
  }

  /** The time, by the server's clock. */
  now(): Timespec {
    const time = this.#look();
    return this.#offsetMs === 0 ? time : later(time, this.#offsetMs);
  }

  /**
   * The server's clock was at `told` some time between `sentMs` (monotonic) and now.
   * @param told undefined: the reply does not tell
   */
  learn(sentMs: number, told: Timespec | undefined): void {
    if (!told) return;
    const local = this.#look();
    const nowMs = this.#clock.monotonicMs();
    const offsetMs = toMs(told) - (toMs(local) - (nowMs - sentMs) / 2);
    const errorMs = (nowMs - sentMs) / 2;
    if (Math.abs(offsetMs - this.#offsetMs) <= errorMs) return;
    this.#offsetMs = Math.abs(offsetMs) <= errorMs ? 0 : offsetMs;
  }

  /** Reads the wall clock, and notes when it has been set. */
  #look(): Timespec {
    const beforeMs = this.#clock.monotonicMs();
    const time = this.#clock.now();
    const afterMs = this.#clock.monotonicMs();
    if (afterMs - beforeMs > LOOK_MS) return time;
    const differenceMs = toMs(time) - afterMs;
    const jumpMs = differenceMs - (this.#differenceMs ?? differenceMs);
    if (Math.abs(jumpMs) > JUMP_MS) this.#offsetMs -= jumpMs;
    this.#differenceMs = differenceMs;
    return time;
  }
}

function toMs({ sec, nsec }: Timespec): number {
  return sec * 1000 + nsec / 1e6;
}

function later({ sec, nsec }: Timespec, ms: number): Timespec {
  const wholeSec = Math.floor(ms / 1000);
  const restNs = nsec + Math.round((ms - wholeSec * 1000) * 1000) * 1000;
  return restNs < NS_PER_SEC
    ? { sec: sec + wholeSec, nsec: restNs }
    : { sec: sec + wholeSec + 1, nsec: restNs - NS_PER_SEC };
}
