/** Ed25519 keys (RFC 8032), with which certificates are signed. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { assert, DfsError } from '../protocol/errors.js';

const SEED_BYTES = 32;
/** A private key in PKCS #8 is this, followed by its seed (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
/** A public key as SubjectPublicKeyInfo is this, followed by 32 bytes (RFC 8410, section 4). */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
export const SPKI_BYTES = SPKI_HEAD.length + 32;

/** The private key that a seed of 32 random bytes makes. */
export function privateKeyOfSeed(seed: Uint8Array): KeyObject {
  assert(seed.length === SEED_BYTES, `a seed has ${SEED_BYTES} bytes`);
  const key = Buffer.concat([PKCS8_HEAD, seed]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}

export function spkiOf(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' });
}

/** The public key that a SubjectPublicKeyInfo holds. EINVAL unless it is one for Ed25519. */
export function publicKeyOfSpki(spki: Uint8Array): KeyObject {
  if (spki.length !== SPKI_BYTES || !SPKI_HEAD.equals(spki.subarray(0, SPKI_HEAD.length))) {
    throw new DfsError('EINVAL', 'that is no Ed25519 public key');
  }
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
}
