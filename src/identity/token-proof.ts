/** What the holder of a token proves to know. */
import { createHash } from 'node:crypto';

/** By what a token's holder proves that it knows the secret: whoever reads it in the database does not learn the token. */
export function tokenProofKey(secret: Uint8Array): Buffer {
  return createHash('sha256').update('dfs token\0').update(secret).digest();
}
