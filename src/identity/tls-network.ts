/**
 * A network on which every connection that is not loopback is TLS 1.3 (RFC 8446), with certificates of the cluster's authority at
 * both ends. Both ends decide by the addresses of the connection, so that nothing has to be agreed and nothing can be talked down.
 *
 * A server also takes a connection without a certificate: whoever has none yet proves by other means what it is
 * (rpc/gate.ts), and may then do little more than ask for one. A certificate that is not good is worse than none.
 */
import { X509Certificate } from 'node:crypto';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Logger } from '../platform/log.js';
import {
  isLoopback,
  type Endpoint,
  type Listener,
  type Network,
  type TcpNetwork,
  remoteOf,
  type TcpStream,
} from '../platform/network.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import type { Identity } from './identity.js';
import { memberOfCertificate, requireValid, type CertifiedMember } from './member-certificate.js';
import type { Revocations } from './revocations.js';
import type * as tlsHandshake from './tls-handshake.js';

/** Loaded when it is needed: a command on loopback starts without it. */
type Tls = typeof tlsHandshake;

export interface TlsNetworkOptions {
  readonly tcp: TcpNetwork;
  readonly log: Logger;
  /** This process's membership as it is now; undefined: it has none, and no connection but those that need no proof of it. */
  readonly identity: () => Promise<Identity | undefined>;
  /**
   * ms since the epoch: what certificates expire by. Default: whether they have is not judged here, but by the metadata server,
   * without which nobody gets a grant; so a wrong clock elsewhere shuts nobody out.
   */
  readonly nowMs?: () => number;
  readonly revocations: Revocations;
  /** Whether a connection with this address is left as it is; default: on loopback, where nobody can listen. */
  readonly isPlain?: (host: string) => boolean;
}

export class TlsNetwork implements Network {
  readonly #options: TlsNetworkOptions;
  /** What TLS needs of the identity that was used last. */
  #prepared: { readonly identity: Identity; readonly context: SecureContext } | undefined;

  constructor(options: TlsNetworkOptions) {
    this.#options = options;
  }

  /** As Network. */
  readonly setRevoked = (serials: readonly string[]): void => this.#options.revocations.set(serials);

  /** As Network; EACCES when this process has no certificate, or the other end none that is good. */
  async connect(endpoint: Endpoint, timeoutMs: number): Promise<TcpStream> {
    const startedMs = performance.now();
    const plain = await this.#options.tcp.connect(endpoint, timeoutMs);
    if (this.#isPlain(plain)) return plain;
    try {
      const identity = await this.#identityFor(`${endpoint.host}:${endpoint.port}`);
      const tls = await loadTls();
      const leftMs = Math.max(1, timeoutMs - (performance.now() - startedMs));
      return await this.#startClient(tls, plain, identity, leftMs);
    } catch (error) {
      plain.stream.destroy();
      throw error;
    }
  }

  async listen(endpoint: Endpoint, onConnection: (stream: TcpStream) => void): Promise<Listener> {
    const { tcp, log } = this.#options;
    return await tcp.listen(endpoint, plain => {
      if (this.#isPlain(plain)) {
        onConnection(plain);
        return;
      }
      const refuse = (error: unknown): void => {
        log.warn({ remote: remoteOf(plain), reason: toDfsError(error).message }, 'refusing a connection');
        plain.stream.destroy();
      };
      plain.stream.on('error', refuse);
      Promise.all([this.#identityFor(remoteOf(plain)), loadTls()])
        .then(([identity, tls]) => {
          plain.stream.off('error', refuse);
          if (!plain.stream.destroyed) onConnection(this.#startServer(tls, plain, identity));
        })
        .catch(refuse);
    });
  }

  #isPlain({ remote }: TcpStream): boolean {
    return (this.#options.isPlain ?? isLoopback)(remote.host);
  }

  async #identityFor(where: string): Promise<Identity> {
    const identity = await this.#options.identity();
    if (identity) return identity;
    throw new DfsError(
      'EACCES',
      `connections to and from other machines (${where}) need a certificate, and this machine has none; run: dfs join`,
    );
  }

  #contextOf(tls: Tls, identity: Identity): SecureContext {
    if (this.#prepared?.identity !== identity)
      this.#prepared = { identity, context: tls.contextOf(identity) };
    return this.#prepared.context;
  }

  async #startClient(tls: Tls, plain: TcpStream, identity: Identity, timeoutMs: number): Promise<TcpStream> {
    const socket = await tls.clientHandshake(plain, this.#contextOf(tls, identity), timeoutMs);
    const peer = this.#check(socket, identity);
    if (!peer) throw new DfsError('EACCES', `${remoteOf(plain)} shows no certificate`);
    return tls.securedStream(plain, socket, { hasShown: true, peer: () => peer });
  }

  #startServer(tls: Tls, plain: TcpStream, identity: Identity): TcpStream {
    const socket = tls.serverHandshake(plain, this.#contextOf(tls, identity));
    let peer: CertifiedMember | undefined;
    let refusal: DfsError | undefined;
    // What the peer sends is handed on after this alone. One that is refused is told why: in TLS 1.3 its own handshake is over by now.
    socket.once('secure', () => {
      try {
        peer = this.#check(socket, identity);
      } catch (error) {
        refusal = toDfsError(error);
      }
    });
    const checked = (): CertifiedMember | undefined => {
      if (refusal) throw refusal;
      return peer;
    };
    return tls.securedStream(plain, socket, { hasShown: true, peer: checked });
  }

  /** The member at the other end; undefined for one without a certificate. EACCES when its certificate is not good. */
  #check(socket: TLSSocket, { authority }: Identity): CertifiedMember | undefined {
    const { revocations, nowMs } = this.#options;
    const certificate = socket.getPeerX509Certificate();
    if (!(certificate instanceof X509Certificate)) return undefined;
    const member = memberOfCertificate(certificate, authority);
    if (nowMs) requireValid(member, nowMs());
    if (revocations.has(member.serial)) {
      throw new DfsError('EACCES', `${member.name} is not a member of this cluster any more`);
    }
    const stopWatching = revocations.onRevoked(member.serial, () =>
      socket.destroy(new DfsError('EACCES', `${member.name} is not a member of this cluster any more`)),
    );
    socket.once('close', stopWatching);
    return member;
  }
}

async function loadTls(): Promise<Tls> {
  return await import('./tls-handshake.js');
}
