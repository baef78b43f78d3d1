/** Randomness that a seed repeats (sfc32, by Chris Doty-Humphrey; 2^32 seeds give streams that do not overlap). */
import type { Random } from '../../../src/platform/random.js';

export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, stream = 0) {
    this.#a = seed | 0;
    this.#b = stream | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let round = 0; round < 12; round += 1) this.u32();
  }

  /** A whole number in [0, 2^32). */
  u32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    this.#c |= 0;
    return result >>> 0;
  }

  fraction(): number {
    return this.u32() / 0x1_0000_0000;
  }

  bytes(count: number): Buffer {
    const result = Buffer.alloc(count);
    for (let at = 0; at < count; at += 1) result[at] = this.u32() & 0xff;
    return result;
  }

  /** A whole number in [from, below). */
  integer(from: number, below: number): number {
    return from + Math.floor(this.fraction() * (below - from));
  }

  /** A number in [from, to). */
  between(from: number, to: number): number {
    return from + this.fraction() * (to - from);
  }

  isChance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.integer(0, items.length)];
    if (item === undefined) throw new Error('there is nothing to pick from');
    return item;
  }

  /** Another stream that depends on this one's seed alone as far as it was used. */
  fork(): SeededRandom {
    return new SeededRandom(this.u32(), this.u32());
  }
}
