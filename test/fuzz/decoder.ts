/** What the fuzzer feeds: something of DFS that reads bytes which somebody else may have made. */
import type { SeededRandom } from '../simulation/world/seeded-random.js';

export interface Decoder {
  readonly name: string;
  /** Words that stand in valid inputs, to be put elsewhere. */
  readonly words?: readonly string[];
  /** Bytes of the longest input worth trying. Default: MAX_INPUT_BYTES. */
  readonly maxInputBytes?: number;
  /** A valid input, or one that is almost valid. */
  make(random: SeededRandom): Buffer | Promise<Buffer>;
  /** The input with its checksums put right, so that what stands behind them is reached. */
  mend?(input: Buffer): Buffer;
  /**
   * Decodes the input, and checks what came of it. Throws as the decoder does, or Broken when what was decoded is not right.
   */
  decode(input: Buffer): void | Promise<void>;
  /** Whether the decoder may throw this. */
  mayThrow(error: unknown): boolean;
  close?(): Promise<void>;
}

export const MAX_INPUT_BYTES = 4096;

/** A promise of a decoder that does not hold. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** Throws Broken unless `condition` holds. */
export function promise(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Broken(what);
}

/** A value without the difference between 0 and -0, which msgpack's whole numbers do not have. */
export function withoutMinusZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(withoutMinusZero);
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutMinusZero(each)]));
  }
  return value;
}
