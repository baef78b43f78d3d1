/**
 * Checks a peer's certificate. Each is signed by the cluster's authority itself, so that the chain is one signature long:
 * this is all of the check. Whether it has expired is another question (tls-network.ts).
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import { DfsError } from '../protocol/errors.js';
import { clusterIdOf } from './certificate-authority.js';
import { memberOfUri, type Member } from './member.js';

export interface CertifiedMember extends Member {
  /** Tells the certificate from all others of the cluster; hexadecimal, in capitals. */
  readonly serial: string;
  /** ms since the epoch */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const URI_NAME = /^URI:(\S+)$/;

/**
 * Who the certificate was made for. EACCES when the cluster's authority did not sign it, or it is not for a member.
 * @param authority the public key of the cluster's authority
 */
export function memberOfCertificate(certificate: X509Certificate, authority: KeyObject): CertifiedMember {
  if (!certificate.verify(authority)) {
    throw new DfsError('EACCES', 'its certificate is not from this cluster');
  }
  const [, uri = ''] = URI_NAME.exec(certificate.subjectAltName ?? '') ?? [];
  const member = certificate.ca ? undefined : memberOfUri(uri);
  if (member?.cluster !== clusterIdOf(authority)) {
    throw new DfsError('EACCES', 'its certificate names no member of this cluster');
  }
  const { serialNumber, validFrom, validTo } = certificate;
  return {
    ...member,
    serial: serialNumber,
    notBeforeMs: Date.parse(validFrom),
    notAfterMs: Date.parse(validTo),
  };
}

/** EACCES, with the reason, unless the certificate holds at `nowMs`. */
export function requireValid({ name, notBeforeMs, notAfterMs }: CertifiedMember, nowMs: number): void {
  if (nowMs > notAfterMs) {
    const when = new Date(notAfterMs).toISOString();
    throw new DfsError(
      'EACCES',
      `the certificate of ${name} expired at ${when}; join the cluster again (dfs join)`,
    );
  }
  if (nowMs < notBeforeMs) {
    const when = new Date(notBeforeMs).toISOString();
    throw new DfsError('EACCES', `the certificate of ${name} holds only from ${when} on; set the clock`);
  }
}
