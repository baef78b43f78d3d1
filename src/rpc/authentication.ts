/**
 * Both sides of a connection prove that they know a role's secret (keyring.ts) without sending it: each answers the
 * other's random challenge with an HMAC. The first request on a connection is `hello`, which names the role, the second
 * `prove`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Type } from '@sinclair/typebox';
import { command } from '../protocol/command.js';
import { ROLES, STRANGERS, type Role } from '../protocol/roles.js';

export const CHALLENGE_BYTES = 32;
const Challenge = Type.Uint8Array({ minByteLength: CHALLENGE_BYTES, maxByteLength: CHALLENGE_BYTES });
const Proof = Type.Uint8Array({ maxByteLength: 32 });
const MAX_HANDSHAKE_BYTES = 512;
const RoleName = Type.Union(ROLES.map(role => Type.Literal(role)));

/**
 * The client's role and challenge; the server answers with its proof and its own challenge. EACCES when the server
 * cannot check the role.
 */
export const hello = command('hello', 2001, {
  allow: STRANGERS,
  request: Type.Object({ role: RoleName, challenge: Challenge }),
  reply: Type.Object({ challenge: Challenge, proof: Proof }),
  maxRequestBytes: MAX_HANDSHAKE_BYTES,
});

/** The client's proof; EACCES if it is wrong. */
export const prove = command('prove', 2002, {
  allow: STRANGERS,
  request: Type.Object({ proof: Proof }),
  reply: Type.Object({}),
  maxRequestBytes: MAX_HANDSHAKE_BYTES,
});

/** The answer to both challenges by the `side` that knows the role's secret. */
export function proofOf(
  secret: Uint8Array,
  side: 'client' | 'server',
  role: Role,
  clientChallenge: Uint8Array,
  serverChallenge: Uint8Array,
): Buffer {
  // Fields of fixed length last, and a separator that no name contains: no two sets of fields give the same bytes.
  return createHmac('sha256', secret)
    .update(`${side}\0${role}\0`)
    .update(clientChallenge)
    .update(serverChallenge)
    .digest();
}

export function isSameProof(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
