/** Signs grants: a data node recognizes the metadata server's permission without asking. */
import { timingSafeEqual } from 'node:crypto';
import { KeyedHash } from './keyed-hash.js';
import type { Grant } from './types.js';

const SIGNATURE_BYTES = 16;
/** Of keys in use; each process has one, the simulation several. */
const hashes = new WeakMap<Uint8Array, KeyedHash>();

/** The signature of a grant under the cluster's grant key. */
export function signGrant(key: Uint8Array, grant: Omit<Grant, 'signature'>): Buffer {
  const text = `${grant.chunk} ${grant.maxBytes} ${grant.expiresMs} ${grant.nodes.join(',')}`;
  return hashFor(key).digest(text).subarray(0, SIGNATURE_BYTES);
}

function hashFor(key: Uint8Array): KeyedHash {
  const known = hashes.get(key);
  if (known) return known;
  const made = new KeyedHash(key);
  hashes.set(key, made);
  return made;
}

/** Whether the metadata server that has `key` gave this grant. */
export function isGrantSigned(key: Uint8Array, grant: Grant): boolean {
  const expected = signGrant(key, grant);
  return grant.signature.length === expected.length && timingSafeEqual(expected, grant.signature);
}
