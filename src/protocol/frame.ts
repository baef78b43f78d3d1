/**
 * The frame: what one message looks like on the wire.
 *
 *     offset  0  u16  magic 0xDF57
 *             2  u8   version
 *             3  u8   kind: request, reply, error or notice
 *             4  u16  command number
 *             6  u16  zero (kept for flags)
 *             8  u32  request id, chosen by who asks, repeated by who answers
 *            12  u32  header bytes (msgpack)
 *            16  u32  payload bytes (raw)
 *            20  header, then payload
 *
 * Integers are little-endian, as every machine that DFS runs on has them.
 */
import { DfsError } from './errors.js';
import { MAX_FRAME_HEADER_BYTES, MAX_FRAME_PAYLOAD_BYTES } from './limits.js';

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
  readonly header: Buffer;
  readonly payload: Payload;
}

/** Bytes in all pieces together. */
export function payloadBytes(payload: Payload): number {
  let total = 0;
  for (const piece of payload) total += piece.length;
  return total;
}

/** `length` bytes from `offset` on, as views on the same memory. */
export function slicePayload(payload: Payload, offset: number, length: number): Buffer[] {
  const slices: Buffer[] = [];
  let skip = offset;
  let left = length;
  for (const piece of payload) {
    if (left === 0) break;
    if (skip >= piece.length) {
      skip -= piece.length;
      continue;
    }
    const slice = piece.subarray(skip, Math.min(piece.length, skip + left));
    slices.push(slice);
    left -= slice.length;
    skip = 0;
  }
  return slices;
}

/** The 20 bytes before header and payload. */
export function encodePrefix(
  kind: FrameKind,
  command: number,
  requestId: number,
  headerBytes: number,
  payloadLength: number,
): Buffer {
  const prefix = Buffer.allocUnsafe(FRAME_PREFIX_BYTES);
  prefix.writeUInt16LE(FRAME_MAGIC, 0);
  prefix.writeUInt8(PROTOCOL_VERSION, 2);
  prefix.writeUInt8(kind, 3);
  prefix.writeUInt16LE(command, 4);
  prefix.writeUInt16LE(0, 6);
  prefix.writeUInt32LE(requestId, 8);
  prefix.writeUInt32LE(headerBytes, 12);
  prefix.writeUInt32LE(payloadLength, 16);
  return prefix;
}

interface Prefix {
  readonly kind: FrameKind;
  readonly command: number;
  readonly requestId: number;
  readonly headerBytes: number;
  readonly payloadBytes: number;
}

/** Reads and checks the 20 bytes before header and payload; throws EPROTO with the reason. */
export function decodePrefix(prefix: Buffer): Prefix {
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
  const headerBytes = prefix.readUInt32LE(12);
  if (headerBytes > MAX_FRAME_HEADER_BYTES) {
    throw new DfsError(
      'EPROTO',
      `frame header of ${headerBytes} bytes; at most ${MAX_FRAME_HEADER_BYTES} are allowed`,
    );
  }
  const length = prefix.readUInt32LE(16);
  if (length > MAX_FRAME_PAYLOAD_BYTES) {
    throw new DfsError(
      'EPROTO',
      `frame payload of ${length} bytes; at most ${MAX_FRAME_PAYLOAD_BYTES} are allowed`,
    );
  }
  return {
    // Checked to be one of the four kinds above.
    kind: kind as FrameKind,
    command: prefix.readUInt16LE(4),
    requestId: prefix.readUInt32LE(8),
    headerBytes,
    payloadBytes: length,
  };
}

/**
 * Cuts a byte stream into frames. Header bytes are joined (they are small); payload bytes stay in the pieces in which
 * the network delivered them.
 */
export class FrameDecoder {
  /** Bytes of the part being read that are not complete yet. */
  #pieces: Buffer[] = [];
  #wanted = FRAME_PREFIX_BYTES;
  #have = 0;
  #part: 'prefix' | 'header' | 'payload' = 'prefix';
  #prefix: Prefix | undefined;
  #header: Buffer = Buffer.alloc(0);

  /** The frames that `data` completes, in order. Throws EPROTO when the stream is no DFS stream; it is then useless. */
  push(data: Buffer): Frame[] {
    const frames: Frame[] = [];
    let rest = data;
    for (;;) {
      const missing = this.#wanted - this.#have;
      if (rest.length < missing) {
        if (rest.length > 0) {
          this.#pieces.push(rest);
          this.#have += rest.length;
        }
        return frames;
      }
      if (missing > 0) this.#pieces.push(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      const frame = this.#complete(this.#pieces);
      if (frame) frames.push(frame);
    }
  }

  /** Whether the stream ended between two frames rather than inside one. */
  get isAtBoundary(): boolean {
    return this.#part === 'prefix' && this.#have === 0;
  }

  #complete(pieces: Buffer[]): Frame | undefined {
    this.#pieces = [];
    this.#have = 0;
    if (this.#part === 'payload') return this.#finish(pieces);
    const joined = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
    if (this.#part === 'prefix') {
      this.#prefix = decodePrefix(joined);
      this.#part = 'header';
      this.#wanted = this.#prefix.headerBytes;
      return undefined;
    }
    this.#header = joined;
    this.#part = 'payload';
    this.#wanted = this.#prefix?.payloadBytes ?? 0;
    return undefined;
  }

  #finish(payload: Buffer[]): Frame | undefined {
    const prefix = this.#prefix;
    this.#part = 'prefix';
    this.#wanted = FRAME_PREFIX_BYTES;
    this.#prefix = undefined;
    if (!prefix) return undefined;
    return {
      kind: prefix.kind,
      command: prefix.command,
      requestId: prefix.requestId,
      header: this.#header,
      payload: prefix.payloadBytes === 0 ? NO_PAYLOAD : payload,
    };
  }
}
