import {
  createConnection,
  createServer,
  Socket,
  type AddressInfo,
  type SocketConstructorOpts,
} from 'node:net';
import type { Duplex } from 'node:stream';
import { formatDuration } from './duration.js';

/** Where a server listens or a client connects: a host name or address, and a TCP port. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What the certificate at the other end of a stream says; whoever fills this in has checked it. */
export interface PeerCertificate {
  readonly role: string;
  readonly name: string;
  readonly serial: string;
}

/** How a stream is kept secret, where it is. */
export interface StreamSecurity {
  /** Whether this end has shown a certificate of its own. */
  readonly hasShown: boolean;
  /**
   * Undefined before the handshake is over, and when the other end has shown no certificate. Throws, with the reason, when it has shown
   * one that does not count.
   */
  readonly peer: () => PeerCertificate | undefined;
  /** Bytes that both ends know and nobody between them (RFC 8446, 7.5): a proof that covers them cannot be passed on. */
  readonly binding: () => Buffer;
}

/** Decides where in memory the bytes of a stream are put as they come. */
export interface Receiver {
  /** Where the next bytes go, at least one; asked again whenever some have come. */
  room(): Buffer;
  /** So many bytes have come to the beginning of what `room` returned last. */
  received(bytes: number): void;
}

/** A connected byte stream, and the addresses at its two ends. */
export interface ByteStream {
  /** Of a stream with a receiver only the `data` events are missing. */
  readonly stream: Duplex;
  /**
   * The same stream, from now on with a receiver, where the network can do that; to be called before anything has been read, and then
   * used instead of this one.
   */
  readonly withReceiver?: (receiver: Receiver) => ByteStream;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Bytes that were handed to the system and that it has not taken, if the network can tell. */
  readonly queuedBytes?: () => number;
  /** Undefined where everything is sent as it is: on loopback. */
  readonly security?: StreamSecurity;
}

/** Whether only this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.') || host.startsWith('::ffff:127.');
}

/** A listening socket. */
export interface Listener {
  readonly endpoint: Endpoint;
  /** Stops listening; connections already accepted live on. */
  close(): Promise<void>;
}

/** The network comes in through this interface (docs/decisions/09), so that a simulation can delay, drop and cut. */
export interface Network {
  /**
   * Opens a byte stream to `endpoint`; rejects with the system's error (ECONNREFUSED, ETIMEDOUT, ENOTFOUND, …).
   * @param timeoutMs how long the connection may take to be established
   */
  connect(endpoint: Endpoint, timeoutMs: number): Promise<ByteStream>;
  /** Listens; port 0 takes any free port. Rejects with EADDRINUSE, EADDRNOTAVAIL, EACCES, … */
  listen(endpoint: Endpoint, onConnection: (stream: ByteStream) => void): Promise<Listener>;
  /** Told by the metadata server which certificates do not count any more: all of them, by their serial numbers. */
  readonly setRevoked?: (serials: readonly string[]) => void;
}

/** What libuv has not sent yet (`writeQueueSize`, by which Node's own socket timeouts see that a slow peer goes on). */
export function queuedBytesOf(socket: Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}

/** A byte stream over TCP. */
export interface TcpStream extends ByteStream {
  readonly stream: Socket;
}

function describe(socket: Socket): TcpStream {
  // Requests are small and answered at once; waiting to fill a segment (Nagle) would cost up to 40 ms each.
  socket.setNoDelay(true);
  // The connection may break before its user listens; without a listener that would end the process.
  socket.on('error', () => undefined);
  socket.setKeepAlive(true, 10_000);
  return {
    stream: socket,
    local: { host: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    remote: { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    queuedBytes: () => queuedBytesOf(socket),
  };
}

interface SocketHandle {
  reading?: boolean;
  readonly readStop?: () => number;
}

/**
 * Puts a receiver in the place of the `data` events. Node lets a socket read into its reader's memory only from its beginning on
 * (`onread`), and a server's sockets not at all: so the socket that was accepted hands its connection to a new one, before it has
 * read anything.
 */
function receiving(first: Socket, receiver: Receiver): TcpStream {
  const { _handle: handle } = first as { readonly _handle?: SocketHandle | null };
  if (!handle?.readStop || first.destroyed) return describe(first);
  handle.reading = false;
  handle.readStop();
  Object.assign(first, { _handle: null });
  const callback = (bytes: number): boolean => {
    receiver.received(bytes);
    return true;
  };
  const onread = { buffer: () => receiver.room(), callback };
  // As Node's own server makes its sockets; the documented options know handles of another kind.
  const socket = new Socket({ handle, onread } as unknown as SocketConstructorOpts);
  // It has no connection any more, so that the server does not wait for it.
  first.destroy();
  return describe(socket);
}

function accepted(socket: Socket): TcpStream {
  return { ...describe(socket), withReceiver: receiver => receiving(socket, receiver) };
}

/** The address at the other end, as text. */
export function remoteOf({ remote }: ByteStream): string {
  return `${remote.host}:${remote.port}`;
}

/** TCP, as the operating system offers it. */
export interface TcpNetwork extends Network {
  connect(endpoint: Endpoint, timeoutMs: number): Promise<TcpStream>;
  listen(endpoint: Endpoint, onConnection: (stream: TcpStream) => void): Promise<Listener>;
}

export const tcpNetwork: TcpNetwork = {
  async connect(endpoint, timeoutMs) {
    return await new Promise<TcpStream>((resolve, reject) => {
      const socket = createConnection({ host: endpoint.host, port: endpoint.port, noDelay: true });
      const timer = setTimeout(() => {
        socket.destroy(
          Object.assign(new Error(`no answer within ${formatDuration(timeoutMs)}`), {
            code: 'ETIMEDOUT',
            syscall: 'connect',
          }),
        );
      }, timeoutMs);
      socket.once('error', error => {
        clearTimeout(timer);
        reject(error);
      });
      socket.once('connect', () => {
        clearTimeout(timer);
        resolve(describe(socket));
      });
    });
  },

  async listen(endpoint, onConnection) {
    return await new Promise<Listener>((resolve, reject) => {
      const server = createServer(socket => onConnection(accepted(socket)));
      server.once('error', reject);
      server.listen({ host: endpoint.host, port: endpoint.port, backlog: 1024 }, () => {
        server.removeListener('error', reject);
        // A TCP server's address is never a pipe name, so the cast is safe.
        const address = server.address() as AddressInfo;
        resolve({
          endpoint: { host: address.address, port: address.port },
          close: async () => await new Promise<void>(done => server.close(() => done())),
        });
      });
    });
  },
};
