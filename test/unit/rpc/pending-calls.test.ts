/** Requests that wait for their answers (rpc/pending-calls.ts). */
import t from 'tap';
import { DfsError } from '../../../src/protocol/errors.js';
import { FrameKind, NO_PAYLOAD, type Frame } from '../../../src/protocol/frame.js';
import { ErrorMessage, PendingCalls } from '../../../src/rpc/pending-calls.js';

function frame(kind: FrameKind, requestId: number, header: Buffer = Buffer.alloc(0)): Frame {
  return { kind, command: 1, requestId, passesOn: 0, header, payload: NO_PAYLOAD };
}

function recorded() {
  const calls = new PendingCalls();
  const trace: string[] = [];
  const add = (name: string): number =>
    calls.add({
      payloadBytes: 0,
      resolve: answer => trace.push(`${name} ${answer.requestId}`),
      reject: error => trace.push(`${name} ${error.code}`),
    });
  return { calls, trace, add };
}

t.test('each answer goes to the call that has its number, once', async t => {
  const { calls, trace, add } = recorded();
  t.notOk(calls.hasAsked);
  const [first, second] = [add('a'), add('b')];
  t.not(first, second);
  calls.answer(frame(FrameKind.reply, second));
  calls.answer(frame(FrameKind.reply, second));
  const header = ErrorMessage.encode({ code: 'ENOENT', message: 'for a test' });
  calls.answer(frame(FrameKind.error, first, header));
  t.same(trace, [`b ${second}`, 'a ENOENT']);
  t.equal(calls.size, 0);
  t.ok(calls.hasAsked);
});

t.test('an answer that nobody waits for any more is dropped', async t => {
  const { calls, trace, add } = recorded();
  const number = add('a');
  calls.giveUp(number);
  calls.answer(frame(FrameKind.reply, number));
  t.same(trace, []);
});

t.test('when the connection is lost every call fails, and one that is made meanwhile does not', async t => {
  const { calls, trace, add } = recorded();
  add('a');
  calls.add({ payloadBytes: 0, resolve: () => undefined, reject: () => void add('again') });
  calls.fail(new DfsError('ECONNRESET', 'for a test'));
  t.same(trace, ['a ECONNRESET']);
  t.equal(calls.size, 1);
});

t.test('an error that cannot be read is one, too', async t => {
  const { calls, trace, add } = recorded();
  calls.answer(frame(FrameKind.error, add('a'), Buffer.from([0xc1])));
  t.equal(trace.length, 1);
});
