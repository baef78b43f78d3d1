/** What one file's writer stored on data nodes that have not yet been told to put it on stable storage. */
export class UnsyncedChunks {
  /** node → chunks that it took */
  readonly #chunks = new Map<number, Set<number>>();
  #from = Number.POSITIVE_INFINITY;
  #until = 0;
  #count = 0;

  /** How many replicas there are. */
  get count(): number {
    return this.#count;
  }

  /** Everything lies in [from, until) of the file. */
  get from(): number {
    return this.#from;
  }

  get until(): number {
    return this.#until;
  }

  /** Nodes, and what each of them took. */
  byNode(): IterableIterator<[number, ReadonlySet<number>]> {
    return this.#chunks.entries();
  }

  /** Bytes of [from, until) are in a chunk that these nodes took. */
  add(nodes: readonly number[], chunk: number, from: number, until: number): void {
    for (const node of nodes) this.#addTo(node, chunk);
    this.#extend(from, until);
  }

  addAll(other: UnsyncedChunks): void {
    for (const [node, chunks] of other.byNode()) for (const chunk of chunks) this.#addTo(node, chunk);
    this.#extend(other.from, other.until);
  }

  #addTo(node: number, chunk: number): void {
    let chunks = this.#chunks.get(node);
    if (!chunks) this.#chunks.set(node, (chunks = new Set()));
    if (chunks.has(chunk)) return;
    chunks.add(chunk);
    this.#count += 1;
  }

  #extend(from: number, until: number): void {
    this.#from = Math.min(this.#from, from);
    this.#until = Math.max(this.#until, until);
  }
}
