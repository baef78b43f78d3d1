/** Runs tasks side by side, a few at a time; the first that fails ends the adding of more. */
export class TaskGroup {
  readonly #limit: number;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly reason: unknown } | undefined;

  /** @param limit tasks at a time */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Begins `task` when there is room. Rejects with the reason of an earlier task that failed. */
  async add(task: () => Promise<void>): Promise<void> {
    while (this.#running.size >= this.#limit) await Promise.race(this.#running);
    this.#throwFailure();
    const running = this.#run(task).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Waits for all; rejects with the reason of the first that failed. */
  async finish(): Promise<void> {
    await this.settle();
    this.#throwFailure();
  }

  /** Waits for all, whatever becomes of them. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Never rejects. */
  async #run(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (reason) {
      this.#failure ??= { reason };
    }
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.reason;
  }
}
