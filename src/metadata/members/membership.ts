/** Who is a member of the cluster: the authority that says so, and what is told to those that are. */
import type { CertificateAuthority } from '../../identity/certificate-authority.js';
import type { Revocations } from '../../identity/revocations.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, toDfsError } from '../../protocol/errors.js';
import { revoked } from '../../protocol/member-commands.js';
import type { PeerConnection } from '../../rpc/routes.js';

/** How long a member has to say that it has heard what was revoked. */
const TELL_TIMEOUT_MS = 10_000;
const CERTIFICATE_LIFETIME_MS = 90 * 86_400_000;

export interface MembershipOptions {
  readonly log: Logger;
  /** Undefined: nobody can join, since this process does not have the cluster's key. */
  readonly authority: CertificateAuthority | undefined;
  readonly revocations: Revocations;
  /** How long a certificate holds; default: 90 days. */
  readonly certificateLifetimeMs?: number | undefined;
}

export class Membership {
  readonly #options: MembershipOptions;
  /** Connections of members with certificates. */
  readonly #connections = new Set<PeerConnection>();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** ENOSYS when this process cannot issue certificates. */
  get authority(): CertificateAuthority {
    const { authority } = this.#options;
    if (authority) return authority;
    throw new DfsError(
      'ENOSYS',
      "this metadata server runs without the cluster's key, and so issues no certificates",
    );
  }

  get certificateLifetimeMs(): number {
    return this.#options.certificateLifetimeMs ?? CERTIFICATE_LIFETIME_MS;
  }

  /** A member with a certificate is connected: it is told what is revoked, now and later. */
  connected(connection: PeerConnection): void {
    if (this.#connections.has(connection)) return;
    this.#connections.add(connection);
    connection.onClose(() => this.#connections.delete(connection));
    if (this.#options.revocations.serials.length > 0) void this.#tell(connection);
  }

  /** Those of members with certificates. */
  connections(): PeerConnection[] {
    return [...this.#connections];
  }

  /** The addresses from which a member is connected. */
  addressesOf(role: string, name: string): string[] {
    const its = [...this.#connections].filter(({ member }) => {
      const certificate = member?.certificate;
      return certificate?.role === role && certificate.name === name;
    });
    return [...new Set(its.map(({ remoteHost }) => remoteHost))];
  }

  /** These certificates do not count: their connections are closed, and every other member is told. */
  setRevoked(serials: readonly string[]): void {
    this.#options.revocations.set(serials);
    for (const connection of this.#connections) void this.#tell(connection);
  }

  /** Never rejects. */
  async #tell(connection: PeerConnection): Promise<void> {
    const { revocations, log } = this.#options;
    try {
      await connection.call(revoked, { serials: [...revocations.serials] }, { timeoutMs: TELL_TIMEOUT_MS });
    } catch (error) {
      const reason = toDfsError(error);
      // A program that only asks something and goes answers no questions.
      if (!connection.isClosed && reason.code !== 'ENOSYS')
        log.warn(
          { member: connection.member?.certificate?.name, reason: reason.message },
          'a member was not told what is revoked',
        );
    }
  }
}
