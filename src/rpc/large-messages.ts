/**
 * Large messages are read one in a turn of the event loop. Other messages are served between two of them, so that many
 * large ones delay the others no longer than one does.
 */
import type { Clock } from '../platform/clock.js';
import type { Frame } from '../protocol/frame.js';

/** Reading what is shorter takes a millisecond at most. */
const LARGE_BYTES = 64 << 10;

export function isLargeMessage({ header }: Frame): boolean {
  return header.length > LARGE_BYTES;
}

class LargeMessages {
  readonly #waiting: (() => void)[] = [];
  #isRunning = false;

  /** Calls `read` when it is its turn. */
  whenTurn(clock: Clock, read: () => void): void {
    this.#waiting.push(read);
    if (this.#isRunning) return;
    this.#isRunning = true;
    clock.atNextTurn(() => this.#run(clock));
  }

  #run(clock: Clock): void {
    this.#waiting.shift()?.();
    this.#isRunning = this.#waiting.length > 0;
    if (this.#isRunning) clock.atNextTurn(() => this.#run(clock));
  }
}

/** Those of all connections of this process, which share its event loop. */
export const largeMessages = new LargeMessages();
