/**
 * Memory for large payloads that is used again and again, and begins where a page does: the disk takes it as it is (O_DIRECT,
 * platform/direct-writes.ts), the garbage collector sees none of it come and go, and the first touch of its pages, which costs a
 * virtual machine more than the bytes that are put there, is paid once.
 *
 *     take ──► filled and used by one owner ──► give ──► the next take
 *         └── an owner that does not know who else may still look at it just drops it: then it is garbage
 */
import { loadKoffi } from './foreign-functions.js';

/** A multiple of every disk's and every file system's block that is in use. */
export const PAGE_BYTES = 4096;
/**
 * What the kernel gives as one page where it is asked to (docs/decisions/35): one fault instead of 512, and one page to look up and to
 * hold while the disk reads it.
 */
const LARGE_PAGE_BYTES = 2 << 20;
/** Buffers have a multiple of this; less is as quick without. */
const STEP_BYTES = 256 << 10;
/** Times as much is seldom, and would take the room of many. */
const MAX_STEPS = 16;

interface Block {
  /** Begins at a page, at a large one if it is as long. */
  readonly memory: Buffer;
  isLent: boolean;
}

export class AlignedBuffers {
  /** The memory of each block → the block; of those that are lent, too. */
  readonly #blocks = new WeakMap<ArrayBufferLike, Block>();
  /** Those that nobody uses; the one given back last stands last. */
  readonly #free: Block[] = [];
  readonly #maxFreeBytes: number;
  readonly #stepBytes: number;
  #freeBytes = 0;

  /**
   * @param maxFreeBytes kept for later
   * @param stepBytes what the smallest buffer has; the largest has MAX_STEPS times as much
   */
  constructor(maxFreeBytes: number, stepBytes = STEP_BYTES) {
    this.#maxFreeBytes = maxFreeBytes;
    this.#stepBytes = stepBytes;
  }

  /** Bytes that are kept for later. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** Memory of just so many bytes, whose content is of no meaning; undefined for sizes that it is not made for. */
  take(bytes: number): Buffer | undefined {
    const steps = Math.ceil(bytes / this.#stepBytes);
    if (bytes < this.#stepBytes || steps > MAX_STEPS) return undefined;
    const wanted = steps * this.#stepBytes;
    // The one used last, which the processor may still have at hand.
    const index = this.#free.findLastIndex(({ memory }) => memory.length === wanted);
    const [found] = index < 0 ? [] : this.#free.splice(index, 1);
    const block = found ?? this.#make(wanted);
    if (found) this.#freeBytes -= wanted;
    block.isLent = true;
    return block.memory.subarray(0, bytes);
  }

  /** Takes back what it lent and nobody looks at, or writes to, any more; other pieces are left alone. */
  give(pieces: readonly Buffer[]): void {
    for (const { buffer } of pieces) {
      const block = this.#blocks.get(buffer);
      if (!block?.isLent) continue;
      block.isLent = false;
      this.#free.push(block);
      this.#freeBytes += block.memory.length;
    }
    while (this.#freeBytes > this.#maxFreeBytes) this.#dropOldest();
  }

  #dropOldest(): void {
    const oldest = this.#free.shift();
    if (!oldest) return;
    this.#freeBytes -= oldest.memory.length;
    // At once: tens of MiB would gather before the collector looks.
    const { buffer } = oldest.memory;
    if (buffer instanceof ArrayBuffer) buffer.transfer(0);
  }

  #make(bytes: number): Block {
    const memory = alignedMemory(bytes, bytes < LARGE_PAGE_BYTES ? PAGE_BYTES : LARGE_PAGE_BYTES);
    const block = { memory, isLent: false };
    this.#blocks.set(memory.buffer, block);
    return block;
  }
}

/**
 * New memory, the only one in its ArrayBuffer, that begins at a multiple of `alignment` where addresses can be known. What lies beside it is
 * never touched, and takes no memory.
 */
export function alignedMemory(bytes: number, alignment: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(bytes + alignment);
  const start = bytesToNext(alignment, whole);
  return whole.subarray(start, start + bytes);
}

let addressOf: ((memory: Buffer) => bigint) | undefined;

/** From the beginning of `memory` to the first address in it that is a multiple of `alignment`; 0 where that cannot be known. */
function bytesToNext(alignment: number, memory: Buffer): number {
  try {
    addressOf ??= loadKoffi().address;
    return (alignment - Number(addressOf(memory) % BigInt(alignment))) % alignment;
  } catch {
    // A C library that koffi does not know: the disk's side finds out by itself what is aligned.
    addressOf = () => 0n;
    return 0;
  }
}
