/**
 * What entries of caches really cost, and the one budget that holds the sum of all caches of a client.
 *
 * Each cache keeps to its own share (cache-sizes.ts). One of them cannot always: what a driver notes of the inodes that
 * the kernel knows stays until the kernel forgets them. The cache of data gives way then, so that the sum keeps its bound.
 *
 * The costs were measured with Node 20 by the growth of heap and external memory over 30,000 to 60,000 entries, after
 * collections (test/unit/client/caches/cache-costs.test.ts measures them again).
 */

/**
 * An entry of lru-cache with a number as its key: its slot of the Map (28 to 56 bytes, as it is full or was just doubled), and
 * one of each of five arrays.
 */
export const LRU_ENTRY_BYTES = 108;
/** A key that is no small integer (32 bits) is an object of its own, in the Map and beside it. */
export const LARGE_KEY_BYTES = 36;
/** Attributes as the wire's decoder makes them: 14 fields, and three times. */
export const ATTRIBUTES_BYTES = 380;
/** A known directory without names: the object, and its empty Map. */
export const DIRECTORY_BYTES = 290;
/** A name besides its string: its slot of the Map, and one in the sorted list. */
const NAME_BYTES = 46;
/** A string besides its characters. */
const STRING_BYTES = 16;
/** A Buffer that owns its memory, besides that: Buffer, ArrayBuffer, what stands behind it, and a list for it. */
export const BUFFER_BYTES = 250;

/** A string of as many bytes. */
export function stringCost(length: number): number {
  return STRING_BYTES + Math.ceil(length / 8) * 8;
}

/** A name of as many bytes in a directory that is known. */
export function nameCost(length: number): number {
  return NAME_BYTES + stringCost(length);
}

export class CacheBudget {
  readonly limitBytes: number;
  /** cache → what it holds now, in bytes */
  readonly #caches = new Map<string, () => number>();

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** From now on the cache counts; another one of the same name does not any more. */
  count(cache: string, usedBytes: () => number): void {
    this.#caches.set(cache, usedBytes);
  }

  get usedBytes(): number {
    let sum = 0;
    for (const used of this.#caches.values()) sum += used();
    return sum;
  }

  /** Whether the caches hold more than they may. */
  get isExceeded(): boolean {
    return this.usedBytes > this.limitBytes;
  }
}
