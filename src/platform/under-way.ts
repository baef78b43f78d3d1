/** What is being done, so that others can wait until it is. */
export class UnderWay {
  readonly #works = new Set<Promise<unknown>>();

  get isEmpty(): boolean {
    return this.#works.size === 0;
  }

  /** One more, until it is done, well or ill; returns what comes of it. */
  async during<Result>(work: Promise<Result>): Promise<Result> {
    this.#works.add(work);
    try {
      return await work;
    } finally {
      this.#works.delete(work);
    }
  }

  /** Resolves when those that are under way now are done. Never rejects. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#works);
  }
}
