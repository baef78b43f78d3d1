/**
 * The bytes that each node should hold, by the records. A node's own figure follows late: replicas that were moved off are
 * dropped after a while, and their space comes back when segments are compacted.
 */
export class NodeLoads {
  /** node → bytes of the replicas on record for it; undefined until every chunk was looked at once */
  #bytes: Map<number, number> | undefined;

  get areKnown(): boolean {
    return this.#bytes !== undefined;
  }

  /** Undefined as long as nothing is known. */
  of(node: number): number | undefined {
    return this.#bytes && (this.#bytes.get(node) ?? 0);
  }

  /** @param bytes negative for what the node shall not have any more */
  add(node: number, bytes: number): void {
    this.#bytes?.set(node, Math.max(0, (this.#bytes.get(node) ?? 0) + bytes));
  }

  /** What is known is too old. */
  forget(): void {
    this.#bytes = undefined;
  }

  /** What a look at every chunk has added up. */
  replace(bytes: ReadonlyMap<number, number>): void {
    this.#bytes = new Map(bytes);
  }
}
