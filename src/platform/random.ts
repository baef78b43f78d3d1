import { randomBytes } from 'node:crypto';

/** Randomness comes in through this interface (docs/decisions/09), so that a simulation can be replayed from a seed. */
export interface Random {
  /** `count` random bytes, fit for secrets on the real platform. */
  bytes(count: number): Buffer;
  /** A number in [0, 1). */
  fraction(): number;
}

/** The operating system's randomness. */
export const systemRandom: Random = {
  bytes: count => randomBytes(count),
  fraction: () => Math.random(),
};
