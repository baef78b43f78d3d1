/** The newest damaged replicas that data nodes have reported, for `dfs fsck`. */

export interface DamagedReplica {
  readonly chunk: number;
  readonly node: number;
  /** It is the only one left, and stays where it is. */
  readonly isLast: boolean;
}

const MAX_KEPT = 10_000;

export class DamageLog {
  #kept: DamagedReplica[] = [];
  #count = 0;

  /** How many were noted, ever. */
  get count(): number {
    return this.#count;
  }

  note(replica: DamagedReplica): void {
    // Told of again and again as long as it is there.
    const isKnown = this.#kept.some(each => each.chunk === replica.chunk && each.node === replica.node);
    if (isKnown && replica.isLast) return;
    this.#kept.push(replica);
    this.#count += 1;
    if (this.#kept.length > 2 * MAX_KEPT) this.#kept = this.#kept.slice(MAX_KEPT);
  }

  /** Those noted after there were `count`, as far as they are kept; and all that cannot be put aside. */
  since(count: number): DamagedReplica[] {
    const fresh = Math.min(this.#kept.length, this.#count - count);
    const older = this.#kept.slice(0, this.#kept.length - fresh).filter(({ isLast }) => isLast);
    return [...older, ...this.#kept.slice(this.#kept.length - fresh)];
  }
}
