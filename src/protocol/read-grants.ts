/**
 * Read grants are signed, so that a data node recognizes the metadata server's permission without asking it. There is
 * one for each chunk of each file that is looked at, by the thousand in one reply, so their construction is a cheap one:
 *
 *     key = HMAC-SHA-256(grant key, PURPOSE)          another key than that by which write grants are signed
 *     tag = AES-256(key, chunk ‖ expiresMs)           both 64-bit little-endian: exactly one block
 *     grant = expiresMs ‖ tag
 *
 * A block cipher with a secret key is a pseudorandom function of its one block, so a tag that was never given cannot be
 * guessed. All tags of a list take one call of the cipher: measured, 0.6 µs for one and 27 µs for 1024, where an HMAC
 * takes 7 µs each.
 */
import { createCipheriv, createHmac, timingSafeEqual, type Cipheriv } from 'node:crypto';
import { DfsError } from './errors.js';

const PURPOSE = 'dfs: permission to read a chunk';
const EXPIRY_BYTES = 8;
const TAG_BYTES = 16;
const U32_SPAN = 2 ** 32;

/** A grant for one chunk. */
export const READ_GRANT_BYTES = EXPIRY_BYTES + TAG_BYTES;

/** The most bytes of the grants for so many chunks, which share their expiry. */
export function readGrantsBytes(chunks: number): number {
  return EXPIRY_BYTES + TAG_BYTES * chunks;
}

/** Milliseconds since the epoch, by the metadata server's clock. */
export function expiryOf(grants: Uint8Array): number {
  const view = Buffer.from(grants.buffer, grants.byteOffset, grants.byteLength);
  return view.readUInt32LE(0) + view.readUInt32LE(4) * U32_SPAN;
}

/**
 * The grant of the chunk at `index` of a list. EPROTO when the list ends before.
 * @param grant where it is put
 */
export function readGrantAt(
  grants: Uint8Array,
  index: number,
  grant = Buffer.allocUnsafe(READ_GRANT_BYTES),
): Buffer {
  const start = readGrantsBytes(index);
  if (start + TAG_BYTES > grants.length)
    throw new DfsError('EPROTO', 'a list of chunks has fewer grants than chunks');
  grant.set(grants.subarray(0, EXPIRY_BYTES));
  grant.set(grants.subarray(start, start + TAG_BYTES), EXPIRY_BYTES);
  return grant;
}

/** What signs read grants and knows them again. */
export class ReadGrantKey {
  readonly #cipher: Cipheriv;

  /** @param grantKey the cluster's */
  constructor(grantKey: Uint8Array) {
    const key = createHmac('sha256', grantKey).update(PURPOSE).digest();
    // Used block by block for ever: no block depends on another.
    this.#cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  }

  /** Permission to read each of `chunks`, in their order; empty for none. */
  sign(chunks: readonly number[], expiresMs: number): Buffer {
    if (chunks.length === 0) return Buffer.alloc(0);
    const grants = Buffer.allocUnsafe(readGrantsBytes(chunks.length));
    writeU64(grants, expiresMs, 0);
    this.#tags(chunks, () => expiresMs).copy(grants, EXPIRY_BYTES);
    return grants;
  }

  /** Which of these grants the metadata server gave for their chunks; whether they have expired is not looked at. */
  areSigned(parts: readonly { readonly chunk: number; readonly grant: Uint8Array }[]): boolean[] {
    const expiries = parts.map(({ grant }) => expiryOf(grant));
    const tags = this.#tags(
      parts.map(({ chunk }) => chunk),
      index => expiries[index] ?? 0,
    );
    return parts.map(({ grant }, index) =>
      timingSafeEqual(
        tags.subarray(index * TAG_BYTES, (index + 1) * TAG_BYTES),
        grant.subarray(EXPIRY_BYTES),
      ),
    );
  }

  #tags(chunks: readonly number[], expiresMs: (index: number) => number): Buffer {
    const blocks = Buffer.allocUnsafe(chunks.length * TAG_BYTES);
    for (const [index, chunk] of chunks.entries()) {
      writeU64(blocks, chunk, index * TAG_BYTES);
      writeU64(blocks, expiresMs(index), index * TAG_BYTES + EXPIRY_BYTES);
    }
    return this.#cipher.update(blocks);
  }
}

function writeU64(target: Buffer, value: number, at: number): void {
  target.writeUInt32LE(value % U32_SPAN, at);
  target.writeUInt32LE(Math.floor(value / U32_SPAN), at + 4);
}
