/** A process's own membership: its certificate, the private key to it, and the authority by which it knows the others. */
import { createPrivateKey, generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto';
import { DfsError } from '../protocol/errors.js';
import type { CertificateAuthority } from './certificate-authority.js';
import type { MemberRole } from './member.js';
import { memberOfCertificate, type CertifiedMember } from './member-certificate.js';

export interface Identity {
  readonly member: CertifiedMember;
  /** PEM */
  readonly certificate: string;
  readonly privateKey: KeyObject;
  /** The public key of the cluster's authority. */
  readonly authority: KeyObject;
}

/** A new key pair for a certificate that somebody else issues. */
export function newKeyPair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ed25519');
}

/**
 * The identity that a certificate gives to the holder of `privateKey`. EACCES when it is not from this authority, EINVAL when it is for
 * another key.
 */
export function identityOf(certificate: string, privateKey: KeyObject, authority: KeyObject): Identity {
  const parsed = new X509Certificate(certificate);
  if (!parsed.checkPrivateKey(privateKey)) {
    throw new DfsError('EINVAL', 'the certificate and the private key do not belong together');
  }
  return { member: memberOfCertificate(parsed, authority), certificate, privateKey, authority };
}

/** An identity that the authority's own process makes for itself, and keeps in its memory alone. */
export async function selfIssued(
  authority: CertificateAuthority,
  role: MemberRole,
  name: string,
  nowMs: number,
  lifetimeMs: number,
): Promise<Identity> {
  const { publicKey, privateKey } = newKeyPair();
  const certificate = await authority.issue({ role, name, publicKey, nowMs, lifetimeMs });
  return identityOf(certificate, privateKey, authority.publicKey);
}

/** PEM (PKCS #8), for a file that only its owner can read. */
export function exportPrivateKey(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

export function importPrivateKey(pem: string): KeyObject {
  return createPrivateKey(pem);
}
