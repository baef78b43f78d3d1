/**
 * Items of several owners, taken in turns: the next one is of the owner that was charged least so far, in the order in
 * which that owner put them in. An owner that was away begins where the others are, so that it saves nothing up.
 */
interface Line<Item> {
  readonly owner: object;
  readonly items: Item[];
  charged: number;
}

export class FairQueue<Item> {
  /** owner → its line, also while that is empty */
  readonly #lines = new WeakMap<object, Line<Item>>();
  /** Lines with items. */
  readonly #waiting: Line<Item>[] = [];
  /** What the owner was charged whose turn was last. */
  #turn = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(owner: object, item: Item): void {
    this.#waitingLineOf(owner).items.push(item);
    this.#size += 1;
  }

  /** Puts back what was taken, before the owner's other items. */
  putBack(owner: object, item: Item): void {
    this.#waitingLineOf(owner).items.unshift(item);
    this.#size += 1;
  }

  /** Takes the next item; undefined when there is none that may be taken now. */
  take(mayBeTaken?: (item: Item, owner: object) => boolean): Item | undefined {
    let best: Line<Item> | undefined;
    for (const line of this.#waiting) {
      const [first] = line.items;
      if (first === undefined || (best && line.charged >= best.charged)) continue;
      if (!mayBeTaken || mayBeTaken(first, line.owner)) best = line;
    }
    const item = best?.items.shift();
    if (!best || item === undefined) return undefined;
    this.#size -= 1;
    this.#turn = Math.max(this.#turn, best.charged);
    if (best.items.length === 0) this.#leave(best);
    return item;
  }

  /** What an owner's item has cost. */
  charge(owner: object, cost: number): void {
    const line = this.#lineOf(owner);
    line.charged = (line.items.length > 0 ? line.charged : Math.max(line.charged, this.#turn)) + cost;
  }

  /** Takes out all items of an owner. */
  drop(owner: object): Item[] {
    const line = this.#lineOf(owner);
    if (line.items.length === 0) return [];
    const dropped = line.items.splice(0);
    this.#size -= dropped.length;
    this.#leave(line);
    return dropped;
  }

  #lineOf(owner: object): Line<Item> {
    const known = this.#lines.get(owner);
    if (known) return known;
    const line = { owner, items: [], charged: 0 };
    this.#lines.set(owner, line);
    return line;
  }

  #waitingLineOf(owner: object): Line<Item> {
    const line = this.#lineOf(owner);
    if (line.items.length === 0) {
      line.charged = Math.max(line.charged, this.#turn);
      this.#waiting.push(line);
    }
    return line;
  }

  #leave(line: Line<Item>): void {
    this.#waiting.splice(this.#waiting.indexOf(line), 1);
  }
}
