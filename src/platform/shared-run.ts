/**
 * Something that takes long, that many may ask for, and that runs once at a time, such as an fsync. A run that is under way may have
 * begun too early for a caller. So callers wait for the next one, which they share.
 *
 *     idle ──run()──► running ──run()──► running, and a next one waits ──► running ──► idle
 */
export class SharedRun {
  readonly #work: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Does the work once more, from after this call on. Rejects as the work does. */
  async run(): Promise<void> {
    this.#next ??= this.#runAfter(this.#running);
    await this.#next;
  }

  /** Resolves when what was asked for is over, well or ill. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#running, this.#next]);
  }

  async #runAfter(previous: Promise<void> | undefined): Promise<void> {
    await Promise.allSettled([previous]);
    this.#running = this.#next;
    this.#next = undefined;
    try {
      await this.#work();
    } finally {
      if (this.#next === undefined) this.#running = undefined;
    }
  }
}
