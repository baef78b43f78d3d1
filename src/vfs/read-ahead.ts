/**
 * Tells a sequential reader from one who jumps about, and how far ahead to read for the former. The window starts
 * small and doubles while the reader keeps going, as the kernel's does (Linux mm/readahead.c).
 */
const FIRST_WINDOW_BYTES = 1 << 20;
/** Requests of one reader may overtake each other on the way by this much. */
const DISORDER_BYTES = 512 << 10;

export interface ReadAdvice {
  readonly isSequential: boolean;
  /** What to fetch now besides what is read; length 0 for nothing. */
  readonly aheadOffset: number;
  readonly aheadLength: number;
}

export class ReadAhead {
  readonly #maxWindowBytes: number;
  /** Where the reader is expected next: a file is expected to be read from its start. */
  #expected = 0;
  #windowBytes = 0;
  /** Everything before this was read or is being fetched. */
  #fetchedUntil = 0;

  /** @param maxWindowBytes 0 turns read-ahead off */
  constructor(maxWindowBytes: number) {
    this.#maxWindowBytes = maxWindowBytes;
  }

  /** Notes a read and gives advice for it. */
  advise(offset: number, length: number, fileSize: number): ReadAdvice {
    const isSequential = Math.abs(offset - this.#expected) <= DISORDER_BYTES;
    const end = offset + length;
    if (!isSequential) {
      this.#expected = end;
      this.#windowBytes = 0;
      this.#fetchedUntil = end;
      return { isSequential, aheadOffset: end, aheadLength: 0 };
    }
    this.#expected = Math.max(this.#expected, end);
    this.#fetchedUntil = Math.max(this.#fetchedUntil, this.#expected);
    const leftBytes = this.#fetchedUntil - this.#expected;
    // The first read alone does not make a sequential reader; half a window left is the time to fetch the next.
    if (offset === 0 || leftBytes > this.#windowBytes / 2 || this.#maxWindowBytes === 0) {
      return { isSequential, aheadOffset: end, aheadLength: 0 };
    }
    const grown = this.#windowBytes === 0 ? FIRST_WINDOW_BYTES : this.#windowBytes * 2;
    this.#windowBytes = Math.min(this.#maxWindowBytes, grown);
    const until = Math.min(fileSize, this.#expected + this.#windowBytes);
    const aheadOffset = this.#fetchedUntil;
    const aheadLength = Math.max(0, until - aheadOffset);
    this.#fetchedUntil += aheadLength;
    return { isSequential, aheadOffset, aheadLength };
  }
}
