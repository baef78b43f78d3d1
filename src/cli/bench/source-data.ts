/**
 * The bytes that are written: incompressible, no two pieces alike, and the same in every process, so that a reader
 * knows the expected bytes.
 */
import { createCipheriv } from 'node:crypto';

const POOL_BYTES = 16 << 20;
/** Prime, so that pieces with neighbouring numbers lie far from each other. */
const STRIDE = 1_299_709;

let pool: Buffer | undefined;

function made(): Buffer {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'dfs'), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(POOL_BYTES));
}

/** Piece `number` of the data. Not to be changed. */
export function dataOf(number: number, length: number): Buffer {
  pool ??= made();
  const at = (number * STRIDE) % (POOL_BYTES - length);
  return pool.subarray(at, at + length);
}

/** 0 to count - 1 in an order that the seed decides (mulberry32, Fisher-Yates). */
export function shuffled(count: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const fraction = randomFractions(seed);
  for (let index = count - 1; index > 0; index -= 1) {
    const other = Math.floor(fraction() * (index + 1));
    const moved = order[index] ?? 0;
    order[index] = order[other] ?? 0;
    order[other] = moved;
  }
  return order;
}

/** Numbers in [0, 1) that follow from the seed. */
export function randomFractions(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
