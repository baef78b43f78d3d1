/**
 * How somebody reaches the metadata server who has no certificate yet: by TLS, where connections are TLS, without showing one. By a
 * token the server is known for certain, since it names the cluster's authority; without one only a proof over the connection can
 * tell (rpc/authentication.ts).
 */
import type { KeyObject } from 'node:crypto';
import {
  isLoopback,
  remoteOf,
  type Endpoint,
  type Listener,
  type Network,
  type PeerCertificate,
  type TcpNetwork,
  type TcpStream,
} from '../platform/network.js';
import { DfsError } from '../protocol/errors.js';
import { memberOfCertificate } from './member-certificate.js';

export interface JoiningNetworkOptions {
  readonly tcp: TcpNetwork;
  /** The public key of the cluster's authority, if it is known. */
  readonly authority: KeyObject | undefined;
  /** As in TlsNetworkOptions. */
  readonly isPlain?: (host: string) => boolean;
}

export class JoiningNetwork implements Network {
  readonly #options: JoiningNetworkOptions;

  constructor(options: JoiningNetworkOptions) {
    this.#options = options;
  }

  /** As Network; EACCES when the other end shows a certificate of another cluster, or none. */
  async connect(endpoint: Endpoint, timeoutMs: number): Promise<TcpStream> {
    const { tcp, isPlain = isLoopback } = this.#options;
    const startedMs = performance.now();
    const plain = await tcp.connect(endpoint, timeoutMs);
    if (isPlain(plain.remote.host)) return plain;
    try {
      const { clientHandshake, securedStream } = await import('./tls-handshake.js');
      const leftMs = Math.max(1, timeoutMs - (performance.now() - startedMs));
      const socket = await clientHandshake(plain, undefined, leftMs);
      const certificate = socket.getPeerX509Certificate();
      if (!certificate) throw new DfsError('EACCES', `${remoteOf(plain)} shows no certificate`);
      const { authority } = this.#options;
      const peer: PeerCertificate | undefined = authority && memberOfCertificate(certificate, authority);
      return securedStream(plain, socket, { hasShown: false, peer: () => peer });
    } catch (error) {
      plain.stream.destroy();
      throw error;
    }
  }

  /** Nobody is served before he has joined. */
  async listen(): Promise<Listener> {
    throw new DfsError('EACCES', 'this machine is no member of a cluster yet');
  }
}
