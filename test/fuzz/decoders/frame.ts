/** The frames of a connection's byte stream, as it is cut into pieces by the network. */
import { payloadBytes } from '../../../src/platform/payload.js';
import { DfsError } from '../../../src/protocol/errors.js';
import {
  encodePrefix,
  FRAME_PREFIX_BYTES,
  FrameDecoder,
  FrameKind,
  type Frame,
  type RoomFor,
} from '../../../src/protocol/frame.js';
import { MAX_GOAL } from '../../../src/protocol/limits.js';
import type { SeededRandom } from '../../simulation/world/seeded-random.js';
import { promise, type Decoder } from '../decoder.js';

const MAX_FRAMES = 4;
/** More than these are refused, so that no input asks for more memory than a connection may. */
const LIMITS = { headerBytes: 4096, payloadBytes: 8192 };

export const frame: Decoder = {
  name: 'frame',
  make(random) {
    const frames = Array.from({ length: random.integer(1, MAX_FRAMES) }, () => frameOf(random));
    return Buffer.concat([Buffer.of(random.integer(0, 256)), ...frames]);
  },
  /** The first byte says in which pieces the rest comes: what comes of it must be the same for all. */
  decode(input) {
    const [size = 0] = input;
    const stream = input.subarray(1);
    const whole = decodeIn(stream, stream.length);
    const cut = decodeIn(stream, 1 + (size % 64));
    const placed = decodeIn(stream, 1 + (size % 64), prefix => Buffer.alloc(prefix.payloadBytes));
    promise(placed.frames.equals(cut.frames), 'a payload is another one where its memory was chosen for it');
    promise(placed.error?.message === cut.error?.message, 'an error depends on where payloads are put');
    promise(whole.frames.equals(cut.frames), 'the frames of a stream depend on the pieces in which it comes');
    promise(whole.error?.message === cut.error?.message, 'its error depends on the pieces in which it comes');
    promise(
      whole.frames.equals(withBounds(stream, whole.frames.length)),
      'a frame is encoded as other bytes than it was decoded from',
    );
    if (whole.error) throw whole.error;
  },
  mayThrow: error => error instanceof DfsError && error.code === 'EPROTO',
};

/** The first bytes of a stream of frames, where each is passed on as often as it may be. */
function withBounds(stream: Buffer, bytes: number): Buffer {
  const bounded = Buffer.from(stream.subarray(0, bytes));
  for (let at = 0; at + FRAME_PREFIX_BYTES <= bytes;) {
    bounded.writeUInt16LE(Math.min(bounded.readUInt16LE(at + 6), MAX_GOAL), at + 6);
    at += FRAME_PREFIX_BYTES + bounded.readUInt32LE(at + 12) + bounded.readUInt32LE(at + 16);
  }
  return bounded;
}

function frameOf(random: SeededRandom): Buffer {
  const header = random.bytes(random.pick([0, 1, 30, 300]));
  const payload = random.bytes(random.pick([0, 0, 1, 2047, 2048, 3000]));
  const prefix = encodePrefix({
    kind: random.pick(Object.values(FrameKind)),
    command: random.integer(0, 3000),
    requestId: random.u32(),
    passesOn: random.integer(0, 5),
    headerBytes: header.length,
    payloadBytes: payload.length,
  });
  return Buffer.concat([prefix, header, payload]);
}

interface Decoded {
  /** Every frame, encoded again. */
  readonly frames: Buffer;
  readonly error: DfsError | undefined;
}

function decodeIn(stream: Buffer, pieceBytes: number, roomFor?: RoomFor): Decoded {
  // Each second frame is held for a moment, as when there is no memory for it.
  let begun = 0;
  const decoder = new FrameDecoder(
    () => LIMITS,
    () => {
      begun += 1;
      return begun % 2 === 0;
    },
    roomFor,
  );
  const frames: Buffer[] = [];
  const take = (each: Frame): boolean => {
    frames.push(encoded(each));
    return true;
  };
  let error: DfsError | undefined;
  try {
    for (let at = 0; at < stream.length;) {
      const { room } = decoder;
      if (room) {
        const bytes = stream.copy(room, 0, at, at + pieceBytes);
        decoder.filled(bytes, take);
        at += bytes;
        continue;
      }
      decoder.push(stream.subarray(at, at + pieceBytes), take);
      for (let before = -1; before !== begun;) {
        before = begun;
        decoder.goOn();
        decoder.push(Buffer.alloc(0), take);
      }
      at += pieceBytes;
    }
  } catch (thrown) {
    if (!(thrown instanceof DfsError)) throw thrown;
    error = thrown;
  }
  return { frames: Buffer.concat(frames), error };
}

function encoded({ header, payload, ...rest }: Frame): Buffer {
  const prefix = encodePrefix({ ...rest, headerBytes: header.length, payloadBytes: payloadBytes(payload) });
  promise(prefix.length === FRAME_PREFIX_BYTES, 'a prefix has its length');
  return Buffer.concat([prefix, header, ...payload]);
}
