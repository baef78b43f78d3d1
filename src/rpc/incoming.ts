/**
 * The receiving half of a connection: cuts the stream into frames, waits until the server's memory has room for each, and
 * tracks the progress of the one that the peer is sending.
 */
import type { AlignedBuffers } from '../platform/aligned-buffers.js';
import type { Receiver } from '../platform/network.js';
import {
  FrameDecoder,
  frameBytes,
  FrameKind,
  type Frame,
  type FrameSize,
  type LimitsOf,
  type Prefix,
} from '../protocol/frame.js';
import { SMALL_REQUEST_BYTES, type Claim, type WireMemory } from './wire-memory.js';

/**
 * What comes and is no large payload is read here, and copied: for all connections of this process, as a read and what is done with
 * its bytes are one step.
 */
const landing = Buffer.allocUnsafeSlow(64 << 10);

export interface IncomingOptions {
  readonly limitsOf: LimitsOf;
  readonly memory: WireMemory | undefined;
  /** Memory for large payloads of requests; undefined: the garbage collector's. */
  readonly buffers: AlignedBuffers | undefined;
  /** Whether the peer has proved what it is; nothing is set aside for one that has not. */
  readonly isProven: () => boolean;
  readonly onFrame: (frame: Frame) => void;
  /** The stream is no DFS stream. */
  readonly onBroken: (error: unknown) => void;
  /** It is to be read, or not, from now on. */
  readonly onHeldChange: () => void;
}

export class Incoming implements Receiver {
  readonly #options: IncomingOptions;
  readonly #decoder: FrameDecoder;
  /** Of the frame that is being received, once there is room for it. */
  #claim: Claim | undefined;
  #giveUpWaiting: (() => void) | undefined;
  #receivedBytes = 0;
  #isClosed = false;
  /** Whether `room` gave memory of the frame that is being received. */
  #isRoomOfFrame = false;

  constructor(options: IncomingOptions) {
    this.#options = options;
    this.#decoder = new FrameDecoder(
      options.limitsOf,
      size => this.#begin(size),
      prefix => this.#roomFor(prefix),
    );
  }

  room(): Buffer {
    const room = this.#decoder.room;
    this.#isRoomOfFrame = room !== undefined;
    return room ?? landing;
  }

  received(bytes: number): void {
    if (this.#isClosed) return;
    if (!this.#isRoomOfFrame) {
      this.receive(Buffer.from(landing.subarray(0, bytes)));
      return;
    }
    this.#receivedBytes += bytes;
    this.#decoder.filled(bytes, this.#takeFrame);
  }

  /** Bytes that have come altogether. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Whether memory has no room for the next frame, so that the stream is not to be read. */
  get isHeld(): boolean {
    return this.#giveUpWaiting !== undefined;
  }

  /** Whether a frame has begun and not ended. */
  get isInside(): boolean {
    return !this.#decoder.isAtBoundary;
  }

  receive(data: Buffer): void {
    this.#receivedBytes += data.length;
    this.#cut(data);
  }

  /** Nothing more is received; what was begun takes no more memory. */
  close(): void {
    this.#isClosed = true;
    this.#giveUpWaiting?.();
    this.#giveUpWaiting = undefined;
    if (this.#claim) this.#options.memory?.releaseClaim(this.#claim);
    this.#claim = undefined;
    this.#options.buffers?.give(this.#decoder.abandon());
  }

  readonly #takeFrame = (frame: Frame): boolean => {
    // Whoever takes the frame lets its memory go.
    this.#claim = undefined;
    this.#options.onFrame(frame);
    return !this.#isClosed;
  };

  #cut(data: Buffer): void {
    try {
      this.#decoder.push(data, this.#takeFrame);
    } catch (error) {
      this.#options.onBroken(error);
    }
  }

  #roomFor({ kind, payloadBytes }: Prefix): Buffer | undefined {
    const { buffers, isProven } = this.#options;
    return kind === FrameKind.request && isProven() ? buffers?.take(payloadBytes) : undefined;
  }

  #begin(size: FrameSize): boolean {
    const { memory } = this.#options;
    if (!memory) return true;
    const claim = claimOf(size);
    if (claim.bytes <= SMALL_REQUEST_BYTES) {
      memory.claimSmall(claim);
      this.#claim = claim;
      return true;
    }
    let isGranted = false;
    let isWaiting = false;
    const giveUp = memory.claim(claim, () => {
      isGranted = true;
      this.#claim = claim;
      if (isWaiting) this.#goOn();
    });
    if (!giveUp || isGranted) {
      this.#claim = claim;
      return true;
    }
    isWaiting = true;
    this.#giveUpWaiting = giveUp;
    return false;
  }

  #goOn(): void {
    this.#giveUpWaiting = undefined;
    this.#decoder.goOn();
    this.#cut(Buffer.alloc(0));
    this.#options.onHeldChange();
  }
}

function claimOf({ headerBytes, payloadBytes, passesOn }: FrameSize): Claim {
  return { bytes: headerBytes + payloadBytes, passesOn };
}

/** What a frame took when it was received. */
export function claimOfFrame(frame: Frame): Claim {
  return { bytes: frameBytes(frame), passesOn: frame.passesOn };
}
