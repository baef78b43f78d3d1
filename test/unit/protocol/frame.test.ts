import t from 'tap';
import { payloadBytes, slicePayload } from '../../../src/platform/payload.js';
import { encodePrefix, FrameDecoder, FrameKind, type Frame } from '../../../src/protocol/frame.js';
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

t.test('bytes that come one by one are joined, so that each does not take hundreds', async t => {
  const stream = frameOf(1, Buffer.from('header'), Buffer.alloc(50_000, 5));
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const byte of stream) decoder.push(Buffer.from([byte]), frame => frames.push(frame) > 0);
  t.equal(payloadBytes(frames[0]?.payload ?? []), 50_000);
  t.ok((frames[0]?.payload.length ?? 0) <= 5, 'in a few pieces');
});

t.test('a frame that may not begin is held, with what comes behind it', async t => {
  const asked: number[] = [];
  const decoder = new FrameDecoder(undefined, ({ payloadBytes: length }) => {
    asked.push(length);
    return length < 100;
  });
  const ids: number[] = [];
  const take = (frame: Frame): boolean => ids.push(frame.requestId) > 0;
  decoder.push(frameOf(1, Buffer.from('a'), Buffer.alloc(10)), take);
  const rest = Buffer.concat([
    frameOf(2, Buffer.from('b'), Buffer.alloc(200)),
    frameOf(3, Buffer.from('c'), Buffer.alloc(1)),
  ]);
  decoder.push(rest.subarray(0, 100), take);
  decoder.push(rest.subarray(100), take);
  t.same(ids, [1]);
  decoder.goOn();
  decoder.push(Buffer.alloc(0), take);
  t.same(ids, [1, 2, 3]);
  t.same(asked, [10, 200, 1]);
});

t.test('a slice of a payload is the same bytes in other pieces', async t => {
  const payload = [Buffer.from('abc'), Buffer.from(''), Buffer.from('defgh'), Buffer.from('i')];
  t.equal(Buffer.concat(slicePayload(payload, 2, 5)).toString(), 'cdefg');
  t.equal(Buffer.concat(slicePayload(payload, 0, 9)).toString(), 'abcdefghi');
  t.same(slicePayload(payload, 4, 0), []);
});
