/** Memory for payloads begins at a page, is lent to one owner at a time, and no more is kept than was said. */
import t from 'tap';
import { AlignedBuffers, PAGE_BYTES } from '../../../src/platform/aligned-buffers.js';
import { loadKoffi } from '../../../src/platform/foreign-functions.js';

const STEP = 256 << 10;

t.test('what is lent begins at a page and has the length that was asked for', async t => {
  const buffers = new AlignedBuffers(8 << 20);
  for (const length of [STEP, STEP + 1, 1_000_000, 4 << 20]) {
    const buffer = buffers.take(length);
    t.equal(buffer?.length, length);
    t.equal(loadKoffi().address(buffer ?? Buffer.alloc(1)) % BigInt(PAGE_BYTES), 0n);
  }
  const large = buffers.take(4 << 20) ?? Buffer.alloc(1);
  t.equal(loadKoffi().address(large) % BigInt(2 << 20), 0n, 'a long one begins at a large page');
  t.equal(buffers.take(STEP - 1), undefined, 'little is as quick without');
  t.equal(buffers.take((4 << 20) + 1), undefined, 'a very large one would take the room of many');
});

t.test('what was given back is lent again, to one owner at a time', async t => {
  const buffers = new AlignedBuffers(8 << 20);
  const first = buffers.take(STEP) ?? Buffer.alloc(0);
  const second = buffers.take(STEP) ?? Buffer.alloc(0);
  t.not(first.buffer, second.buffer);
  buffers.give([first]);
  buffers.give([first]);
  t.equal(buffers.freeBytes, STEP, 'given back twice, it is free once');
  const again = buffers.take(STEP - 0);
  t.equal(again?.buffer, first.buffer);
  t.not(buffers.take(STEP)?.buffer, first.buffer);
  buffers.give([Buffer.alloc(STEP)]);
  t.equal(buffers.freeBytes, 0, 'what was never lent is not taken');
});

t.test('no more is kept than was said', async t => {
  const buffers = new AlignedBuffers(3 * STEP);
  const lent = Array.from({ length: 10 }, () => buffers.take(STEP) ?? Buffer.alloc(0));
  buffers.give(lent);
  t.equal(buffers.freeBytes, 3 * STEP);
  t.equal(
    lent.filter(({ buffer }) => buffer.byteLength > 0).length,
    3,
    'the system has the memory of the others',
  );
  const large = buffers.take(3 * STEP) ?? Buffer.alloc(0);
  buffers.give([large]);
  t.equal(buffers.freeBytes, 3 * STEP, 'the one that was not used for longest goes');
  t.equal(buffers.take(3 * STEP)?.buffer, large.buffer);
});
