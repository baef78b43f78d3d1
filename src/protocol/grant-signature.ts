/** Signs grants: a data node recognizes the metadata server's permission without asking. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Grant } from './types.js';

const SIGNATURE_BYTES = 16;

/** The signature of a grant under the cluster's grant key. */
export function signGrant(key: Uint8Array, grant: Omit<Grant, 'signature'>): Buffer {
  return createHmac('sha256', key)
    .update(`${grant.chunk} ${grant.maxBytes} ${grant.expiresMs} ${grant.nodes.join(',')}`)
    .digest()
    .subarray(0, SIGNATURE_BYTES);
}

/** Whether the metadata server that has `key` gave this grant. */
export function isGrantSigned(key: Uint8Array, grant: Grant): boolean {
  const expected = signGrant(key, grant);
  return grant.signature.length === expected.length && timingSafeEqual(expected, grant.signature);
}
