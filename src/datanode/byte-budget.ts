/** Bounds the memory of concurrent work: a request for more bytes than are left waits in line. */
export class ByteBudget {
  #leftBytes: number;
  readonly #limitBytes: number;
  readonly #waiting: { readonly bytes: number; readonly resolve: () => void }[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
    this.#leftBytes = limitBytes;
  }

  /** Does `action` while `bytes` of the budget are taken; one that wants more than the limit gets all of it. */
  async spend<Result>(bytes: number, action: () => Promise<Result>): Promise<Result> {
    const taken = Math.min(bytes, this.#limitBytes);
    if (this.#waiting.length > 0 || taken > this.#leftBytes) {
      await new Promise<void>(resolve => this.#waiting.push({ bytes: taken, resolve }));
    } else {
      this.#leftBytes -= taken;
    }
    try {
      return await action();
    } finally {
      this.#giveBack(taken);
    }
  }

  #giveBack(bytes: number): void {
    this.#leftBytes += bytes;
    for (let next = this.#waiting[0]; next && next.bytes <= this.#leftBytes; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#leftBytes -= next.bytes;
      next.resolve();
    }
  }
}
