/** The sending half of a connection: gathers frames for few system calls, and tracks what the peer takes. */
import type { ByteStream } from '../platform/network.js';
import { payloadBytes } from '../platform/payload.js';
import { encodePrefix, type FrameKind, type Payload } from '../protocol/frame.js';

/**
 * A connection with more bytes than this to send, besides those that memory was reserved for, begins to answer no further
 * requests until they are taken.
 */
const MAX_UNSENT_BYTES = 1 << 20;

/** What of a frame is not said by its header and payload. */
export interface FrameNumbers {
  readonly kind: FrameKind;
  readonly command: number;
  readonly requestId: number;
  /** As in Frame. */
  readonly passesOn?: number | undefined;
}

export class Outgoing {
  readonly #bytes: ByteStream;
  #handedBytes = 0;
  /** Of what is unsent, what memory was reserved for. */
  #reservedBytes = 0;
  #isCorked = false;
  /** Those who wait until the stream takes more. */
  #waiting: (() => void)[] = [];

  constructor(bytes: ByteStream) {
    this.#bytes = bytes;
  }

  /** Whether the system takes no more at the moment. */
  get isBlocked(): boolean {
    return this.#bytes.stream.writableNeedDrain;
  }

  /** Whether so much is to be sent that no more is to be made. */
  get isOver(): boolean {
    return this.#bytes.stream.writableLength - this.#reservedBytes > MAX_UNSENT_BYTES;
  }

  /** Something was sent of which the system has not taken everything. */
  get isUnsent(): boolean {
    return this.#bytes.stream.writableLength > 0;
  }

  /** Grows whenever the other end takes a byte of what waits. */
  get takenBytes(): number {
    return this.#handedBytes - this.#bytes.stream.writableLength - (this.#bytes.queuedBytes?.() ?? 0);
  }

  /**
   * @param reservedBytes of memory that are the frame's
   * @param onSent called when the system has taken the frame, or the connection is lost
   */
  sendReserved(
    frame: FrameNumbers,
    header: Buffer,
    payload: Payload,
    reservedBytes: number,
    onSent: () => void,
  ): void {
    this.#reservedBytes += reservedBytes;
    this.send(frame, header, payload, () => {
      this.#reservedBytes -= reservedBytes;
      onSent();
    });
  }

  /** @param onSent called when the system has taken the frame, or the connection is lost */
  send(frame: FrameNumbers, header: Buffer, payload: Payload, onSent?: () => void): void {
    const { stream } = this.#bytes;
    if (stream.destroyed) {
      onSent?.();
      return;
    }
    const bytes = payloadBytes(payload);
    const prefix = encodePrefix({
      ...frame,
      passesOn: frame.passesOn ?? 0,
      headerBytes: header.length,
      payloadBytes: bytes,
    });
    this.#corkForThisTurn();
    const pieces = [Buffer.concat([prefix, header]), ...payload];
    this.#handedBytes += prefix.length + header.length + bytes;
    for (const [index, piece] of pieces.entries()) {
      if (onSent && index === pieces.length - 1) stream.write(piece, onSent);
      else stream.write(piece);
    }
  }

  /** Calls `onDrain` when the stream takes more, or will not take anything any more. */
  whenDrained(onDrain: () => void): void {
    this.#waiting.push(onDrain);
  }

  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
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
}
