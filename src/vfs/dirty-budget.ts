/** Bounds the written data of all files that no data node holds yet. */
export class DirtyBudget {
  readonly #limitBytes: number;
  /** Asked to store what is waiting, because somebody cannot go on. */
  readonly #onPressure: () => void;
  #usedBytes = 0;
  /** Who waits for room, in the order in which they came. */
  readonly #waiting: { readonly bytes: number; readonly resolve: () => void }[] = [];

  constructor(limitBytes: number, onPressure: () => void) {
    this.#limitBytes = limitBytes;
    this.#onPressure = onPressure;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Takes `bytes` if there is room for them now; a single piece larger than the limit fits an empty budget. */
  tryReserve(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Takes `bytes`, when there is room for them. */
  async reserve(bytes: number): Promise<void> {
    if (this.tryReserve(bytes)) return;
    const turn = new Promise<void>(resolve => {
      this.#waiting.push({ bytes, resolve });
    });
    this.#onPressure();
    await turn;
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes;
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#usedBytes += next.bytes;
      next.resolve();
    }
    // Whoever waits now came after the last call for room.
    if (this.#waiting.length > 0) this.#onPressure();
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#limitBytes;
  }
}
