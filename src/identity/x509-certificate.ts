/** Makes X.509 certificates (RFC 5280), signed with Ed25519 (RFC 8410). */
// It wires its parts by decorators, which need this first.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

export interface CertificateContent {
  /** Distinguished names (RFC 4514). */
  readonly subject: string;
  readonly issuer: string;
  /** The subject's alternative name. */
  readonly uri: string;
  /** ms since the epoch */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** The subject's, as SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** The issuer's, as PKCS #8. */
  readonly privateKey: Uint8Array;
}

const ALGORITHM = { name: 'Ed25519' };
const SERIAL_BYTES = 16;

cryptoProvider.set(webcrypto);

/** A certificate for a member, which is no authority itself; PEM. */
export async function makeCertificate(content: CertificateContent): Promise<string> {
  const { subject, issuer, uri, notBeforeMs, notAfterMs, publicKey, privateKey } = content;
  const { subtle } = webcrypto;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject,
    issuer,
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    signingAlgorithm: ALGORITHM,
    signingKey: await subtle.importKey('pkcs8', privateKey, ALGORITHM, false, ['sign']),
    publicKey: await subtle.importKey('spki', publicKey, ALGORITHM, true, ['verify']),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth, ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: 'url', value: uri }]),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** Positive, and never the same twice (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString('hex');
}
