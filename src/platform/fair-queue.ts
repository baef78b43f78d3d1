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
  /** owner → its items, of which there is at least one */
  readonly #lines = new Map<object, Line<Item>>();
  /** owner without items → what it was charged */
  readonly #away = new WeakMap<object, number>();
  /** What the owner was charged whose turn was last. */
  #turn = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(owner: object, item: Item): void {
    this.#lineOf(owner).items.push(item);
    this.#size += 1;
  }

  /** Puts back what was taken, before the owner's other items. */
  putBack(owner: object, item: Item): void {
    this.#lineOf(owner).items.unshift(item);
    this.#size += 1;
  }

  /** Takes the next item; undefined when there is none that may be taken now. */
  take(mayBeTaken: (item: Item, owner: object) => boolean = () => true): Item | undefined {
    let best: Line<Item> | undefined;
    for (const line of this.#lines.values()) {
      const [first] = line.items;
      if (best && line.charged >= best.charged) continue;
      if (first !== undefined && mayBeTaken(first, line.owner)) best = line;
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
    const line = this.#lines.get(owner);
    if (line) line.charged += cost;
    else this.#away.set(owner, Math.max(this.#away.get(owner) ?? 0, this.#turn) + cost);
  }

  /** Takes out all items of an owner. */
  drop(owner: object): Item[] {
    const line = this.#lines.get(owner);
    if (!line) return [];
    this.#size -= line.items.length;
    this.#leave(line);
    return line.items;
  }

  #lineOf(owner: object): Line<Item> {
    const known = this.#lines.get(owner);
    if (known) return known;
    const line = { owner, items: [], charged: Math.max(this.#turn, this.#away.get(owner) ?? 0) };
    this.#lines.set(owner, line);
    return line;
  }

  #leave(line: Line<Item>): void {
    this.#lines.delete(line.owner);
    this.#away.set(line.owner, line.charged);
  }
}
