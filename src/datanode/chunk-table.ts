/**
 * A hash table from chunk id to four 32-bit numbers, in typed arrays: 24 bytes a slot and no objects, so that a million
 * chunks take about 45 MB and no time of the garbage collector.
 *
 * Open addressing with linear probing; removal shifts the followers back instead of leaving marks. The table is split
 * into parts that grow on their own, so that growing never stops the event loop for long.
 */

/** What is known of one chunk id. */
export interface ChunkEntry {
  /** Where the chunk's record is; for a dropped chunk, where its tombstone is. */
  readonly segment: number;
  readonly offset: number;
  /** Payload bytes; 0 for a dropped chunk. */
  readonly length: number;
  /** Records of this chunk that are still in segments but count no more. */
  readonly deadCopies: number;
}

const PARTS = 64;
const FIRST_SLOTS = 64;
const MAX_LOAD = 0.7;
/** No chunk has this id. */
const EMPTY = 0;

function hash(chunk: number): number {
  let bits = Math.imul((chunk % 0x1_0000_0000) ^ Math.imul(chunk / 0x1_0000_0000, 0x9e37_79b1), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 15), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

class Part {
  keys = new Float64Array(FIRST_SLOTS);
  /** Four numbers a slot: segment, offset, length, dead copies. */
  values = new Uint32Array(FIRST_SLOTS * 4);
  count = 0;

  /** The slot that holds `chunk`, or the empty one where it would go. */
  slotOf(chunk: number, hashed: number): number {
    const mask = this.keys.length - 1;
    let slot = (hashed >>> 6) & mask;
    for (;;) {
      const key = this.keys[slot];
      if (key === chunk || key === EMPTY) return slot;
      slot = (slot + 1) & mask;
    }
  }

  entryAt(slot: number): ChunkEntry {
    const { values } = this;
    return {
      segment: values[slot * 4] ?? 0,
      offset: values[slot * 4 + 1] ?? 0,
      length: values[slot * 4 + 2] ?? 0,
      deadCopies: values[slot * 4 + 3] ?? 0,
    };
  }

  put(chunk: number, hashed: number, entry: ChunkEntry): void {
    let slot = this.slotOf(chunk, hashed);
    if (this.keys[slot] === EMPTY) {
      if (this.count + 1 > this.keys.length * MAX_LOAD) {
        this.#grow();
        slot = this.slotOf(chunk, hashed);
      }
      this.keys[slot] = chunk;
      this.count += 1;
    }
    this.values[slot * 4] = entry.segment;
    this.values[slot * 4 + 1] = entry.offset;
    this.values[slot * 4 + 2] = entry.length;
    this.values[slot * 4 + 3] = entry.deadCopies;
  }

  remove(slot: number): void {
    const mask = this.keys.length - 1;
    let hole = slot;
    let next = (hole + 1) & mask;
    for (;;) {
      const key = this.keys[next] ?? EMPTY;
      if (key === EMPTY) break;
      const home = (hash(key) >>> 6) & mask;
      // The follower may move back only if its home slot is not between the hole and itself.
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        this.keys[hole] = key;
        this.values.copyWithin(hole * 4, next * 4, next * 4 + 4);
        hole = next;
      }
      next = (next + 1) & mask;
    }
    this.keys[hole] = EMPTY;
    this.count -= 1;
  }

  #grow(): void {
    const { keys, values } = this;
    this.keys = new Float64Array(keys.length * 2);
    this.values = new Uint32Array(values.length * 2);
    keys.forEach((key, from) => {
      if (key === EMPTY) return;
      const to = this.slotOf(key, hash(key));
      this.keys[to] = key;
      this.values.set(values.subarray(from * 4, from * 4 + 4), to * 4);
    });
  }
}

export class ChunkTable {
  readonly #parts = Array.from({ length: PARTS }, () => new Part());

  get(chunk: number): ChunkEntry | undefined {
    const hashed = hash(chunk);
    const part = this.#partOf(hashed);
    const slot = part.slotOf(chunk, hashed);
    return part.keys[slot] === EMPTY ? undefined : part.entryAt(slot);
  }

  set(chunk: number, entry: ChunkEntry): void {
    const hashed = hash(chunk);
    this.#partOf(hashed).put(chunk, hashed, entry);
  }

  delete(chunk: number): void {
    const hashed = hash(chunk);
    const part = this.#partOf(hashed);
    const slot = part.slotOf(chunk, hashed);
    if (part.keys[slot] !== EMPTY) part.remove(slot);
  }

  /** Entries, dropped chunks included. */
  /** Every chunk for whose entry `isWanted` says yes, in no order. */
  ids(isWanted: (entry: ChunkEntry) => boolean): number[] {
    const ids: number[] = [];
    for (const part of this.#parts) {
      for (const [slot, chunk] of part.keys.entries()) {
        if (chunk !== EMPTY && isWanted(part.entryAt(slot))) ids.push(chunk);
      }
    }
    return ids;
  }

  get size(): number {
    return this.#parts.reduce((sum, part) => sum + part.count, 0);
  }

  #partOf(hashed: number): Part {
    const part = this.#parts[hashed % PARTS];
    if (!part) throw new RangeError('a hash selects one of the parts');
    return part;
  }
}
