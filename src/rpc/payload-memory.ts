/**
 * The payload bytes that all connections of a server hold in memory together. Requests are counted when they have
 * come; connections that have one being answered are then read no further until there is room. Large replies wait for
 * room before they are made. A connection with nothing being answered is always read, so that servers that pass
 * requests on to each other cannot wait for each other in a circle.
 */
export class PayloadMemory {
  readonly #limitBytes: number;
  #heldBytes = 0;
  /** Replies that wait for room, in the order in which they came. */
  readonly #waiting: { readonly bytes: number; readonly resolve: () => void }[] = [];
  /** Connections that look again whether they may be read on. */
  readonly #listeners = new Set<() => void>();

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get isFull(): boolean {
    return this.#heldBytes >= this.#limitBytes;
  }

  /** Counts bytes that are there already. */
  hold(bytes: number): void {
    this.#heldBytes += bytes;
  }

  /** Counts bytes that are about to be there, when there is room for them. */
  async reserve(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
      this.#heldBytes += bytes;
      return;
    }
    await new Promise<void>(resolve => this.#waiting.push({ bytes, resolve }));
  }

  release(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes -= bytes;
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#heldBytes += next.bytes;
      next.resolve();
    }
    if (!this.isFull) for (const listener of this.#listeners) listener();
  }

  /** Calls `listener` whenever there is room again. Returns how to stop that. */
  onRoom(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** What is larger than everything fits when nothing else is held. */
  #fits(bytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + bytes <= this.#limitBytes;
  }
}
