/** Notes of operations for the repair of replicas, which reads them in its own time. */

/** Single chunks that are remembered; beyond that everything is looked at. */
const MAX_NOTED = 16_384;

export class RepairNotes {
  /** Chunks whose replicas changed, or were too few from the start. */
  readonly #chunks = new Set<number>();
  #isEverything = true;
  /** Somebody asked for nodes to be made equally full. */
  isRebalancing = false;
  /** They are so unequally full that chunks move by themselves. */
  isUneven = false;

  /** The nodes are as equally full as they can be. */
  endBalancing(): void {
    this.isRebalancing = false;
    this.isUneven = false;
  }

  /** Every chunk is to be looked at: nodes or goals have changed. */
  look(): void {
    this.#isEverything = true;
  }

  /** This chunk is to be looked at. */
  note(chunk: number): void {
    if (this.#chunks.size < MAX_NOTED) this.#chunks.add(chunk);
    else this.#isEverything = true;
  }

  /** Whether there are chunks that were noted and not looked at. */
  get hasNoted(): boolean {
    return this.#chunks.size > 0;
  }

  /** Whether everything is to be looked at; asks once. */
  takeEverything(): boolean {
    const isEverything = this.#isEverything;
    this.#isEverything = false;
    return isEverything;
  }

  /** Some of the chunks that were noted; takes them off. */
  takeChunks(limit: number): number[] {
    const taken: number[] = [];
    for (const chunk of this.#chunks) {
      if (taken.length >= limit) break;
      taken.push(chunk);
      this.#chunks.delete(chunk);
    }
    return taken;
  }
}
