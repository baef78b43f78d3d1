/** A set of page numbers, a bit each: 30 GB of database are 1 MB of bits. */

const FIRST_BYTES = 1024;

export class PageSet {
  #bits = new Uint8Array(FIRST_BYTES);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(page: number): void {
    const byte = page >>> 3;
    if (byte >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(byte + 1, this.#bits.length * 2));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    const bit = 1 << (page & 7);
    const before = this.#bits[byte] ?? 0;
    if ((before & bit) !== 0) return;
    this.#bits[byte] = before | bit;
    this.#count += 1;
  }

  clear(): void {
    this.#bits = new Uint8Array(FIRST_BYTES);
    this.#count = 0;
  }

  /** The members up to `last`, ascending. */
  upTo(last: number): number[] {
    const pages: number[] = [];
    for (const [byte, bits] of this.#bits.entries()) {
      if (bits === 0) continue;
      for (let bit = 0; bit < 8; bit += 1) {
        const page = byte * 8 + bit;
        if ((bits & (1 << bit)) !== 0 && page <= last) pages.push(page);
      }
    }
    return pages;
  }
}
