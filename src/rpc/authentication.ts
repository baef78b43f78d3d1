/**
 * The first request on a connection is `hello`: it names the role, and the version of DFS at each end.
 *
 * Where both ends have shown certificates (identity/tls-network.ts) nothing else is needed. Else both prove that they know a secret,
 * that of a role (keyring.ts) or of a token, without sending it: each answers the other's random challenge with an HMAC, the
 * client with `prove`. On a connection that is encrypted the HMACs cover what both ends of it know alone, so that
 * somebody in the middle cannot pass them on.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { Type } from '@sinclair/typebox';
import { command } from '../protocol/command.js';
import { ROLES, STRANGERS, type Role } from '../protocol/roles.js';

export const CHALLENGE_BYTES = 32;
const Challenge = Type.Uint8Array({ minByteLength: CHALLENGE_BYTES, maxByteLength: CHALLENGE_BYTES });
const Proof = Type.Uint8Array({ maxByteLength: 32 });
const MAX_HANDSHAKE_BYTES = 1024;
export const TOKEN_ID_BYTES = 8;
const Version = Type.String({ maxLength: 32 });
/** What an end can do that others of its version may not; unknown ones are ignored. */
const Capabilities = Type.Array(Type.String({ maxLength: 32 }), { maxItems: 16 });
const RoleName = Type.Union(ROLES.map(role => Type.Literal(role)));

/**
 * The client's role and challenge; the server answers with its proof and its own challenge. `token` names the one of which the client
 * knows the secret, rather than a role's. EACCES when the server cannot check that, EPROTO when the versions do not work together.
 */
export const hello = command('hello', 2001, {
  allow: STRANGERS,
  request: Type.Object({
    role: RoleName,
    challenge: Challenge,
    token: Type.Optional(Type.Uint8Array({ minByteLength: TOKEN_ID_BYTES, maxByteLength: TOKEN_ID_BYTES })),
    version: Type.Optional(Version),
    capabilities: Type.Optional(Capabilities),
  }),
  reply: Type.Object({
    challenge: Challenge,
    proof: Proof,
    version: Type.Optional(Version),
    capabilities: Type.Optional(Capabilities),
  }),
  maxRequestBytes: MAX_HANDSHAKE_BYTES,
});

/** The client's proof; EACCES if it is wrong. */
export const prove = command('prove', 2002, {
  allow: STRANGERS,
  request: Type.Object({ proof: Proof }),
  reply: Type.Object({}),
  maxRequestBytes: MAX_HANDSHAKE_BYTES,
});

/**
 * The answer to both challenges by the `side` that knows the secret.
 * @param binding what only the two ends of the connection know; empty where it is not encrypted
 */
export function proofOf(
  secret: Uint8Array,
  side: 'client' | 'server',
  role: Role,
  clientChallenge: Uint8Array,
  serverChallenge: Uint8Array,
  binding: Uint8Array,
): Buffer {
  // Fields of fixed length last, and a separator that no name contains: no two sets of fields give the same bytes.
  return createHmac('sha256', secret)
    .update(`${side}\0${role}\0`)
    .update(clientChallenge)
    .update(serverChallenge)
    .update(binding)
    .digest();
}

export function isSameProof(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
