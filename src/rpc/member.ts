/** Who is at the other end of a connection. */
import type { PeerCertificate } from '../platform/network.js';
import type { Role, Sender } from '../protocol/roles.js';

/** What the other end of a connection has proved to be. */
export interface Member {
  readonly role: Sender;
  /** By which it was known; undefined where it was by a secret. */
  readonly certificate?: PeerCertificate | undefined;
  /** Of a joiner: the role that it may be given, and the token that says so; without one it knows the role's secret. */
  readonly joins?: { readonly role: Role; readonly token: Uint8Array | undefined } | undefined;
}
