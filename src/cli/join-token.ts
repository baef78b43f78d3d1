/**
 * Tokens as people carry them from one machine to another: `dfs1-`, and as base64url the role, the id, the secret, the public key of the
 * cluster's authority, and a check of all that.
 */
import { createHash, type KeyObject } from 'node:crypto';
import { publicKeyOfSpki, SPKI_BYTES, spkiOf } from '../identity/ed25519.js';
import { DfsError } from '../protocol/errors.js';
import { ROLES, type Role } from '../protocol/roles.js';
import { UsageError } from './usage-error.js';

const HEAD = 'dfs1-';
const ROLE_BYTES = 1;
const SECRET_AT = ROLE_BYTES + 8;
const AUTHORITY_AT = SECRET_AT + 16;
const BODY_BYTES = AUTHORITY_AT + SPKI_BYTES;
/** So that one that was cut off, or mistyped, is told from one that is not known. */
const CHECK_BYTES = 4;

export interface JoinToken {
  /** What its holder may become. */
  readonly role: Role;
  readonly id: Uint8Array;
  readonly secret: Uint8Array;
  /** The public key of the cluster's authority, by which the metadata server is known. */
  readonly authority: KeyObject;
}

export function formatToken({ role, id, secret, authority }: JoinToken): string {
  const body = Buffer.concat([Buffer.of(ROLES.indexOf(role)), id, secret, spkiOf(authority)]);
  return HEAD + Buffer.concat([body, checkOf(body)]).toString('base64url');
}

/** UsageError unless the text is a token, and whole. */
export function parseToken(text: string): JoinToken {
  const bytes = Buffer.from(text.trim().slice(HEAD.length), 'base64url');
  const body = bytes.subarray(0, BODY_BYTES);
  const role = ROLES[body[0] ?? ROLES.length];
  const isWhole =
    bytes.length === body.length + CHECK_BYTES && checkOf(body).equals(bytes.subarray(body.length));
  const authority = isWhole ? authorityOf(body.subarray(AUTHORITY_AT)) : undefined;
  if (!text.trim().startsWith(HEAD) || !authority || !role) {
    throw new UsageError('that is no token, or not all of one; copy what dfs token create has printed');
  }
  return {
    role,
    id: body.subarray(ROLE_BYTES, SECRET_AT),
    secret: body.subarray(SECRET_AT, AUTHORITY_AT),
    authority,
  };
}

/** Undefined when the bytes are no public key. */
function authorityOf(spki: Uint8Array): KeyObject | undefined {
  try {
    return publicKeyOfSpki(spki);
  } catch (error) {
    if (error instanceof DfsError) return undefined;
    throw error;
  }
}

function checkOf(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, CHECK_BYTES);
}
