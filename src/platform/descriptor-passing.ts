/**
 * Taking an open descriptor from another process over a Unix socket (SCM_RIGHTS, unix(7)), which Node cannot do: by
 * libc's own functions, through koffi. The layouts are those of 64-bit Linux.
 */
import { closeSync } from 'node:fs';
import koffi from 'koffi';

const AF_UNIX = 1;
/** <bits/socket_type.h>: bytes that flow, or messages that stay whole. */
const SOCKET_TYPES = { stream: 1, messages: 5 } as const;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** struct msghdr: name, its length, iovec, their number, control, its length, flags; in 8 bytes each. */
const MESSAGE_BYTES = 56;
/** struct cmsghdr: length (8 bytes), level and type (4 each). */
const CONTROL_HEADER_BYTES = 16;
const INT_BYTES = 4;
/** CMSG_SPACE(sizeof(int)) */
const CONTROL_BYTES = 24;

// The process itself stands for libc, whatever that is called here.
const libc = koffi.load(null);
const callSocketpair = libc.func('int socketpair(int domain, int type, int protocol, void *sockets)');
const callRecvmsg = libc.func('intptr_t recvmsg(int socket, void *message, int flags)');

/** Two connected Unix sockets: one to keep, one for a child. */
export interface SocketPair {
  readonly ours: number;
  readonly theirs: number;
  /** Closes both. */
  close(): void;
}

/** Neither socket is inherited by children unless they are given it. EMFILE, ENFILE. */
export function openSocketPair(type: keyof typeof SOCKET_TYPES = 'stream'): SocketPair {
  const sockets = Buffer.alloc(2 * INT_BYTES);
  const result: unknown = callSocketpair(AF_UNIX, SOCKET_TYPES[type] | SOCK_CLOEXEC, 0, sockets);
  if (result !== 0) throw lastError('cannot make a pair of sockets');
  const ours = sockets.readInt32LE(0);
  const theirs = sockets.readInt32LE(INT_BYTES);
  return {
    ours,
    theirs,
    close() {
      closeSync(ours);
      closeSync(theirs);
    },
  };
}

/**
 * Takes the descriptor that was sent over `socket`, close-on-exec, without waiting for one: undefined when none was
 * sent, or something else. Whoever gets it closes it.
 */
export function receiveDescriptor(socket: number): number | undefined {
  const data = Buffer.alloc(1);
  const control = Buffer.alloc(CONTROL_BYTES);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(koffi.address(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const message = Buffer.alloc(MESSAGE_BYTES);
  message.writeBigUInt64LE(koffi.address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(koffi.address(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  const received = Number(callRecvmsg(socket, message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (received < 0) {
    const failure = lastError('cannot take a descriptor from a socket');
    if (failure.code === 'EAGAIN') return undefined;
    throw failure;
  }
  // The other end is closed, or it sent bytes only.
  if (message.readBigUInt64LE(40) < BigInt(CONTROL_HEADER_BYTES + INT_BYTES)) return undefined;
  if (control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) return undefined;
  return control.readInt32LE(CONTROL_HEADER_BYTES);
}

/** With the name of the error as its code, as Node's own errors have it. */
function lastError(what: string): Error & { code: string } {
  const number = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? 'EIO';
  return Object.assign(new Error(`${what}: ${code}`), { code });
}
