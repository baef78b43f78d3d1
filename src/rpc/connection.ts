/**
 * One byte stream between two programs, carrying many requests at once in both directions. Owns the stream: closing
 * the connection destroys it and fails every call still waiting.
 */
import type { Static, TSchema } from '@sinclair/typebox';
import type { AlignedBuffers } from '../platform/aligned-buffers.js';
import type { Clock } from '../platform/clock.js';
import { formatDuration } from '../platform/duration.js';
import type { Logger } from '../platform/log.js';
import type { ByteStream, Receiver } from '../platform/network.js';
import type { Command } from '../protocol/command.js';
import { DfsError, toDfsError } from '../protocol/errors.js';
import { freePayload, payloadBytes } from '../platform/payload.js';
import {
  frameBytes,
  FrameKind,
  MOST,
  NO_PAYLOAD,
  type Frame,
  type FrameLimits,
  type Payload,
} from '../protocol/frame.js';
import { DEFAULT_REQUEST_BYTES, MAX_STRANGER_BYTES } from '../protocol/limits.js';
import { encodeMessage } from '../protocol/message.js';
import type { ClosingLog } from './closing-log.js';
import type { Member } from './member.js';
import { claimOfFrame, Incoming } from './incoming.js';
import { isLargeMessage, largeMessages } from './large-messages.js';
import { Outgoing } from './outgoing.js';
import { ErrorMessage, PendingCalls } from './pending-calls.js';
import {
  isAnswer,
  type Answer,
  type CallContext,
  type CallOptions,
  type PeerConnection,
  type Routes,
} from './routes.js';
import { StallWatch } from './stall-watch.js';
import type { WireMemory } from './wire-memory.js';

/** Requests of one connection that are being answered, or wait to be, before it is read no further. */
const MAX_REQUESTS_AT_ONCE = 512;
/** The same while we wait for answers of the other side, which come by the same stream as its requests. */
const MAX_REQUESTS_WHILE_ASKING = 16 * MAX_REQUESTS_AT_ONCE;
/** Shorter replies are not counted one by one: a connection has few of them before its system takes no more. */
const UNCOUNTED_REPLY_BYTES = 1024;
/** Bytes of such requests. */
const MAX_BYTES_AT_ONCE = 64 << 20;
/** What a peer may send that has nothing to ask: answers that nobody waits for. */
const UNASKED: FrameLimits = { headerBytes: DEFAULT_REQUEST_BYTES, payloadBytes: 0 };

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly routes: Routes;
  /** A look at each request before it is read; throws to refuse it. */
  readonly admit?: (command: Command) => void;
  /** Whether the peer has proved what it is; before that, next to nothing may come. Default: it need not. */
  readonly isProven?: () => boolean;
  /** What the peer has proved to be. */
  readonly member?: () => Member | undefined;
  /** What all connections of the server may take together; without it only this one is bounded. */
  readonly memory?: WireMemory;
  /** Where large payloads of requests are received; without it, wherever there is memory. */
  readonly buffers?: AlignedBuffers | undefined;
  /** Where it is said why connections are closed; default: `log`. */
  readonly closings?: ClosingLog;
}

export class RpcConnection implements PeerConnection {
  /** What the server at the other end says that it can do (protocol/version.ts); names of a newer version may be among them. */
  capabilities: readonly string[] = [];
  readonly remote: string;
  readonly #bytes: ByteStream;
  readonly #options: ConnectionOptions;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #watch: StallWatch;
  readonly #pending = new PendingCalls();
  readonly #closeListeners: ((reason: DfsError) => void)[] = [];
  #closeReason: DfsError | undefined;
  /** Requests that were received and wait to be begun, in order. */
  #waiting: Frame[] = [];
  #isWaitingForTurn = false;
  /** Requests that wait or are being answered, and their bytes. */
  #requestsAtOnce = 0;
  #bytesAtOnce = 0;
  #isReadingPaused = false;
  #stopListening: (() => void) | undefined;
  /** A request came since `takeActivity`. */
  #wasActive = true;
  #isKept = false;

  constructor(bytes: ByteStream, options: ConnectionOptions) {
    this.#options = options;
    this.remote = `${bytes.remote.host}:${bytes.remote.port}`;
    this.#incoming = new Incoming({
      limitsOf: (kind, command) => this.#limitsOf(kind, command),
      memory: options.memory,
      buffers: options.buffers,
      isProven: () => options.isProven?.() !== false,
      onFrame: frame => this.#dispatch(frame),
      onBroken: error => this.#closeFor(toDfsError(error)),
      onHeldChange: () => this.#applyBackpressure(),
    });
    this.#bytes = options.buffers && bytes.withReceiver ? bytes.withReceiver(this.#receiver()) : bytes;
    this.#outgoing = new Outgoing(this.#bytes);
    this.#watch = new StallWatch({
      clock: options.clock,
      incoming: this.#incoming,
      outgoing: this.#outgoing,
      isRead: () => !this.#isReadingPaused,
      isMemoryShort: () => options.memory?.isShort === true,
      onStalled: reason => this.#closeFor(new DfsError('ETIMEDOUT', `${this.remote} ${reason}`)),
    });
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
    // It broke before anybody listened.
    if (stream.destroyed) this.close(new DfsError('ECONNRESET', `the connection to ${this.remote} broke`));
  }

  get remoteHost(): string {
    return this.#bytes.remote.host;
  }

  /** The address of this end, by which the other end sees us. */
  get localHost(): string {
    return this.#bytes.local.host;
  }

  /** What the other end, which made this connection, has proved to be. */
  get member(): Member | undefined {
    return this.#options.member?.();
  }

  get isClosed(): boolean {
    return this.#closeReason !== undefined;
  }

  /** Something depends on this connection, so that it is not closed for being idle. */
  keep(): void {
    this.#isKept = true;
  }

  get isKept(): boolean {
    return this.#isKept || this.#requestsAtOnce > 0 || this.#pending.size > 0;
  }

  /** Whether a request came since this was asked last. */
  takeActivity(): boolean {
    const wasActive = this.#wasActive;
    this.#wasActive = false;
    return wasActive;
  }

  /** Calls `listener` once when the connection is closed, at once if it already is. */
  onClose(listener: (reason: DfsError) => void): void {
    if (this.#closeReason) listener(this.#closeReason);
    else this.#closeListeners.push(listener);
  }

  /**
   * Sends a request and waits for its answer. Rejects with the error that the other side answered, with ETIMEDOUT, or
   * with the reason for which the connection was lost (ECONNRESET, …); E2BIG for more than the command allows.
   */
  async call<Request extends TSchema, Reply extends TSchema>(
    command: Command<Request, Reply>,
    request: Static<Request>,
    options: CallOptions,
  ): Promise<Answer<Static<Reply>>> {
    const header = command.request.encode(request);
    const { maxRequestBytes, maxPayloadBytes, name } = command;
    if (header.length > maxRequestBytes || payloadBytes(options.payload ?? NO_PAYLOAD) > maxPayloadBytes) {
      throw new DfsError('E2BIG', `a request '${name}' of ${header.length} bytes is longer than it may be`);
    }
    const frame = await this.#exchange(command, header, options, command.replyPayloadBytes(request));
    return { reply: command.reply.decode(frame.header), payload: frame.payload };
  }

  /** Closes the stream; waiting calls fail with `reason`, and waiting requests are dropped. May be called twice. */
  close(reason = new DfsError('ECONNRESET', 'the connection was closed')): void {
    if (this.#closeReason) return;
    this.#closeReason = reason;
    this.#watch.stop();
    this.#stopListening?.();
    this.#bytes.stream.destroy();
    this.#pending.fail(reason);
    this.#outgoing.wake();
    this.#incoming.close();
    this.#options.memory?.leave(this);
    for (const frame of this.#waiting.splice(0)) {
      this.#release(frame);
      // Nobody has seen it.
      this.#options.buffers?.give(frame.payload);
    }
    for (const listener of this.#closeListeners.splice(0)) listener(reason);
  }

  /** For what the other end did: somebody should know. */
  #closeFor(reason: DfsError): void {
    if (this.#closeReason) return;
    const { closings, log } = this.#options;
    if (closings) closings.note(this.remote, reason.message);
    else log.warn({ remote: this.remote, reason: reason.message }, 'closing a connection');
    this.close(reason);
  }

  /** @param replyPayloadBytes of the answer, at the most */
  async #exchange(
    command: Command,
    header: Buffer,
    options: CallOptions,
    replyPayloadBytes: number,
  ): Promise<Frame> {
    const { payload = NO_PAYLOAD, timeoutMs, passesOn } = options;
    return await new Promise<Frame>((resolve, reject) => {
      let requestId: number | undefined;
      let isOver = false;
      // What the caller does with its payload when it has the answer must not change what is sent.
      let isSent = payload.length === 0;
      let early: Frame | undefined;
      const { clock } = this.#options;
      const timer = clock.setTimer(timeoutMs, () => {
        // A process that was stopped, and goes on, sees its timers before the answers that came meanwhile.
        clock.atNextTurn(() => {
          if (isOver) return;
          isOver = true;
          if (requestId !== undefined) this.#pending.giveUp(requestId);
          const text = `${this.remote} did not answer '${command.name}' within ${formatDuration(timeoutMs)}`;
          reject(new DfsError('ETIMEDOUT', text));
        });
      });
      const settle = (): void => {
        isOver = true;
        timer.cancel();
      };
      const fail = (error: DfsError): void => {
        settle();
        reject(error);
      };
      const succeed = (frame: Frame): void => {
        if (isOver) return;
        settle();
        resolve(frame);
      };
      const trySend = (): void => {
        if (isOver) return;
        if (this.#closeReason) {
          fail(this.#closeReason);
          return;
        }
        if (this.#outgoing.isBlocked) {
          this.#outgoing.whenDrained(trySend);
          return;
        }
        requestId = this.#pending.add({
          payloadBytes: replyPayloadBytes,
          resolve(frame) {
            if (isSent) succeed(frame);
            else early = frame;
          },
          reject: fail,
        });
        const numbers = { kind: FrameKind.request, command: command.number, requestId, passesOn };
        const onSent = (): void => {
          isSent = true;
          if (early) succeed(early);
        };
        this.#send(numbers, header, payload, isSent ? undefined : onSent);
        if (this.#isReadingPaused) this.#applyBackpressure();
      };
      trySend();
    });
  }

  #send(...frame: Parameters<Outgoing['send']>): void {
    this.#outgoing.send(...frame);
    if (this.#outgoing.isBlocked) this.#watch.start();
  }

  #limitsOf(kind: FrameKind, commandNumber: number): FrameLimits {
    if (kind !== FrameKind.request) {
      const { hasAsked, mostPayloadBytes } = this.#pending;
      return hasAsked ? { headerBytes: MOST.headerBytes, payloadBytes: mostPayloadBytes } : UNASKED;
    }
    const command = this.#options.routes.find(commandNumber)?.command;
    return command
      ? { headerBytes: command.maxRequestBytes, payloadBytes: command.maxPayloadBytes }
      : UNASKED;
  }

  #receiver(): Receiver {
    return {
      room: () => this.#incoming.room(),
      received: bytes => {
        this.#incoming.received(bytes);
        this.#noteReceived();
      },
    };
  }

  #receive(data: Buffer): void {
    this.#incoming.receive(data);
    this.#noteReceived();
  }

  #noteReceived(): void {
    if (this.#closeReason) return;
    if (this.#options.isProven?.() === false && this.#incoming.receivedBytes > MAX_STRANGER_BYTES) {
      this.#closeFor(
        new DfsError(
          'EACCES',
          `${this.remote} sent more than ${MAX_STRANGER_BYTES} bytes before it proved its key`,
        ),
      );
      return;
    }
    if (this.#incoming.isHeld) this.#applyBackpressure();
    if (this.#incoming.isInside) this.#watch.start();
  }

  #dispatch(frame: Frame): void {
    if (frame.kind === FrameKind.request) {
      this.#wasActive = true;
      this.#requestsAtOnce += 1;
      this.#bytesAtOnce += frameBytes(frame);
      this.#waiting.push(frame);
      this.#beginWaiting();
      this.#applyBackpressure();
      return;
    }
    this.#options.memory?.releaseClaim(claimOfFrame(frame));
    this.#pending.answer(frame);
  }

  /** In the order in which they came, as long as the other end takes its replies. */
  #beginWaiting(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (!next || this.#isWaitingForTurn || !this.#takesReplies) return;
      if (isLargeMessage(next)) {
        this.#isWaitingForTurn = true;
        largeMessages.whenTurn(this.#options.clock, () => {
          this.#isWaitingForTurn = false;
          this.#beginNext();
          this.#beginWaiting();
        });
        return;
      }
      this.#beginNext();
    }
  }

  get #takesReplies(): boolean {
    if (this.#outgoing.isOver) return false;
    return !this.#outgoing.isBlocked || this.#options.memory?.isFullOfReplies !== true;
  }

  #beginNext(): void {
    const frame = this.#waiting.shift();
    if (frame) void this.#answer(frame);
  }

  /** Never rejects. */
  async #answer(frame: Frame): Promise<void> {
    const { memory } = this.#options;
    let reservedBytes = 0;
    let isFree = false;
    const context: CallContext = {
      freePayload: () => {
        isFree = true;
      },
      payload: frame.payload,
      connection: this,
      reserve: async bytes => {
        if (memory && !(await memory.reserveReply(this, bytes))) throw this.#lost();
        reservedBytes += bytes;
      },
    };
    const { command, requestId } = frame;
    try {
      const route = this.#options.routes.require(command);
      this.#options.admit?.(route.command);
      const request = route.command.request.decode(frame.header);
      const madeBytes = route.command.replyBytes(request);
      if (madeBytes > 0) await context.reserve(madeBytes);
      const result = await route.handle(request, context);
      if (this.#closeReason) return;
      const { reply, payload } = isAnswer(result) ? result : { reply: result, payload: NO_PAYLOAD };
      const header = encodeMessage(reply);
      const numbers = { kind: FrameKind.reply, command, requestId };
      if (memory && (reservedBytes > 0 || header.length > UNCOUNTED_REPLY_BYTES)) {
        const sentBytes = Math.max(reservedBytes, header.length);
        memory.holdReply(this, sentBytes - reservedBytes);
        reservedBytes = 0;
        const onSent = (): void => {
          memory.releaseReply(this, sentBytes);
          this.#beginWaiting();
        };
        this.#outgoing.sendReserved(numbers, header, payload, sentBytes, onSent);
      } else {
        this.#outgoing.send(numbers, header, payload);
      }
      if (this.#outgoing.isBlocked) this.#watch.start();
    } catch (error) {
      if (!(error instanceof DfsError)) this.#options.log.error({ err: error, command }, 'request failed');
      const { code, message } = toDfsError(error);
      const header = ErrorMessage.encode({ code, message });
      if (!this.#closeReason) this.#send({ kind: FrameKind.error, command, requestId }, header, NO_PAYLOAD);
    } finally {
      memory?.releaseReply(this, reservedBytes);
      this.#release(frame);
      if (isFree) this.#freePayload(frame.payload);
      this.#applyBackpressure();
    }
  }

  #lost(): DfsError {
    return this.#closeReason ?? new DfsError('ECONNRESET', 'the connection was closed');
  }

  #freePayload(payload: Payload): void {
    this.#options.buffers?.give(payload);
    freePayload(payload);
  }

  #release(frame: Frame): void {
    this.#requestsAtOnce -= 1;
    this.#bytesAtOnce -= frameBytes(frame);
    this.#options.memory?.releaseClaim(claimOfFrame(frame));
  }

  /**
   * Stops reading while too much is being answered, or memory has no room, or the other side does not take its answers.
   * Who waits for answers reads on all the longer: our answers to its requests may depend on them (a change waits for
   * `revoke`), and two ends that both stop reading until the other one reads would wait for ever. What it reads meanwhile
   * is not begun while its replies are not taken.
   */
  #applyBackpressure(): void {
    if (this.#closeReason) return;
    const { stream } = this.#bytes;
    const isAsking = this.#pending.size > 0;
    const isFull =
      this.#incoming.isHeld ||
      this.#requestsAtOnce >= (isAsking ? MAX_REQUESTS_WHILE_ASKING : MAX_REQUESTS_AT_ONCE) ||
      this.#bytesAtOnce >= MAX_BYTES_AT_ONCE ||
      (this.#outgoing.isBlocked && this.#requestsAtOnce > 0 && !isAsking) ||
      (this.#options.memory?.isFull === true && this.#requestsAtOnce > 0);
    if (isFull === this.#isReadingPaused) return;
    this.#isReadingPaused = isFull;
    if (isFull) stream.pause();
    else stream.resume();
  }

  #drained(): void {
    this.#outgoing.wake();
    this.#beginWaiting();
    this.#applyBackpressure();
  }
}
