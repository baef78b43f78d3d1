/**
 * One byte stream between two programs, carrying many requests at once in both directions. Owns the stream: closing
 * the connection destroys it and fails every call still waiting.
 */
import { Type, type Static, type TSchema } from '@sinclair/typebox';
import type { Clock, Timer } from '../platform/clock.js';
import { formatDuration } from '../platform/duration.js';
import type { Logger } from '../platform/log.js';
import type { ByteStream } from '../platform/network.js';
import {
  encodeMessage,
  MessageShape,
  type Command,
  type ReplyOf,
  type RequestOf,
} from '../protocol/command.js';
import { DfsError, isErrnoName, toDfsError } from '../protocol/errors.js';
import {
  encodePrefix,
  FrameDecoder,
  FrameKind,
  NO_PAYLOAD,
  payloadBytes,
  type Frame,
  type Payload,
} from '../protocol/frame.js';
import type { PayloadMemory } from './payload-memory.js';

/** What a call brought back. */
export interface Answer<Reply> {
  readonly reply: Reply;
  readonly payload: Payload;
}

export interface CallOptions {
  readonly payload?: Payload;
  /** Rejects with ETIMEDOUT when no answer came by then. */
  readonly timeoutMs: number;
}

/** What a handler knows about the request besides its header. */
export interface CallContext {
  readonly payload: Payload;
  readonly connection: RpcConnection;
  /**
   * Waits until the server's memory has room for a reply of so many payload bytes, and counts them until the reply is
   * sent. For handlers whose replies are large.
   */
  reserve(bytes: number): Promise<void>;
}

/** Answers one command: the reply alone, or the reply with a payload. */
export type Handler<C extends Command> = (
  request: RequestOf<C>,
  context: CallContext,
) => Promise<ReplyOf<C> | Answer<ReplyOf<C>>>;

interface Route {
  readonly command: Command;
  readonly handle: (request: unknown, context: CallContext) => Promise<unknown>;
}

const ANSWER = Symbol('answer');

/** A reply with a payload. */
export function withPayload<Reply>(reply: Reply, payload: Payload): Answer<Reply> {
  return Object.assign({ reply, payload }, { [ANSWER]: true });
}

function isAnswer(value: unknown): value is Answer<unknown> {
  return typeof value === 'object' && value !== null && ANSWER in value;
}

/** The commands that one end of a connection answers. */
export class Routes {
  /** command number → route */
  readonly #routes = new Map<number, Route>();
  readonly #otherwise: Routes | undefined;

  /** @param otherwise answers what is not known here */
  constructor(otherwise?: Routes) {
    this.#otherwise = otherwise;
  }

  on<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    handler: Handler<Command<Request, Reply>>,
  ): this {
    // `request` was checked against the command's own shape before it gets here, so the cast says what is known.
    const handle = async (request: unknown, context: CallContext): Promise<unknown> =>
      await handler(request as RequestOf<Command<Request, Reply>>, context);
    this.#routes.set(command.number, { command: command as unknown as Command, handle });
    return this;
  }

  find(commandNumber: number): Route | undefined {
    return this.#routes.get(commandNumber) ?? this.#otherwise?.find(commandNumber);
  }
}

const ErrorMessage = new MessageShape(
  'error reply',
  Type.Object({ code: Type.String(), message: Type.String() }),
);

/** Requests of one connection that are being answered before it is read no further. */
const MAX_REQUESTS_AT_ONCE = 512;
/** The same while we wait for answers of the other side, which come by the same stream as its requests. */
const MAX_REQUESTS_WHILE_ASKING = 16 * MAX_REQUESTS_AT_ONCE;
/** Payload bytes of such requests. */
const MAX_PAYLOAD_AT_ONCE_BYTES = 64 << 20;
/** A peer that takes nothing of what it asked for during this time is gone, or might as well be. */
const STALLED_PEER_MS = 60_000;

interface PendingCall {
  readonly command: Command;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: DfsError) => void;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly routes: Routes;
  /** A look at each request before it is answered; throws to refuse it. */
  readonly admit?: (command: Command) => void;
  /** What the payloads of all connections of the server may take together; without it only this one is bounded. */
  readonly memory?: PayloadMemory;
}

export class RpcConnection {
  readonly remote: string;
  readonly #bytes: ByteStream;
  readonly #options: ConnectionOptions;
  readonly #decoder = new FrameDecoder();
  /** request id → who waits for its answer */
  readonly #pending = new Map<number, PendingCall>();
  readonly #closeListeners: ((reason: DfsError) => void)[] = [];
  #nextRequestId = 1;
  #closeReason: DfsError | undefined;
  #requestsAtOnce = 0;
  #payloadAtOnceBytes = 0;
  #isReadingPaused = false;
  /** Runs while the peer does not take what was sent. */
  #stallTimer: Timer | undefined;
  #stopListening: (() => void) | undefined;
  #isCorked = false;
  /** Resolvers of calls that wait until the stream takes more. */
  #waitingForDrain: (() => void)[] = [];

  constructor(bytes: ByteStream, options: ConnectionOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.remote = `${bytes.remote.host}:${bytes.remote.port}`;
  }

  /** Begins to read. */
  start(): void {
    const { stream } = this.#bytes;
    this.#stopListening = this.#options.memory?.onRoom(() => this.#applyBackpressure());
    stream.on('data', (data: Buffer) => this.#receive(data));
    stream.on('drain', () => this.#drained());
    stream.on('error', error => this.close(toDfsError(error)));
    stream.on('end', () => this.close(new DfsError('ECONNRESET', `${this.remote} closed the connection`)));
    stream.on('close', () =>
      this.close(new DfsError('ECONNRESET', `the connection to ${this.remote} broke`)),
    );
  }

  /** The address of this end, by which the other end sees us. */
  get localHost(): string {
    return this.#bytes.local.host;
  }

  get isClosed(): boolean {
    return this.#closeReason !== undefined;
  }

  /** Calls `listener` once when the connection is closed, at once if it already is. */
  onClose(listener: (reason: DfsError) => void): void {
    if (this.#closeReason) listener(this.#closeReason);
    else this.#closeListeners.push(listener);
  }

  /**
   * Sends a request and waits for its answer. Rejects with the error that the other side answered, with ETIMEDOUT, or
   * with the reason for which the connection was lost (ECONNRESET, …).
   */
  async call<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Static<Request>,
    options: CallOptions,
  ): Promise<Answer<Static<Reply>>> {
    const frame = await this.#exchange(command, command.request.encode(request), options);
    return { reply: command.reply.decode(frame.header), payload: frame.payload };
  }

  /** Closes the stream; waiting calls fail with `reason`. May be called twice. */
  close(reason = new DfsError('ECONNRESET', 'the connection was closed')): void {
    if (this.#closeReason) return;
    this.#closeReason = reason;
    this.#stallTimer?.cancel();
    this.#stopListening?.();
    this.#bytes.stream.destroy();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of waiting) call.reject(reason);
    this.#wakeSenders();
    for (const listener of this.#closeListeners.splice(0)) listener(reason);
  }

  async #exchange(command: Command, header: Buffer, options: CallOptions): Promise<Frame> {
    const payload = options.payload ?? NO_PAYLOAD;
    while (this.#bytes.stream.writableNeedDrain && !this.#closeReason) {
      await new Promise<void>(resolve => this.#waitingForDrain.push(resolve));
    }
    if (this.#closeReason) throw this.#closeReason;
    const requestId = this.#takeRequestId();
    return await new Promise<Frame>((resolve, reject) => {
      const timer = this.#options.clock.setTimer(options.timeoutMs, () => {
        this.#pending.delete(requestId);
        reject(
          new DfsError(
            'ETIMEDOUT',
            `${this.remote} did not answer '${command.name}' within ${formatDuration(options.timeoutMs)}`,
          ),
        );
      });
      this.#pending.set(requestId, {
        command,
        resolve(frame) {
          timer.cancel();
          resolve(frame);
        },
        reject(error) {
          timer.cancel();
          reject(error);
        },
      });
      this.#send(FrameKind.request, command.number, requestId, header, payload);
      if (this.#isReadingPaused) this.#applyBackpressure();
    });
  }

  #takeRequestId(): number {
    do {
      this.#nextRequestId = this.#nextRequestId >= 0xffff_ffff ? 1 : this.#nextRequestId + 1;
    } while (this.#pending.has(this.#nextRequestId));
    return this.#nextRequestId;
  }

  /** @param onSent called when the system has taken the frame, or the connection is lost */
  #send(
    kind: FrameKind,
    commandNumber: number,
    requestId: number,
    header: Buffer,
    payload: Payload,
    onSent?: () => void,
  ): void {
    const { stream } = this.#bytes;
    if (this.#closeReason || stream.destroyed) {
      onSent?.();
      return;
    }
    const prefix = encodePrefix(kind, commandNumber, requestId, header.length, payloadBytes(payload));
    this.#corkForThisTurn();
    stream.write(Buffer.concat([prefix, header]));
    for (const [index, piece] of payload.entries()) {
      if (onSent && index === payload.length - 1) stream.write(piece, onSent);
      else stream.write(piece);
    }
    if (payload.length === 0) onSent?.();
    if (stream.writableNeedDrain) this.#watchForStall();
  }

  /** Frames that are sent in one turn, such as the replies of one transaction, go out in one system call. */
  #corkForThisTurn(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const { stream } = this.#bytes;
    stream.cork();
    queueMicrotask(() => {
      this.#isCorked = false;
      stream.uncork();
    });
  }

  #watchForStall(): void {
    this.#stallTimer ??= this.#options.clock.setTimer(
      STALLED_PEER_MS,
      () => this.close(new DfsError('ETIMEDOUT', `${this.remote} takes no data`)),
      true,
    );
  }

  #receive(data: Buffer): void {
    let frames: Frame[];
    try {
      frames = this.#decoder.push(data);
    } catch (error) {
      const reason = toDfsError(error);
      this.#options.log.warn(
        { remote: this.remote, reason: reason.message },
        'closing a connection: bad frame',
      );
      this.close(reason);
      return;
    }
    for (const frame of frames) this.#dispatch(frame);
  }

  #dispatch(frame: Frame): void {
    if (frame.kind === FrameKind.request) {
      void this.#answer(frame);
      return;
    }
    const call = this.#pending.get(frame.requestId);
    if (!call) return; // its caller gave up waiting
    this.#pending.delete(frame.requestId);
    if (frame.kind === FrameKind.reply) {
      call.resolve(frame);
      return;
    }
    call.reject(this.#decodeError(frame));
  }

  #decodeError(frame: Frame): DfsError {
    try {
      const { code, message } = ErrorMessage.decode(frame.header);
      return new DfsError(isErrnoName(code) ? code : 'EIO', message, { isAnswer: true });
    } catch (error) {
      return toDfsError(error);
    }
  }

  async #answer(frame: Frame): Promise<void> {
    const { memory } = this.#options;
    const bytes = payloadBytes(frame.payload);
    let reservedBytes = 0;
    this.#requestsAtOnce += 1;
    this.#payloadAtOnceBytes += bytes;
    memory?.hold(bytes);
    this.#applyBackpressure();
    const context: CallContext = {
      payload: frame.payload,
      connection: this,
      reserve: async wantedBytes => {
        await memory?.reserve(wantedBytes);
        reservedBytes += wantedBytes;
      },
    };
    try {
      const route = this.#options.routes.find(frame.command);
      if (!route) throw new DfsError('ENOSYS', `command ${frame.command} is not known here`);
      this.#options.admit?.(route.command);
      const request = route.command.request.decode(frame.header);
      const result = await route.handle(request, context);
      const { reply, payload } = isAnswer(result) ? result : { reply: result, payload: NO_PAYLOAD };
      const sentBytes = reservedBytes;
      reservedBytes = 0;
      this.#send(FrameKind.reply, frame.command, frame.requestId, encodeMessage(reply), payload, () =>
        memory?.release(sentBytes),
      );
    } catch (error) {
      if (!(error instanceof DfsError))
        this.#options.log.error({ err: error, command: frame.command }, 'request failed');
      const { code, message } = toDfsError(error);
      this.#send(
        FrameKind.error,
        frame.command,
        frame.requestId,
        ErrorMessage.encode({ code, message }),
        NO_PAYLOAD,
      );
    } finally {
      this.#requestsAtOnce -= 1;
      this.#payloadAtOnceBytes -= bytes;
      memory?.release(bytes + reservedBytes);
      this.#applyBackpressure();
    }
  }

  /**
   * Stops reading while too much is being answered or the other side does not take its answers. Who waits for answers
   * reads on all the longer: our answers to its requests may depend on them (a change waits for `revoke`), and two ends
   * that both stop reading until the other one reads would wait for ever.
   */
  #applyBackpressure(): void {
    const { stream } = this.#bytes;
    const isAsking = this.#pending.size > 0;
    const isFull =
      this.#requestsAtOnce >= (isAsking ? MAX_REQUESTS_WHILE_ASKING : MAX_REQUESTS_AT_ONCE) ||
      this.#payloadAtOnceBytes >= MAX_PAYLOAD_AT_ONCE_BYTES ||
      (stream.writableNeedDrain && this.#requestsAtOnce > 0 && !isAsking) ||
      (this.#options.memory?.isFull === true && this.#requestsAtOnce > 0);
    if (isFull === this.#isReadingPaused) return;
    this.#isReadingPaused = isFull;
    if (isFull) stream.pause();
    else stream.resume();
  }

  #drained(): void {
    this.#stallTimer?.cancel();
    this.#stallTimer = undefined;
    this.#wakeSenders();
    this.#applyBackpressure();
  }

  #wakeSenders(): void {
    for (const wake of this.#waitingForDrain.splice(0)) wake();
  }
}
