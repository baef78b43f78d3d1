/** Requests of this client that change something and are not answered: what they make of it is not known yet. */
export class ChangesUnderWay {
  readonly #requests = new Set<Promise<unknown>>();

  get isEmpty(): boolean {
    return this.#requests.size === 0;
  }

  /** One more, until it is answered; returns what it does. */
  async during<Reply>(request: Promise<Reply>): Promise<Reply> {
    this.#requests.add(request);
    try {
      return await request;
    } finally {
      this.#requests.delete(request);
    }
  }

  /** Resolves when those that are under way now are answered, well or ill. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#requests);
  }
}
