/** The descriptor of /dev/fuse, as the event loop waits for it (fuse/kernel/device.ts). */
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { FuseDevice, type DeviceRequest } from '../../../../src/fuse/kernel/device.js';
import { fuseOutHeader } from '../../../../src/fuse/kernel/structs.js';
import { ERRNO } from '../../../../src/protocol/errors.js';
import { waitUntil } from '../../../support/wait-until.js';
import { recordedLog } from '../support/recorded-log.js';
import { MessagePair } from './support/message-pair.js';

const REQUEST_BYTES = 8192;
const DEADLINE = { deadlineMs: 10_000 };

/** A device at one end of a pair of sockets; `start` has it take requests. */
function device(t: Test, busyPollMs = 0) {
  const pair = MessagePair.open(t, true);
  const { log, lines } = recordedLog();
  const requests: DeviceRequest[] = [];
  const onRequest = (request: DeviceRequest): void => void requests.push(request);
  const options = { fd: pair.fd, requestBytes: REQUEST_BYTES, readers: 2, busyPollMs, log, onRequest };
  const fuse = new FuseDevice(options);
  const start = (): Promise<void> => {
    const ended = fuse.run();
    t.teardown(async () => {
      pair.endKernel();
      await ended;
      await fuse.close();
    });
    return ended;
  };
  const texts = (): string[] => requests.map(({ bytes }) => bytes.toString());
  return { pair, lines, requests, texts, fuse, start };
}

/** An answer's header and what comes after it. */
function answer(message: Buffer | undefined) {
  if (!message) throw new Error('nothing was answered');
  const { len, error, unique } = fuseOutHeader.view(message, 0);
  return { len, error, unique, body: message.subarray(fuseOutHeader.bytes) };
}

t.test('each message is one request, in their order', async t => {
  const { pair, texts, start } = device(t);
  void start();
  for (const text of ['one', 'two', 'three']) pair.send(Buffer.from(text));
  await waitUntil(() => texts().length === 3, { ...DEADLINE, what: 'all came' });
  t.same(texts(), ['one', 'two', 'three']);
});

t.test('a request’s memory is its handler’s until it is released, and then the next request’s', async t => {
  const { pair, requests, texts, start } = device(t);
  void start();
  pair.send(Buffer.from('first'));
  await waitUntil(() => requests.length === 1, { ...DEADLINE, what: 'the first came' });
  pair.send(Buffer.from('second'));
  await waitUntil(() => requests.length === 2, { ...DEADLINE, what: 'the second came' });
  t.same(texts(), ['first', 'second']);
  t.not(requests[0]?.bytes.buffer, requests[1]?.bytes.buffer);
  requests[0]?.release();
  pair.send(Buffer.from('third'));
  await waitUntil(() => requests.length === 3, { ...DEADLINE, what: 'the third came' });
  t.equal(requests[2]?.bytes.buffer, requests[0]?.bytes.buffer, 'no memory is touched for the first time');
  t.equal(requests[1]?.bytes.toString(), 'second');
});

/** Longer than what is written at once, in two pieces; a pair of sockets takes no message of more than 208 KiB. */
function longPayload(): Buffer[] {
  return [Buffer.alloc(80 << 10, 'a'), Buffer.alloc(80 << 10, 'b')];
}

t.test('a long answer comes whole, and its memory is let go when it is written', async t => {
  const { pair, fuse, start } = device(t);
  void start();
  const payload = longPayload();
  await fuse.replyWhole(9n, payload);
  for (const piece of payload) piece.fill('c');
  const { len, error, unique, body } = answer(pair.take()[0]);
  t.same({ len, error, unique }, { len: 16 + (160 << 10), error: 0, unique: 9n });
  t.ok(body.equals(Buffer.concat(longPayload())));
  await fuse.replyWhole(10n, [Buffer.from('short')]);
  t.equal(answer(pair.take()[0]).body.toString(), 'short');
});

t.test(
  'a long answer that a thread writes is written before the descriptor is closed, and none after',
  async t => {
    const { pair, fuse, start, lines } = device(t);
    void start();
    const writing = fuse.replyWhole(11n, longPayload());
    fuse.stop();
    await fuse.close();
    t.equal(answer(pair.take()[0]).unique, 11n);
    await writing;
    await fuse.replyWhole(12n, longPayload());
    t.same(pair.take(), []);
    t.same(lines, []);
  },
);

t.test('an answer is one message: its header, then its pieces', async t => {
  const { pair, fuse, start } = device(t);
  void start();
  const pieces = [Buffer.from('abc'), Buffer.alloc(0), Buffer.from('de')];
  fuse.reply(2n ** 63n + 5n, 0, pieces);
  t.same(answer(pair.take()[0]), {
    len: 21,
    error: 0,
    unique: 2n ** 63n + 5n,
    body: Buffer.from('abcde'),
  });
  fuse.reply(7n, ERRNO.ENOENT, []);
  t.same(answer(pair.take()[0]), { len: 16, error: -2, unique: 7n, body: Buffer.alloc(0) });
});

t.test('answers of every size and number of pieces arrive whole', async t => {
  const { pair, fuse, start } = device(t);
  void start();
  for (const [count, bytes] of [
    [1, 1008],
    [1, 1009],
    [2, 60_000],
    [1023, 90],
    // writev(2) takes no more than 1024 pieces, and the header is one.
    [1024, 90],
    [1500, 90],
  ] as const) {
    const pieces = Array.from({ length: count }, (_, index) => Buffer.alloc(bytes, index));
    fuse.reply(3n, 0, pieces);
    const [message, ...others] = pair.take();
    const { len, body } = answer(message);
    t.equal(len, 16 + count * bytes, `${count} pieces of ${bytes} bytes`);
    t.ok(body.equals(Buffer.concat(pieces)));
    t.equal(others.length, 0);
  }
});

t.test(
  'for an answer that the kernel does not take, the program gets EIO instead of waiting for ever',
  async t => {
    const { pair, lines, fuse, start } = device(t);
    void start();
    // More than a message of a socket holds: EMSGSIZE.
    fuse.reply(9n, 0, [Buffer.alloc(4 << 20)]);
    t.same(answer(pair.take()[0]), { len: 16, error: -ERRNO.EIO, unique: 9n, body: Buffer.alloc(0) });
    t.match(lines, [{ level: 'error', unique: '9' }]);
  },
);

t.test('an errno that the kernel does not take is given up', async t => {
  const { pair, lines, fuse } = device(t);
  pair.endKernel();
  fuse.reply(9n, ERRNO.ENOENT, []);
  t.equal(lines.length, 1, 'and told once');
  await fuse.close();
});

t.test('the kernel ends the connection: no more requests, and the descriptor can be given back', async t => {
  const { pair, lines, texts, fuse, start } = device(t);
  const ended = start();
  pair.send(Buffer.from('last'));
  pair.endKernel();
  await ended;
  t.same(texts(), ['last']);
  t.same(lines, [], 'that is no failure');
  await fuse.close();
  await fuse.close();
});

t.test('an answer that comes when the descriptor is given back goes to no other file', async t => {
  const { pair, fuse, start } = device(t);
  const ended = start();
  pair.endKernel();
  await ended;
  await fuse.close();
  const directory = mkdtempSync(join(tmpdir(), 'dfs-device-'));
  const [path, opened] = [join(directory, 'file'), new Set<number>()];
  t.teardown(() => {
    for (const fd of opened) closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  // The lowest number that is free is given first.
  while (!opened.has(pair.fd) && opened.size < 100) opened.add(openSync(path, 'a'));
  t.ok(opened.has(pair.fd), 'the number is another file’s by now');
  fuse.reply(1n, 0, [Buffer.from('late')]);
  t.equal(readFileSync(path, 'utf8'), '');
});

t.test('stop: requests that come later are not taken, though the connection lives', async t => {
  const { pair, texts, fuse, start } = device(t, 20);
  const ended = start();
  pair.send(Buffer.from('before'));
  await waitUntil(() => texts().length === 1, { ...DEADLINE, what: 'the request came' });
  fuse.stop();
  pair.send(Buffer.from('after'));
  fuse.lookForMore();
  await ended;
  t.same(texts(), ['before']);
  fuse.reply(4n, 0, []);
  t.equal(pair.take().length, 1, 'what was taken before is answered');
  await fuse.close();
  t.throws(() => pair.send(Buffer.from('closed')), 'the connection has ended');
});

t.test('a busy poll takes what has come at once, without the event loop', async t => {
  const { pair, texts, fuse, start } = device(t, 20);
  void start();
  pair.send(Buffer.from('next'));
  fuse.lookForMore();
  t.same(texts(), ['next']);
});

t.test(
  'requests that are answered as they come are taken one after the other, not within each other',
  async t => {
    const pair = MessagePair.open(t, true);
    const { log } = recordedLog();
    const taken: string[] = [];
    let depth = 0;
    const fuse = new FuseDevice({
      fd: pair.fd,
      requestBytes: REQUEST_BYTES,
      readers: 2,
      busyPollMs: 20,
      log,
      onRequest({ bytes, release }) {
        depth += 1;
        taken.push(`${bytes.toString()} at depth ${depth}`);
        release();
        fuse.lookForMore();
        depth -= 1;
      },
    });
    const ended = fuse.run();
    for (const text of ['one', 'two', 'three']) pair.send(Buffer.from(text));
    fuse.lookForMore();
    t.same(taken, ['one at depth 1', 'two at depth 1', 'three at depth 1']);
    pair.endKernel();
    await ended;
    await fuse.close();
  },
);

t.test('a busy poll in vain ends, and what comes after it is taken by the event loop', async t => {
  const { pair, texts, fuse, start } = device(t, 1);
  void start();
  fuse.lookForMore();
  t.same(texts(), []);
  pair.send(Buffer.from('later'));
  await waitUntil(() => texts().length === 1, { ...DEADLINE, what: 'it came' });
  t.same(texts(), ['later']);
});

t.test('without a busy poll nothing is looked for', async t => {
  const { pair, texts, fuse, start } = device(t);
  void start();
  pair.send(Buffer.from('next'));
  fuse.lookForMore();
  t.same(texts(), []);
});
