/**
 * Both sides of a connection prove that they know the cluster's key without sending it: each answers the other's
 * random challenge with an HMAC. The first request of a client that has a key is `hello`, the second `prove`; a server
 * that has a key answers nothing else before.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Type } from '@sinclair/typebox';
import { command } from '../protocol/command.js';

const CHALLENGE_BYTES = 32;
const Challenge = Type.Uint8Array({ minByteLength: CHALLENGE_BYTES, maxByteLength: CHALLENGE_BYTES });
const Proof = Type.Uint8Array({ maxByteLength: 32 });
const MAX_HANDSHAKE_BYTES = 512;

/** The client's challenge; the server answers with its proof (empty if it has no key) and its own challenge. */
export const hello = command('hello', 2001, {
  request: Type.Object({ challenge: Challenge }),
  reply: Type.Object({ challenge: Challenge, proof: Proof }),
  maxRequestBytes: MAX_HANDSHAKE_BYTES,
});

/** The client's proof; EACCES if it is wrong. */
export const prove = command('prove', 2002, {
  request: Type.Object({ proof: Proof }),
  reply: Type.Object({}),
  maxRequestBytes: MAX_HANDSHAKE_BYTES,
});

/** The answer to both challenges by one who knows the key. */
export function proofOf(
  key: Uint8Array,
  role: 'client' | 'server',
  clientChallenge: Uint8Array,
  serverChallenge: Uint8Array,
): Buffer {
  return createHmac('sha256', key).update(role).update(clientChallenge).update(serverChallenge).digest();
}

export function isSameProof(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Whether only this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.') || host.startsWith('::ffff:127.');
}

export { CHALLENGE_BYTES };
