/**
 * The frame: the format of one message on the wire.
 *
 *     offset  0  u16  magic 0xDF57
 *             2  u8   version
 *             3  u8   kind: request, reply, error or notice
 *             4  u16  command number
 *             6  u16  number of servers that a request will be passed on to, one after the other; else zero
 *             8  u32  request id, chosen by the sender, repeated in the reply
 *            12  u32  header bytes (msgpack)
 *            16  u32  payload bytes (raw)
 *            20  header, then payload
 *
 * Integers are little-endian, as every machine that DFS runs on has them.
 */
import { payloadBytes } from '../platform/payload.js';
import { DfsError } from './errors.js';
import { MAX_FRAME_HEADER_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_GOAL } from './limits.js';

export const FRAME_PREFIX_BYTES = 20;
export const FRAME_MAGIC = 0xdf57;
export const PROTOCOL_VERSION = 1;

export const FrameKind = { request: 0, reply: 1, error: 2, notice: 3 } as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** The raw bytes of a frame, in the pieces in which they arrived or were written; never joined on the way. */
export type Payload = readonly Buffer[];

export const NO_PAYLOAD: Payload = [];

export interface Frame {
  readonly kind: FrameKind;
  readonly command: number;
  readonly requestId: number;
  /** How many servers the one that receives the request will pass it on to, one after the other. */
  readonly passesOn: number;
  readonly header: Buffer;
  readonly payload: Payload;
}

/** Bytes of header and payload. */
export function frameBytes({ header, payload }: Frame): number {
  return header.length + payloadBytes(payload);
}

/** The 20 bytes before header and payload. */
export function encodePrefix(prefix: Prefix): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_PREFIX_BYTES);
  bytes.writeUInt16LE(FRAME_MAGIC, 0);
  bytes.writeUInt8(PROTOCOL_VERSION, 2);
  bytes.writeUInt8(prefix.kind, 3);
  bytes.writeUInt16LE(prefix.command, 4);
  bytes.writeUInt16LE(prefix.passesOn, 6);
  bytes.writeUInt32LE(prefix.requestId, 8);
  bytes.writeUInt32LE(prefix.headerBytes, 12);
  bytes.writeUInt32LE(prefix.payloadBytes, 16);
  return bytes;
}

/** The most bytes that a frame may have besides its first 20. */
export interface FrameLimits {
  readonly headerBytes: number;
  readonly payloadBytes: number;
}

/** What no frame may exceed. */
export const MOST: FrameLimits = {
  headerBytes: MAX_FRAME_HEADER_BYTES,
  payloadBytes: MAX_FRAME_PAYLOAD_BYTES,
};

/** What a frame of this kind and command may have. */
export type LimitsOf = (kind: FrameKind, command: number) => FrameLimits;

/** How long a frame is, and how long it will be held. */
export interface FrameSize {
  readonly passesOn: number;
  readonly headerBytes: number;
  readonly payloadBytes: number;
}

export interface Prefix extends FrameSize {
  readonly kind: FrameKind;
  readonly command: number;
  readonly requestId: number;
}

/** Reads and checks the 20 bytes before header and payload; throws EPROTO with the reason. */
export function decodePrefix(prefix: Buffer, limitsOf: LimitsOf = () => MOST): Prefix {
  const magic = prefix.readUInt16LE(0);
  if (magic !== FRAME_MAGIC) {
    throw new DfsError('EPROTO', `not a DFS frame (it begins with 0x${magic.toString(16)})`);
  }
  const version = prefix.readUInt8(2);
  if (version !== PROTOCOL_VERSION) {
    throw new DfsError('EPROTO', `protocol version ${version}, but this program speaks ${PROTOCOL_VERSION}`);
  }
  const kind = prefix.readUInt8(3);
  if (kind > FrameKind.notice) throw new DfsError('EPROTO', `unknown kind of frame ${kind}`);
  const command = prefix.readUInt16LE(4);
  const headerBytes = prefix.readUInt32LE(12);
  const length = prefix.readUInt32LE(16);
  // Checked to be one of the four kinds above.
  const limits = limitsOf(kind as FrameKind, command);
  if (headerBytes > limits.headerBytes || length > limits.payloadBytes) {
    throw new DfsError(
      'EPROTO',
      `a frame of command ${command} with ${headerBytes} + ${length} bytes; at most ${limits.headerBytes} + ${limits.payloadBytes} are allowed`,
    );
  }
  return {
    kind: kind as FrameKind,
    command,
    requestId: prefix.readUInt32LE(8),
    passesOn: Math.min(prefix.readUInt16LE(6), MAX_GOAL),
    headerBytes,
    payloadBytes: length,
  };
}

/** Memory in which the payload of a frame comes to lie in one piece, of exactly its length; undefined: in pieces, as they come. */
export type RoomFor = (prefix: Prefix) => Buffer | undefined;

/** Pieces that are shorter are joined: a buffer of its own for each byte that comes alone would take hundreds. */
const SHORT_PIECE_BYTES = 2048;
const JOINED_PIECE_BYTES = 16 << 10;
const NOTHING = Buffer.alloc(0);

/**
 * Cuts a byte stream into frames. Header bytes are joined (they are small); payload bytes stay in the pieces in which
 * the network delivered them, but for very short ones; or they go to memory that is meant for them.
 */
export class FrameDecoder {
  readonly #limitsOf: LimitsOf;
  readonly #mayBegin: (size: FrameSize) => boolean;
  readonly #roomFor: RoomFor;
  /** The whole payload's, of which `#have` bytes are filled. */
  #room: Buffer | undefined;
  /** Bytes of the part being read that are not complete yet. */
  #pieces: Buffer[] = [];
  /** The last of them, as far as it is filled, while short pieces come. */
  #joined: Buffer = NOTHING;
  #joinedBytes = 0;
  #wanted = FRAME_PREFIX_BYTES;
  #have = 0;
  #part: 'prefix' | 'header' | 'payload' = 'prefix';
  #prefix: Prefix | undefined;
  #header: Buffer = NOTHING;
  /** What came behind the 20 bytes of a frame that may not begin yet. */
  #held: Buffer = NOTHING;
  #isHeld = false;

  /**
   * @param limitsOf what frames may have
   * @param mayBegin asked when the first 20 bytes of a frame are there; false holds it until `goOn`
   * @param roomFor asked for each payload when it begins
   */
  constructor(
    limitsOf: LimitsOf = () => MOST,
    mayBegin: (size: FrameSize) => boolean = () => true,
    roomFor: RoomFor = () => undefined,
  ) {
    this.#limitsOf = limitsOf;
    this.#mayBegin = mayBegin;
    this.#roomFor = roomFor;
  }

  /**
   * Hands on the frames that `data` completes, in order, until `onFrame` returns false. Throws EPROTO when the stream is no
   * DFS stream; it is then useless.
   */
  push(data: Buffer, onFrame: (frame: Frame) => boolean): void {
    let rest = this.#held.length === 0 ? data : Buffer.concat([this.#held, data]);
    this.#held = NOTHING;
    for (;;) {
      if (this.#isHeld) {
        this.#held = rest;
        return;
      }
      const missing = this.#wanted - this.#have;
      if (rest.length < missing) {
        if (rest.length > 0) this.#keep(rest, missing);
        return;
      }
      this.#endJoining();
      if (missing > 0) this.#keepLast(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      const frame = this.#complete(this.#pieces);
      if (frame && !onFrame(frame)) return;
    }
  }

  /** Where the bytes that come next may be put straight away, all of them of one payload; undefined: nowhere, they are to be pushed. */
  get room(): Buffer | undefined {
    return this.#room?.subarray(this.#have);
  }

  /** So many bytes were put into `room`. Hands on the frame if it is complete. */
  filled(bytes: number, onFrame: (frame: Frame) => boolean): void {
    this.#have += bytes;
    if (this.#have < this.#wanted) return;
    const frame = this.#complete([]);
    if (frame) onFrame(frame);
  }

  /** Ends a frame that is not complete. Returns the memory that was meant for its payload. */
  abandon(): Payload {
    const room = this.#room;
    this.#room = undefined;
    return room ? [room] : NO_PAYLOAD;
  }

  /** The frame that was held may begin. */
  goOn(): void {
    this.#isHeld = false;
  }

  /** Whether the stream ended between two frames rather than inside one. */
  get isAtBoundary(): boolean {
    return this.#part === 'prefix' && this.#have === 0;
  }

  #keepLast(piece: Buffer): void {
    if (this.#room) piece.copy(this.#room, this.#have);
    else this.#pieces.push(piece);
  }

  #keep(piece: Buffer, missing: number): void {
    if (this.#room) piece.copy(this.#room, this.#have);
    this.#have += piece.length;
    if (this.#room) return;
    if (piece.length >= SHORT_PIECE_BYTES) {
      this.#endJoining();
      this.#pieces.push(piece);
      return;
    }
    if (this.#joinedBytes + piece.length > this.#joined.length) {
      this.#endJoining();
      this.#joined = Buffer.allocUnsafeSlow(Math.min(missing, JOINED_PIECE_BYTES));
    }
    piece.copy(this.#joined, this.#joinedBytes);
    this.#joinedBytes += piece.length;
  }

  #endJoining(): void {
    if (this.#joinedBytes > 0) this.#pieces.push(this.#joined.subarray(0, this.#joinedBytes));
    this.#joined = NOTHING;
    this.#joinedBytes = 0;
  }

  #complete(pieces: Buffer[]): Frame | undefined {
    this.#pieces = [];
    this.#have = 0;
    if (this.#part === 'payload') return this.#finish(pieces);
    const joined = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    if (this.#part === 'prefix') {
      this.#prefix = decodePrefix(joined, this.#limitsOf);
      this.#part = 'header';
      this.#wanted = this.#prefix.headerBytes;
      this.#isHeld = !this.#mayBegin(this.#prefix);
      return undefined;
    }
    this.#header = joined;
    this.#part = 'payload';
    this.#wanted = this.#prefix?.payloadBytes ?? 0;
    if (this.#prefix && this.#wanted > 0) this.#room = this.#roomFor(this.#prefix);
    return undefined;
  }

  #finish(pieces: Buffer[]): Frame | undefined {
    const prefix = this.#prefix;
    const payload = this.#room ? [this.#room] : pieces;
    this.#room = undefined;
    this.#part = 'prefix';
    this.#wanted = FRAME_PREFIX_BYTES;
    this.#prefix = undefined;
    if (!prefix) return undefined;
    const { kind, command, requestId, passesOn } = prefix;
    const header = this.#header;
    this.#header = NOTHING;
    return {
      kind,
      command,
      requestId,
      passesOn,
      header,
      payload: prefix.payloadBytes === 0 ? NO_PAYLOAD : payload,
    };
  }
}
