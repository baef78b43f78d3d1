/** Messages between two processes of one machine: over a Unix socket, each with its length before it (4 bytes, big-endian). */
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { rename, rm } from 'node:fs/promises';
import { isDoneWithin, type Clock } from './clock.js';

const LENGTH_BYTES = 4;
/** More than the longest message of an honest peer. */
const MAX_MESSAGE_BYTES = 256 << 20;

/** The other process is gone, silent, or sends what is no message. */
export class LocalMessageError extends Error {
  override readonly name = 'LocalMessageError';
  readonly code: 'ECONNRESET' | 'ETIMEDOUT' | 'EPROTO';

  constructor(code: 'ECONNRESET' | 'ETIMEDOUT' | 'EPROTO', message: string) {
    super(message);
    this.code = code;
  }
}

export class LocalMessages {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #messages: AsyncGenerator<Buffer, undefined>;

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    this.#messages = messagesOf(socket);
    // Whoever sends or receives hears of it.
    socket.on('error', () => undefined);
  }

  /** ENOENT, ECONNREFUSED, EACCES, … */
  static async connect(path: string, clock: Clock): Promise<LocalMessages> {
    const socket = createConnection(path);
    await once(socket, 'connect');
    return new LocalMessages(socket, clock);
  }

  /** Resolves when the system has room for more. ECONNRESET. */
  async send(message: Uint8Array): Promise<void> {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(message.length);
    this.#socket.write(length);
    if (this.#socket.write(message) || this.#socket.destroyed) return;
    const isClosed = once(this.#socket, 'close').then(() => true);
    if (await Promise.race([once(this.#socket, 'drain').then(() => false), isClosed])) throw gone();
  }

  /**
   * The next message. One receiver at a time. ETIMEDOUT, ECONNRESET, EPROTO.
   * @param patienceMs left out: as long as it takes
   */
  async receive(patienceMs?: number): Promise<Buffer> {
    const next = this.#messages.next();
    if (patienceMs !== undefined && !(await isDoneWithin(this.#clock, patienceMs, next))) {
      throw new LocalMessageError('ETIMEDOUT', 'the other process does not answer');
    }
    const { value } = await next;
    if (!value) throw gone();
    return value;
  }

  /** May be called twice. What was sent arrives. */
  close(): void {
    this.#socket.end();
    this.#socket.unref();
  }
}

async function* messagesOf(socket: Socket): AsyncGenerator<Buffer, undefined> {
  let pieces: Buffer[] = [];
  let bytes = 0;
  let wanted: number | undefined;
  try {
    for await (const piece of socket as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      while (bytes >= (wanted ?? LENGTH_BYTES)) {
        const all = Buffer.concat(pieces);
        const end = wanted ?? LENGTH_BYTES;
        if (wanted === undefined) {
          wanted = all.readUInt32BE(0);
          if (wanted > MAX_MESSAGE_BYTES) throw new LocalMessageError('EPROTO', 'a message is too long');
        } else {
          wanted = undefined;
          yield all.subarray(0, end);
        }
        pieces = [all.subarray(end)];
        bytes -= end;
      }
    }
  } catch (error) {
    throw error instanceof LocalMessageError ? error : gone();
  }
  return undefined;
}

function gone(): LocalMessageError {
  return new LocalMessageError('ECONNRESET', 'the other process has ended');
}

/** A Unix socket that others connect to. */
export interface LocalListener {
  /** Stops listening, and removes the socket unless another process has put its own in its place. May be called twice. */
  close(): void;
}

/**
 * Listens at `path`, in the place of whatever socket is there: a directory that nobody else may reach keeps others out. EACCES, ENOENT,
 * …
 */
export async function listenLocally(
  path: string,
  clock: Clock,
  onConnection: (messages: LocalMessages) => void,
): Promise<LocalListener> {
  const server: Server = createServer(socket => onConnection(new LocalMessages(socket, clock)));
  // Under a name of its own first, which Node removes when the server is closed: under the other one there may be a successor's by then.
  const own = `${path}.${process.pid}`;
  await rm(own, { force: true });
  server.listen(own);
  await once(server, 'listening');
  await rename(own, path);
  server.unref();
  return { close: () => void server.close() };
}
