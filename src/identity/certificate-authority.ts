/**
 * The cluster's certificate authority. Its key follows from the cluster's key, so that there is one secret to keep, and a
 * cluster that has a key has an authority. Members know its public key, and check certificates against that.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { privateKeyOfSeed, spkiOf } from './ed25519.js';
import { CLUSTER_ID_DIGITS, memberUri, requireMemberName, type MemberRole } from './member.js';

/** What a certificate is to say. */
export interface CertificateWish {
  readonly role: MemberRole;
  readonly name: string;
  readonly publicKey: KeyObject;
  /** ms since the epoch */
  readonly nowMs: number;
  readonly lifetimeMs: number;
}

/** A certificate holds from a day before it was made: clocks differ. */
const EARLIER_MS = 86_400_000;

/** Which cluster has this authority. */
export function clusterIdOf(authority: KeyObject): string {
  return createHash('sha256').update(spkiOf(authority)).digest('hex').slice(0, CLUSTER_ID_DIGITS);
}

export class CertificateAuthority {
  readonly publicKey: KeyObject;
  readonly cluster: string;
  readonly #privateKey: KeyObject;

  /** @param seed 32 bytes that nobody else can guess */
  constructor(seed: Uint8Array) {
    this.#privateKey = privateKeyOfSeed(seed);
    this.publicKey = createPublicKey(this.#privateKey);
    this.cluster = clusterIdOf(this.publicKey);
  }

  /** A new certificate (X.509, PEM). EINVAL for a name that no member may have. */
  async issue({ role, name, publicKey, nowMs, lifetimeMs }: CertificateWish): Promise<string> {
    requireMemberName(name);
    // Loaded when it is needed: mounts and data nodes never issue any.
    const { makeCertificate } = await import('./x509-certificate.js');
    return await makeCertificate({
      subject: `CN=${name},O=${role}`,
      issuer: `CN=DFS cluster ${this.cluster}`,
      uri: memberUri({ cluster: this.cluster, role, name }),
      notBeforeMs: nowMs - EARLIER_MS,
      notAfterMs: nowMs + lifetimeMs,
      publicKey: spkiOf(publicKey),
      privateKey: this.#privateKey.export({ format: 'der', type: 'pkcs8' }),
    });
  }
}
