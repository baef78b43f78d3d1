/**
 * What READDIR and READDIRPLUS answer: entries one behind the other. `find` over a large tree is mostly this, so an entry is written
 * as whole words into the answer, and costs no object. The layout is fuse_dirent's (structs.ts); a test compares the two.
 */
import type { PackedNames } from '../../protocol/packed-names.js';
import { fuseDirent, fuseEntryOut } from './structs.js';

const WORD_BYTES = 4;
const ALIGNMENT = 8;
const TWO_32 = 0x1_0000_0000;

export class ListingReply {
  readonly #bytes: Buffer;
  readonly #words: Uint32Array;
  /** Of fuse_entry_out before each entry. */
  readonly #before: number;
  #used = 0;

  /** @param isPlus each entry begins with attributes, which are zeros unless somebody fills them in */
  constructor(room: number, isPlus: boolean) {
    this.#before = isPlus ? fuseEntryOut.bytes : 0;
    const whole = Math.floor(room / ALIGNMENT) * ALIGNMENT;
    this.#bytes = Buffer.alloc(whole);
    this.#words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, whole / WORD_BYTES);
  }

  /** The most bytes that entries with these names take. */
  static bytesFor(names: PackedNames, first: number, isPlus: boolean): number {
    const { count, bytes, starts } = names;
    if (first >= count) return 0;
    const each = (isPlus ? fuseEntryOut.bytes : 0) + fuseDirent.bytes + ALIGNMENT;
    return (count - first) * each + bytes.length - (starts[first] ?? 0);
  }

  /**
   * Adds an entry, whose name is `length` bytes of `bytes` from `start` on. Returns where its fuse_entry_out would be, or -1 when there is no
   * room for it.
   * @param next the position behind it
   */
  add(bytes: Buffer, start: number, length: number, inode: number, type: number, next: number): number {
    const place = this.#used;
    const at = place + this.#before;
    const name = at + fuseDirent.bytes;
    const end = (name + length + ALIGNMENT - 1) & -ALIGNMENT;
    if (end > this.#bytes.length) return -1;
    const words = this.#words;
    const word = at / WORD_BYTES;
    words[word] = inode % TWO_32;
    words[word + 1] = Math.floor(inode / TWO_32);
    words[word + 2] = next % TWO_32;
    words[word + 3] = Math.floor(next / TWO_32);
    words[word + 4] = length;
    words[word + 5] = type;
    for (let index = 0; index < length; index += 1) this.#bytes[name + index] = bytes[start + index] ?? 0;
    this.#used = end;
    return place;
  }

  /** The answer. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  /** From the place of an entry on. */
  entryAt(place: number): Buffer {
    return this.#bytes.subarray(place, place + this.#before);
  }
}
