/**
 * Names of a directory without their attributes, thousands at a time. On the wire each entry, in the order of the names' bytes, is
 * the name, a slash (which no name has), the type as one character, the inode's number in decimal digits, and a slash:
 *
 *     README/86042/src/46043/
 *
 * SQLite puts that together by itself, in a tenth of the time that rows take. Here it is a few arrays; an entry is an index.
 */
import { DfsError } from './errors.js';
import { TYPE_SHIFT } from './file-mode.js';
import { MAX_NAME_BYTES } from './limits.js';

const SLASH = 0x2f;
const DOT = 0x2e;
/** The character of type 0; also the digit 0. */
export const FIRST_TYPE = 0x30;
const MAX_TYPE = 15;
const NINE = 0x39;
const NOTHING = Buffer.alloc(0);

/** What an entry is made of where names do not come packed. */
export interface NamedInode {
  readonly name: Uint8Array;
  readonly inode: number;
  /** st_mode; of it the type counts. */
  readonly mode: number;
}

export class PackedNames {
  /** The names, each from `starts` on. */
  readonly bytes: Buffer;
  readonly starts: Uint32Array;
  readonly lengths: Uint8Array;
  readonly inodes: Float64Array;
  /** Types as a directory entry has them (DT_REG in <dirent.h>). */
  readonly types: Uint8Array;

  private constructor(
    bytes: Buffer,
    starts: Uint32Array,
    lengths: Uint8Array,
    inodes: Float64Array,
    types: Uint8Array,
  ) {
    this.bytes = bytes;
    this.starts = starts;
    this.lengths = lengths;
    this.inodes = inodes;
    this.types = types;
  }

  /**
   * Reads `count` entries. EPROTO unless their names are names, in their order and behind `after`, and nothing else is there: a
   * program that trusts them would leave the directory, or not come to an end.
   */
  static decode(packed: Uint8Array, count: number, after: Uint8Array): PackedNames {
    const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
    // An entry takes five bytes at least.
    if (count * 5 > bytes.length) throw refusal();
    const starts = new Uint32Array(count);
    const lengths = new Uint8Array(count);
    const inodes = new Float64Array(count);
    const types = new Uint8Array(count);
    let at = 0;
    let [last, lastStart, lastLength] = [after, 0, after.length];
    for (let index = 0; index < count; index += 1) {
      const start = at;
      let byte = bytes[at] ?? 0;
      while (byte !== SLASH && byte !== 0) byte = bytes[++at] ?? 0;
      const length = at - start;
      if (byte !== SLASH || length === 0 || length > MAX_NAME_BYTES) throw refusal();
      if (bytes[start] === DOT && isDots(bytes, start, length)) throw refusal();
      if (!isBehind(bytes, start, length, last, lastStart, lastLength)) throw refusal();
      const type = (bytes[at + 1] ?? 0) - FIRST_TYPE;
      at += 2;
      let inode = 0;
      let digit = bytes[at] ?? 0;
      while (digit >= FIRST_TYPE && digit <= NINE) {
        inode = inode * 10 + (digit - FIRST_TYPE);
        digit = bytes[++at] ?? 0;
      }
      if (digit !== SLASH || type < 0 || type > MAX_TYPE || inode === 0 || !Number.isSafeInteger(inode))
        throw refusal();
      at += 1;
      starts[index] = start;
      lengths[index] = length;
      inodes[index] = inode;
      types[index] = type;
      [last, lastStart, lastLength] = [bytes, start, length];
    }
    if (at !== bytes.length) throw refusal();
    return new PackedNames(bytes, starts, lengths, inodes, types);
  }

  /** The same of entries that are in the order of their names. */
  static of(entries: readonly NamedInode[]): PackedNames {
    const bytes = Buffer.concat(entries.map(({ name }) => name));
    const names = new PackedNames(
      bytes,
      new Uint32Array(entries.length),
      new Uint8Array(entries.length),
      new Float64Array(entries.length),
      new Uint8Array(entries.length),
    );
    let start = 0;
    for (const [index, { name, inode, mode }] of entries.entries()) {
      names.starts[index] = start;
      names.lengths[index] = name.length;
      names.inodes[index] = inode;
      names.types[index] = typeOf(mode);
      start += name.length;
    }
    return names;
  }

  get count(): number {
    return this.starts.length;
  }

  /** The memory that they take. */
  get usedBytes(): number {
    return this.bytes.length + this.count * 14;
  }

  /** Shares its bytes; empty for an index that is none. */
  nameAt(index: number): Buffer {
    const start = this.starts[index];
    return start === undefined ? NOTHING : this.bytes.subarray(start, start + (this.lengths[index] ?? 0));
  }

  /** The index of the first name behind `after`; `count` when there is none. */
  firstBehind(after: Uint8Array): number {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.nameAt(middle), after) > 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Those from an index on, which share the memory. */
  from(first: number): PackedNames {
    if (first === 0) return this;
    return new PackedNames(
      this.bytes,
      this.starts.subarray(first),
      this.lengths.subarray(first),
      this.inodes.subarray(first),
      this.types.subarray(first),
    );
  }
}

/** The type in st_mode as a directory entry has it (IFTODT in <dirent.h>). */
export function typeOf(mode: number): number {
  return (mode >>> TYPE_SHIFT) & MAX_TYPE;
}

/** `.` or `..` */
function isDots(bytes: Buffer, start: number, length: number): boolean {
  return length === 1 || (length === 2 && bytes[start + 1] === DOT);
}

/** Whether the name comes behind the other one. */
function isBehind(
  bytes: Buffer,
  start: number,
  length: number,
  other: Uint8Array,
  otherStart: number,
  otherLength: number,
): boolean {
  const shared = Math.min(length, otherLength);
  for (let index = 0; index < shared; index += 1) {
    const difference = (bytes[start + index] ?? 0) - (other[otherStart + index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return length > otherLength;
}

function refusal(): DfsError {
  return new DfsError('EPROTO', 'the metadata server lists a directory with names that cannot be in one');
}
