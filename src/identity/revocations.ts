/** Certificates that do not count any more, and what depends on each. */
export class Revocations {
  #serials = new Set<string>();
  /** serial → told when it is revoked */
  readonly #watchers = new Map<string, Set<() => void>>();

  has(serial: string): boolean {
    return this.#serials.has(serial);
  }

  /** In no order. */
  get serials(): readonly string[] {
    return [...this.#serials];
  }

  /** These are revoked, and no others. Who watches one that was not before is told. */
  set(serials: readonly string[]): void {
    const before = this.#serials;
    this.#serials = new Set(serials);
    for (const serial of this.#serials) if (!before.has(serial)) this.#tell(serial);
  }

  /** Calls `revoked` when that happens to `serial`. Returns what ends it. */
  onRevoked(serial: string, revoked: () => void): () => void {
    const watchers = this.#watchers.get(serial) ?? new Set();
    this.#watchers.set(serial, watchers.add(revoked));
    return () => {
      watchers.delete(revoked);
      if (watchers.size === 0) this.#watchers.delete(serial);
    };
  }

  #tell(serial: string): void {
    const watchers = this.#watchers.get(serial);
    this.#watchers.delete(serial);
    for (const revoked of watchers ?? []) revoked();
  }
}
