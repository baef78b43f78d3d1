/** Bytes in several pieces of memory (platform/payload.ts). */
import t from 'tap';
import { freePayload, payloadBytes, slicePayload } from '../../../src/platform/payload.js';

const text = (payload: readonly Buffer[]): string => Buffer.concat(payload).toString();

t.test('a slice is a view on the same memory, across pieces', async t => {
  const payload = ['abc', 'd', 'efgh'].map(piece => Buffer.from(piece));
  t.equal(payloadBytes(payload), 8);
  const slice = slicePayload(payload, 2, 4);
  t.equal(text(slice), 'cdef');
  payload[1]?.write('D');
  t.equal(text(slice), 'cDef');
  t.same(slicePayload(payload, 8, 1), []);
});

t.test('only memory that is a piece’s own is given back', async t => {
  const own = Buffer.from(new Uint8Array(100).fill(1).buffer);
  const whole = new Uint8Array(100).fill(2).buffer;
  const part = Buffer.from(whole, 0, 60);
  const rest = Buffer.from(whole, 60);
  const pooled = Buffer.from('of the pool that all small buffers share');
  freePayload([own, part, pooled]);
  t.equal(own.length, 0);
  t.equal(part.length, 60);
  t.equal(rest[0], 2, 'others still use what lies beside it');
  t.equal(pooled.toString(), 'of the pool that all small buffers share');
  freePayload([own]);
  t.equal(own.length, 0, 'twice does no harm');
});
