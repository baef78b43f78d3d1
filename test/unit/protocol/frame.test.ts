import t from 'tap';
import {
  encodePrefix,
  FrameDecoder,
  FrameKind,
  payloadBytes,
  slicePayload,
  type Frame,
} from '../../../src/protocol/frame.js';
import { MAX_FRAME_HEADER_BYTES, MAX_FRAME_PAYLOAD_BYTES } from '../../../src/protocol/limits.js';

const PREFIX = {
  kind: FrameKind.request,
  command: 7,
  requestId: 1,
  passesOn: 2,
  headerBytes: 10,
  payloadBytes: 10,
};

function frameOf(requestId: number, header: Buffer, payload: Buffer): Buffer {
  return Buffer.concat([
    encodePrefix({ ...PREFIX, requestId, headerBytes: header.length, payloadBytes: payload.length }),
    header,
    payload,
  ]);
}

t.test('frames come out as they went in, however the stream is cut', async t => {
  const stream = Buffer.concat([
    frameOf(1, Buffer.from('one'), Buffer.alloc(0)),
    frameOf(2, Buffer.alloc(0), Buffer.from('payload two')),
    frameOf(3, Buffer.from('three'), Buffer.alloc(1000, 3)),
  ]);
  for (const step of [1, 2, 3, 7, 19, 20, 21, 100, stream.length]) {
    const decoder = new FrameDecoder();
    const frames: Frame[] = [];
    for (let at = 0; at < stream.length; at += step) {
      decoder.push(stream.subarray(at, at + step), frame => frames.push(frame) > 0);
    }
    t.same(
      frames.map(frame => [frame.requestId, frame.header.toString(), payloadBytes(frame.payload)]),
      [
        [1, 'one', 0],
        [2, '', 11],
        [3, 'three', 1000],
      ],
      `cut every ${step} bytes`,
    );
    t.equal(decoder.isAtBoundary, true);
  }
});

t.test('a stream that is not DFS, or claims too much, is refused before anything is kept for it', async t => {
  const good = encodePrefix(PREFIX);
  const push = (bytes: Buffer) => () => new FrameDecoder().push(bytes, () => true);
  const broken = (change: (prefix: Buffer) => void): Buffer => {
    const prefix = Buffer.from(good);
    change(prefix);
    return prefix;
  };
  t.throws(push(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n')), { code: 'EPROTO' });
  t.throws(push(broken(p => p.writeUInt8(9, 2))), { code: 'EPROTO' });
  t.throws(push(broken(p => p.writeUInt8(9, 3))), { code: 'EPROTO' });
  t.throws(push(broken(p => p.writeUInt32LE(MAX_FRAME_HEADER_BYTES + 1, 12))), {
    code: 'EPROTO',
  });
  t.throws(push(broken(p => p.writeUInt32LE(MAX_FRAME_PAYLOAD_BYTES + 1, 16))), {
    code: 'EPROTO',
  });
});

t.test('a slice of a payload is the same bytes in other pieces', async t => {
  const payload = [Buffer.from('abc'), Buffer.from(''), Buffer.from('defgh'), Buffer.from('i')];
  t.equal(Buffer.concat(slicePayload(payload, 2, 5)).toString(), 'cdefg');
  t.equal(Buffer.concat(slicePayload(payload, 0, 9)).toString(), 'abcdefghi');
  t.same(slicePayload(payload, 4, 0), []);
});
