/** A raw connection to a server, on which anything can be sent, and of which nothing is read unless asked for. */
import { connect, type Socket } from 'node:net';
import type { Endpoint } from '../../../src/platform/network.js';

const CONNECT_MS = 10_000;
const MAGIC = 0xdf57;
const VERSION = 1;

export class HostilePeer {
  readonly #socket: Socket;
  #receivedBytes = 0;
  #isClosed = false;

  /** @param socket connected; one that has proved to be a member's can do more */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
    socket.on('error', () => undefined);
    socket.on('close', () => (this.#isClosed = true));
  }

  static async connect({ host, port }: Endpoint): Promise<HostilePeer> {
    return await new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error('could not connect')));
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        socket.setTimeout(0);
        resolve(new HostilePeer(socket));
      });
    });
  }

  /** Whether the server has closed it. Noticed only by one that reads. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Resolves when the system has taken the bytes, or the server has closed the connection. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>(resolve => {
      const done = (): void => resolve();
      this.#socket.once('close', done);
      this.#socket.write(bytes, () => {
        this.#socket.removeListener('close', done);
        resolve();
      });
    });
  }

  /** Takes what comes, and throws it away. */
  read(): this {
    this.#socket.on('data', data => (this.#receivedBytes += data.length));
    this.#socket.resume();
    return this;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A frame's first 20 bytes, with whatever lengths. */
export function prefixOf(command: number, headerBytes: number, payloadBytes = 0, requestId = 1): Buffer {
  const prefix = Buffer.alloc(20);
  prefix.writeUInt16LE(MAGIC, 0);
  prefix.writeUInt8(VERSION, 2);
  prefix.writeUInt16LE(command, 4);
  prefix.writeUInt32LE(requestId, 8);
  prefix.writeUInt32LE(headerBytes, 12);
  prefix.writeUInt32LE(payloadBytes, 16);
  return prefix;
}
