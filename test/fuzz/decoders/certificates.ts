/** Certificates that a peer shows (src/identity/member-certificate.ts). */
import { X509Certificate } from 'node:crypto';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { memberOfUri, memberUri, MEMBER_ROLES } from '../../../src/identity/member.js';
import { memberOfCertificate, requireValid } from '../../../src/identity/member-certificate.js';
import { newKeyPair } from '../../../src/identity/identity.js';
import { DfsError, hasCode } from '../../../src/protocol/errors.js';
import { promise, type Decoder } from '../decoder.js';

const NOW_MS = Date.UTC(2026, 10, 30);
const LIFETIME_MS = 86_400_000;

export async function certificates(): Promise<Decoder> {
  const ours = new CertificateAuthority(Buffer.alloc(32, 1));
  const foreign = new CertificateAuthority(Buffer.alloc(32, 2));
  const { publicKey } = newKeyPair();
  const wish = { role: 'client', name: 'a', publicKey, nowMs: NOW_MS, lifetimeMs: LIFETIME_MS } as const;
  const genuine = new X509Certificate(await ours.issue(wish)).raw;
  const made: Buffer[] = [];
  for (const authority of [ours, foreign]) {
    for (const role of MEMBER_ROLES)
      made.push(
        new X509Certificate(await authority.issue({ ...wish, role, name: `${role}-1.example_x` })).raw,
      );
  }
  return {
    name: 'certificates',
    words: [
      'dfs://',
      '/admin/',
      '/client/',
      '\x06\x03\x55\x1d\x11',
      '\x06\x03\x2b\x65\x70',
      '0\x82',
      '\x86',
      '\0',
    ],
    make: random => random.pick(made),
    decode(input) {
      checkUri(input.toString('latin1'));
      const certificate = parsed(input);
      if (!certificate) return;
      const member = memberOfCertificate(certificate, ours.publicKey);
      promise(member.cluster === ours.cluster, 'a member is of the cluster whose authority signed');
      promise(/^[0-9A-F]+$/.test(member.serial), 'a certificate has a serial number');
      promise(memberOfUri(memberUri(member))?.name === member.name, 'a member is named by its URI');
      requireValid(member, NOW_MS);
      // Whatever was changed, the part that is signed was not: nobody but the authority makes certificates.
      promise(
        certificate.raw.subarray(4, 8).equals(genuine.subarray(4, 8)) || certificate.verify(ours.publicKey),
        'a certificate that the authority did not sign is taken',
      );
    },
    mayThrow: error => error instanceof DfsError && error.code === 'EACCES',
  };
}

/** Undefined for what OpenSSL takes for no certificate: then TLS ends the connection. */
function parsed(input: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(input);
  } catch (error) {
    if (
      error instanceof Error &&
      (hasCode(error, 'ERR_INVALID_ARG_VALUE') || 'opensslErrorStack' in error || isOpenSsl(error))
    )
      return undefined;
    throw error;
  }
}

function isOpenSsl(error: Error): boolean {
  return 'code' in error && String(error.code).startsWith('ERR_OSSL');
}

function checkUri(uri: string): void {
  const member = memberOfUri(uri);
  promise(!member || memberUri(member) === uri, 'a URI of a member is another one when it is written again');
}
