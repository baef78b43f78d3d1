/** How often each of several things is under way, wanted or used at the moment. One that is not takes no memory. */
export class Counts<Key> {
  readonly #counts = new Map<Key, number>();

  /** How many things are counted at least once. */
  get size(): number {
    return this.#counts.size;
  }

  /** 0 for one that is not counted. */
  get(key: Key): number {
    return this.#counts.get(key) ?? 0;
  }

  has(key: Key): boolean {
    return this.#counts.has(key);
  }

  keys(): IterableIterator<Key> {
    return this.#counts.keys();
  }

  /** Once more. */
  add(key: Key): void {
    this.#counts.set(key, this.get(key) + 1);
  }

  /** Once less; nothing happens to one that is not counted. */
  take(key: Key): void {
    const left = this.get(key) - 1;
    if (left > 0) this.#counts.set(key, left);
    else this.#counts.delete(key);
  }

  delete(key: Key): void {
    this.#counts.delete(key);
  }
}
