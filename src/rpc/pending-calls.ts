/** Requests of a connection that the other end has not answered. */
import { Type } from '@sinclair/typebox';
import { MessageShape } from '../protocol/command.js';
import { DfsError, isErrnoName, toDfsError } from '../protocol/errors.js';
import { FrameKind, type Frame } from '../protocol/frame.js';

/** Characters of a message that the other end may have. */
const MAX_MESSAGE_LENGTH = 4096;

export const ErrorMessage = new MessageShape(
  'error reply',
  Type.Object({ code: Type.String(), message: Type.String() }),
);

const MAX_REQUEST_ID = 0xffff_ffff;

/** Who waits for an answer. */
export interface PendingCall {
  /** Of its answer, at the most. */
  readonly payloadBytes: number;
  readonly resolve: (frame: Frame) => void;
  readonly reject: (error: DfsError) => void;
}

export class PendingCalls {
  /** request id → who waits for its answer */
  readonly #calls = new Map<number, PendingCall>();
  #nextRequestId = 1;
  #hasAsked = false;
  #mostPayloadBytes = 0;

  get size(): number {
    return this.#calls.size;
  }

  /** Whether there was ever any. */
  get hasAsked(): boolean {
    return this.#hasAsked;
  }

  /** The longest payload of an answer to any of them; those given up may be answered late. */
  get mostPayloadBytes(): number {
    return this.#mostPayloadBytes;
  }

  /** Returns the number that its request has. */
  add(call: PendingCall): number {
    this.#hasAsked = true;
    this.#mostPayloadBytes = Math.max(this.#mostPayloadBytes, call.payloadBytes);
    do {
      this.#nextRequestId = this.#nextRequestId >= MAX_REQUEST_ID ? 1 : this.#nextRequestId + 1;
    } while (this.#calls.has(this.#nextRequestId));
    this.#calls.set(this.#nextRequestId, call);
    return this.#nextRequestId;
  }

  /** The caller waits no longer. */
  giveUp(requestId: number): void {
    this.#calls.delete(requestId);
  }

  /** A reply, or an error, came; its caller may have given up. */
  answer(frame: Frame): void {
    const call = this.#calls.get(frame.requestId);
    if (!call) return;
    this.#calls.delete(frame.requestId);
    if (frame.kind === FrameKind.reply) call.resolve(frame);
    else call.reject(decodeError(frame));
  }

  /** None of them will be answered. */
  fail(reason: DfsError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(reason);
  }
}

function decodeError(frame: Frame): DfsError {
  try {
    const { code, message } = ErrorMessage.decode(frame.header);
    return new DfsError(isErrnoName(code) ? code : 'EIO', message.slice(0, MAX_MESSAGE_LENGTH), {
      isAnswer: true,
    });
  } catch (error) {
    return toDfsError(error);
  }
}
