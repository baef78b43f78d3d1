/** Who waits for the log of changes (change-log.ts): until what was logged before is answered, or on its way to the server. */

export interface LogWait {
  /** The last that is waited for, by its order. */
  readonly order: number;
  /** A program waits: it is sent at once. */
  readonly isUrgent: boolean;
  /** What is waited for. */
  readonly until: 'sent' | 'answered';
}

/** How far the log has come: the order of the first that is not sent, and of the first that is not answered. */
export type LogProgress = Readonly<Record<LogWait['until'], number>>;

export class LogWaits {
  #waiting: (LogWait & { readonly resolve: () => void })[] = [];

  get isUrgent(): boolean {
    return this.#waiting.some(({ isUrgent }) => isUrgent);
  }

  /** Resolves when the log has come so far. */
  async for(wait: LogWait): Promise<void> {
    await new Promise<void>(resolve => this.#waiting.push({ ...wait, resolve }));
  }

  /** The log has come so far. */
  reached(progress: LogProgress): void {
    if (this.#waiting.length === 0) return;
    const left = [];
    for (const wait of this.#waiting) {
      if (wait.order < progress[wait.until]) wait.resolve();
      else left.push(wait);
    }
    this.#waiting = left;
  }
}
