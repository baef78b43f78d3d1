/**
 * Checks once a second that the peer of a connection makes progress with the frame it is sending and with the bytes it is
 * receiving. A slow peer is given time as long as it makes progress; when memory is short it must be fast enough.
 */
import type { Clock, Timer } from '../platform/clock.js';
import type { Incoming } from './incoming.js';
import type { Outgoing } from './outgoing.js';

const LOOK_MS = 1000;

interface Patience {
  /** Without progress for so long, it counts as gone. */
  readonly forMs: number;
  /** Progress, in bytes since the last look. */
  readonly leastBytes: number;
}

const RECEIVING: Patience = { forMs: 30_000, leastBytes: 1 };
const SENDING: Patience = { forMs: 60_000, leastBytes: 1 };
/** While others wait for the memory that it holds. */
const RECEIVING_WHEN_SHORT: Patience = { forMs: 2500, leastBytes: 64 << 10 };
const SENDING_WHEN_SHORT: Patience = { forMs: 5000, leastBytes: 64 << 10 };

export interface StallWatchOptions {
  readonly clock: Clock;
  readonly incoming: Incoming;
  readonly outgoing: Outgoing;
  /** Whether the stream is read, so that it is the other end that must go on. */
  readonly isRead: () => boolean;
  readonly isMemoryShort: () => boolean;
  /** @param reason what the other end does not do */
  readonly onStalled: (reason: string) => void;
}

/** One direction. */
class Progress {
  #bytes = 0;
  #sinceMs = 0;

  /** Whether it has made no progress for too long. */
  isStalled(bytes: number, nowMs: number, isDue: boolean, patience: Patience): boolean {
    if (!isDue || Math.abs(bytes - this.#bytes) >= patience.leastBytes) this.#sinceMs = nowMs;
    this.#bytes = bytes;
    return nowMs - this.#sinceMs >= patience.forMs;
  }
}

export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #receiving = new Progress();
  readonly #sending = new Progress();
  #timer: Timer | undefined;

  constructor(options: StallWatchOptions) {
    this.#options = options;
  }

  /** Begins to look, until nothing is under way. */
  start(): void {
    if (this.#timer) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#look(nowMs, false);
    this.#lookLater();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #lookLater(): void {
    const { clock, incoming, outgoing } = this.#options;
    const look = (): void => {
      this.#timer = undefined;
      if (this.#look(clock.monotonicMs(), true)) return;
      if (incoming.isInside || outgoing.isUnsent) this.#lookLater();
    };
    this.#timer = clock.setTimer(LOOK_MS, look, true);
  }

  /** True when the other end has stalled. */
  #look(nowMs: number, hasBegun: boolean): boolean {
    const { incoming, outgoing, isRead, isMemoryShort, onStalled } = this.#options;
    const isShort = isMemoryShort();
    const isReceiving = hasBegun && incoming.isInside && isRead();
    const receiving = isShort ? RECEIVING_WHEN_SHORT : RECEIVING;
    if (this.#receiving.isStalled(incoming.receivedBytes, nowMs, isReceiving, receiving)) {
      onStalled('stopped in the middle of a request');
      return true;
    }
    const sending = isShort ? SENDING_WHEN_SHORT : SENDING;
    if (this.#sending.isStalled(outgoing.takenBytes, nowMs, hasBegun && outgoing.isUnsent, sending)) {
      onStalled('takes no data');
      return true;
    }
    return false;
  }
}
