/** Logs why connections of strangers are closed, a few lines at a time: thousands of them fill no disk. */
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/log.js';

const WINDOW_MS = 10_000;
const LINES_IN_WINDOW = 5;

export class ClosingLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  #windowEndsMs = -Infinity;
  #lines = 0;
  #unsaid = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  note(remote: string, reason: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#windowEndsMs) {
      if (this.#unsaid > 0)
        this.#log.warn({ connections: this.#unsaid }, 'more connections were closed, too');
      this.#windowEndsMs = nowMs + WINDOW_MS;
      this.#lines = 0;
      this.#unsaid = 0;
    }
    if (this.#lines >= LINES_IN_WINDOW) {
      this.#unsaid += 1;
      return;
    }
    this.#lines += 1;
    this.#log.warn({ remote, reason }, 'closing a connection');
  }
}
