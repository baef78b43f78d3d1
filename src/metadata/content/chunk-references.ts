/** Adds up the changes of reference counts in one operation, and writes the sums. */
import { assert } from '../../protocol/errors.js';
import type { StoreTransaction } from '../store/store.js';

/** A chunk that nobody refers to is kept this long, for those who are just reading it, unless the operator says otherwise. */
export const DEFAULT_GRACE_MS = 60_000;

export class ChunkReferences {
  /** chunk → references added less references dropped */
  readonly #deltas = new Map<number, number>();

  add(chunk: number): void {
    this.#deltas.set(chunk, (this.#deltas.get(chunk) ?? 0) + 1);
  }

  drop(chunk: number): void {
    this.#deltas.set(chunk, (this.#deltas.get(chunk) ?? 0) - 1);
  }

  /**
   * Writes the new counts: a chunk that lost its last reference is doomed, one that got a first is not any more.
   * @param dueMs when doomed ones may be collected
   */
  async apply(tx: StoreTransaction, dueMs: number): Promise<void> {
    for (const [chunk, delta] of this.#deltas) {
      if (delta === 0) continue;
      const record = await tx.chunks.get(chunk);
      // An extent of a chunk that is not on record, which fsck tells, can be deleted.
      if (!record && delta < 0) continue;
      assert(record, `chunk ${chunk} has extents but no record`);
      const references = record.references + delta;
      assert(references >= 0, `chunk ${chunk} has ${references} references`);
      await tx.chunks.setReferences(chunk, references);
      if (references === 0) await tx.doomed.insert(chunk, dueMs);
      else if (record.references === 0) await tx.doomed.delete(chunk);
    }
    this.#deltas.clear();
  }
}
