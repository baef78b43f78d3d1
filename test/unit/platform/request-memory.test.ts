/** A request's memory is used by one owner at a time, also when its body is kept (platform/request-memory.ts). */
import t from 'tap';
import { PAGE_BYTES } from '../../../src/platform/aligned-buffers.js';
import { loadKoffi } from '../../../src/platform/foreign-functions.js';
import { giveBody, keepBody, RequestMemory } from '../../../src/platform/request-memory.js';

const HEAD = 80;
const BODY = 16 << 10;

t.test('a request is as long as was said, and its body begins at a page', async t => {
  const request = new RequestMemory(HEAD, BODY, 2).take();
  t.equal(request.length, HEAD + BODY);
  t.equal(loadKoffi().address(request.subarray(HEAD)) % BigInt(PAGE_BYTES), 0n);
});

t.test('what was given back is lent again', async t => {
  const memory = new RequestMemory(HEAD, BODY, 2);
  const first = memory.take();
  t.not(memory.take().buffer, first.buffer);
  memory.give(first);
  memory.give(first);
  t.equal(memory.take().buffer, first.buffer);
  t.not(memory.take().buffer, first.buffer, 'given back twice, it is lent once');
});

t.test('a body that is kept is nobody else’s until it is given back', async t => {
  const memory = new RequestMemory(HEAD, BODY, 2);
  const request = memory.take();
  request.fill(7);
  const body = keepBody(request.subarray(HEAD, HEAD + BODY));
  t.equal(body?.length, BODY);
  t.equal(keepBody(request.subarray(HEAD)), undefined, 'it is kept once');
  memory.give(request);
  t.not(memory.take().buffer, request.buffer, 'its request was answered, but it is still kept');
  t.ok(body?.equals(Buffer.alloc(BODY, 7)));
  t.equal(giveBody(body ?? Buffer.alloc(0)), true);
  t.equal(giveBody(body ?? Buffer.alloc(0)), true, 'giving it back twice changes nothing');
  t.equal(memory.take().buffer, request.buffer);
  t.not(memory.take().buffer, request.buffer);
});

t.test('a part of a body, or memory of somebody else, is not kept', async t => {
  const memory = new RequestMemory(HEAD, BODY, 2);
  const request = memory.take();
  t.equal(keepBody(request.subarray(HEAD, HEAD + BODY - 1)), undefined);
  t.equal(keepBody(request.subarray(HEAD + 1)), undefined);
  t.equal(keepBody(Buffer.alloc(BODY)), undefined);
  t.equal(giveBody(Buffer.alloc(BODY)), false);
  memory.give(request);
  t.equal(keepBody(request.subarray(HEAD)), undefined, 'nor one of a request that was answered');
});

t.test('no more is kept for later than was said', async t => {
  const memory = new RequestMemory(HEAD, BODY, 1);
  const requests = [memory.take(), memory.take()];
  for (const request of requests) memory.give(request);
  const again = [memory.take(), memory.take()].filter(({ buffer }) =>
    requests.some(request => request.buffer === buffer),
  );
  t.equal(again.length, 1);
});
