/** Sending to a Unix socket that takes datagrams (unix(7)), which Node cannot do: by libc's own functions, through koffi. */
import { closeSync } from 'node:fs';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
/** A reader that is gone is an error, not a signal. */
const MSG_NOSIGNAL = 0x4000;
/** struct sockaddr_un: the family (2 bytes), and a path of at most this many bytes. */
const FAMILY_BYTES = 2;
const MAX_PATH_BYTES = 108;

interface SocketCalls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly sendto: (
    socket: number,
    data: Buffer,
    length: number,
    flags: number,
    address: Buffer,
    addressLength: number,
  ) => number;
}

let loading: Promise<SocketCalls> | undefined;

async function loadSocketCalls(): Promise<SocketCalls> {
  // Not loaded before somebody sends: it takes 30 ms.
  const { default: koffi } = await import('koffi');
  const libc = koffi.load(null);
  return {
    socket: libc.func('int socket(int domain, int type, int protocol)') as SocketCalls['socket'],
    sendto: libc.func(
      'intptr_t sendto(int socket, const void *data, size_t length, int flags, const void *address, unsigned int addressLength)',
    ) as SocketCalls['sendto'],
  };
}

/**
 * Sends one datagram, and returns whether the socket took it.
 * @param path of the socket; with `@` before it, the name of an abstract one
 */
export async function sendDatagram(path: string, text: string): Promise<boolean> {
  const address = socketAddress(path);
  if (!address) return false;
  loading ??= loadSocketCalls();
  const { socket, sendto } = await loading;
  const descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  try {
    const data = Buffer.from(text);
    return sendto(descriptor, data, data.length, MSG_NOSIGNAL, address, address.length) === data.length;
  } finally {
    closeSync(descriptor);
  }
}

/** struct sockaddr_un, with no byte more than the name has; undefined for a name that no socket can have. */
export function socketAddress(path: string): Buffer | undefined {
  const name = Buffer.from(path);
  if (name.length < 2 || name.length >= MAX_PATH_BYTES) return undefined;
  const isAbstract = path.startsWith('@');
  if (isAbstract) name[0] = 0;
  const family = Buffer.alloc(FAMILY_BYTES);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name, Buffer.alloc(isAbstract ? 0 : 1)]);
}
