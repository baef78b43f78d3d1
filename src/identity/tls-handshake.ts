/** TLS 1.3 (RFC 8446) over a connection that exists. Who is at the other end, the caller checks. */
import { connect, createSecureContext, TLSSocket, type SecureContext } from 'node:tls';
import { formatDuration } from '../platform/duration.js';
import { queuedBytesOf, remoteOf, type PeerCertificate, type TcpStream } from '../platform/network.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { exportPrivateKey, type Identity } from './identity.js';

const TLS_VERSION = 'TLSv1.3';
const BINDING_BYTES = 32;
/** Labels that begin so are for private use (RFC 5705, section 4). */
const BINDING_LABEL = 'EXPERIMENTAL dfs hello';

/** What TLS needs to show a certificate. */
export function contextOf({ certificate, privateKey }: Identity): SecureContext {
  const key = exportPrivateKey(privateKey);
  return createSecureContext({ cert: certificate, key, minVersion: TLS_VERSION });
}

/**
 * This end is the client. Resolves when the handshake is over. Rejects with what the system or TLS says, ETIMEDOUT when it takes too
 * long; the stream is destroyed then.
 * @param context with a certificate of this end, if it shows one
 */
export async function clientHandshake(
  plain: TcpStream,
  context: SecureContext | undefined,
  timeoutMs: number,
): Promise<TLSSocket> {
  const socket = connect({
    socket: plain.stream,
    ...(context ? { secureContext: context } : {}),
    minVersion: TLS_VERSION,
    // A certificate names a member and no host.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  await new Promise<void>((resolve, reject) => {
    const late = `no TLS handshake within ${formatDuration(timeoutMs)}`;
    const timer = setTimeout(() => socket.destroy(new DfsError('ETIMEDOUT', late)), timeoutMs);
    const settle = (error?: DfsError): void => {
      clearTimeout(timer);
      socket.off('error', fail).off('close', broken).off('secureConnect', done);
      if (error) reject(error);
      else resolve();
    };
    const done = (): void => settle();
    const fail = (error: Error): void => settle(handshakeError(error, plain));
    const broken = (): void =>
      settle(new DfsError('ECONNRESET', `${remoteOf(plain)} closed the connection during the TLS handshake`));
    socket.on('error', fail).on('close', broken).once('secureConnect', done);
  });
  return socket;
}

/** This end is the server, and asks the other one for a certificate, which it need not have. The handshake goes on by itself. */
export function serverHandshake(plain: TcpStream, context: SecureContext): TLSSocket {
  return new TLSSocket(plain.stream, {
    isServer: true,
    secureContext: context,
    requestCert: true,
    rejectUnauthorized: false,
  });
}

/** The stream over which everything goes from now on. */
export function securedStream(
  { local, remote }: TcpStream,
  socket: TLSSocket,
  { hasShown, peer }: { readonly hasShown: boolean; readonly peer: () => PeerCertificate | undefined },
): TcpStream {
  return {
    stream: socket,
    local,
    remote,
    queuedBytes: () => queuedBytesOf(socket),
    security: {
      hasShown,
      peer,
      binding: () => socket.exportKeyingMaterial(BINDING_BYTES, BINDING_LABEL, Buffer.alloc(0)),
    },
  };
}

/** What OpenSSL says has a code of its own, which tells a person little. */
function handshakeError(error: Error, plain: TcpStream): DfsError {
  const { code } = error as NodeJS.ErrnoException;
  if (code?.startsWith('ERR_SSL') !== true) return toDfsError(error);
  return new DfsError('EPROTO', `${remoteOf(plain)} does not speak TLS 1.3 with us: ${error.message}`);
}
