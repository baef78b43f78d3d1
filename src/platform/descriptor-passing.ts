/**
 * Passing an open descriptor to another process over a Unix socket (SCM_RIGHTS, unix(7)), which Node cannot do: by
 * libc's own functions, through koffi. The layouts are those of 64-bit Linux.
 */
import { closeSync, unlinkSync } from 'node:fs';
import koffi from 'koffi';
import { socketAddress } from './unix-datagrams.js';

const AF_UNIX = 1;
/** <bits/socket_type.h>: bytes that flow, or messages that stay whole. */
const SOCKET_TYPES = { stream: 1, messages: 5 } as const;
const SOCK_DGRAM = 2;
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

/** Where the parts of a message are (messageOf). */
const VECTOR_AT = MESSAGE_BYTES;
const DATA_AT = VECTOR_AT + 16;
const ADDRESS_AT = DATA_AT + 8;
const CONTROL_AT = ADDRESS_AT + 112;

interface Message {
  readonly bytes: Buffer;
  /** struct cmsghdr, and a descriptor. */
  readonly control: Buffer;
}

// The process itself stands for libc, whatever that is called here.
const libc = koffi.load(null);
const callSocketpair = libc.func('int socketpair(int domain, int type, int protocol, void *sockets)');
const callSocket = libc.func('int socket(int domain, int type, int protocol)');
const callBind = libc.func('int bind(int socket, void *address, uint32_t length)');
const callSendmsg = libc.func('intptr_t sendmsg(int socket, void *message, int flags)');
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
  const { bytes, control } = messageOf();
  const received = Number(callRecvmsg(socket, bytes, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
  if (received < 0) {
    const failure = lastError('cannot take a descriptor from a socket');
    if (failure.code === 'EAGAIN') return undefined;
    throw failure;
  }
  // The other end is closed, or it sent bytes only.
  if (bytes.readBigUInt64LE(40) < BigInt(CONTROL_HEADER_BYTES + INT_BYTES)) return undefined;
  if (control.readInt32LE(8) !== SOL_SOCKET || control.readInt32LE(12) !== SCM_RIGHTS) return undefined;
  return control.readInt32LE(CONTROL_HEADER_BYTES);
}

/** A place in the file system to which one process has sent a descriptor for another one to take. */
export interface DescriptorMailbox {
  /** As receiveDescriptor(). */
  take(): number | undefined;
  /** Removes it. */
  close(): void;
}

/**
 * Makes a mailbox at a path at which there is nothing yet; anybody may put something in who may reach it. EADDRINUSE, EACCES, …
 */
export function openMailbox(path: string): DescriptorMailbox {
  const address = addressOf(path);
  const socket = openDatagramSocket();
  if (callBind(socket, address, address.length) !== 0) {
    const failure = lastError(`cannot make the socket ${path}`);
    closeSync(socket);
    throw failure;
  }
  return {
    take: () => receiveDescriptor(socket),
    close() {
      closeSync(socket);
      unlinkSync(path);
    },
  };
}

/** Sends an open descriptor, which stays open here, to a mailbox, without waiting. ENOENT, EACCES, ECONNREFUSED, … */
export function sendDescriptor(path: string, descriptor: number): void {
  const socket = openDatagramSocket();
  try {
    const { bytes, control } = messageOf(addressOf(path));
    control.writeBigUInt64LE(BigInt(CONTROL_HEADER_BYTES + INT_BYTES), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    control.writeInt32LE(descriptor, CONTROL_HEADER_BYTES);
    if (Number(callSendmsg(socket, bytes, MSG_DONTWAIT)) < 0)
      throw lastError(`cannot send a descriptor to ${path}`);
  } finally {
    closeSync(socket);
  }
}

function openDatagramSocket(): number {
  const socket: unknown = callSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (typeof socket !== 'number' || socket < 0) throw lastError('cannot make a socket');
  return socket;
}

function addressOf(path: string): Buffer {
  const address = socketAddress(path);
  if (address) return address;
  throw Object.assign(new Error(`no socket can have the path ${path}`), { code: 'ENAMETOOLONG' });
}

/**
 * struct msghdr for one byte and one descriptor, with everything that it points to behind it, so that all of it stays in memory.
 * @param address where it goes; left out for one that is to be received
 */
function messageOf(address?: Buffer): Message {
  const bytes = Buffer.alloc(CONTROL_AT + CONTROL_BYTES);
  const start = koffi.address(bytes);
  if (address) {
    address.copy(bytes, ADDRESS_AT);
    bytes.writeBigUInt64LE(start + BigInt(ADDRESS_AT), 0);
    bytes.writeUInt32LE(address.length, 8);
  }
  bytes.writeBigUInt64LE(start + BigInt(VECTOR_AT), 16);
  bytes.writeBigUInt64LE(1n, 24);
  bytes.writeBigUInt64LE(start + BigInt(CONTROL_AT), 32);
  bytes.writeBigUInt64LE(BigInt(CONTROL_BYTES), 40);
  bytes.writeBigUInt64LE(start + BigInt(DATA_AT), VECTOR_AT);
  bytes.writeBigUInt64LE(1n, VECTOR_AT + 8);
  return { bytes, control: bytes.subarray(CONTROL_AT) };
}

/** With the name of the error as its code, as Node's own errors have it. */
function lastError(what: string): Error & { code: string } {
  const number = koffi.errno();
  const code = Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? 'EIO';
  return Object.assign(new Error(`${what}: ${code}`), { code });
}
