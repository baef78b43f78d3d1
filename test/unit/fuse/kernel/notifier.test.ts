/** Notifications, which a thread of its own writes (fuse/kernel/notifier.ts, notify-thread.ts, notify-protocol.ts). */
import { constants } from 'node:os';
import t from 'tap';
import { Notifier } from '../../../../src/fuse/kernel/notifier.js';
import type { NotifyWorkerData } from '../../../../src/fuse/kernel/notify-protocol.js';
import { waitUntil } from '../../../support/wait-until.js';
import { recordedLog } from '../support/recorded-log.js';
import { MessagePair } from './support/message-pair.js';

const { EBADF, EIO, EPIPE } = constants.errno;
const MANY = 3000;
const messagesOf = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, n) => Buffer.from(String(n)));

t.test('messages are written in their order, one write each, and how each was taken is told', async t => {
  const pair = MessagePair.open(t);
  const notifier = Notifier.start(pair.fd, recordedLog().log);
  const [first, second] = [messagesOf(2), [Buffer.from('last')]];
  const results = await Promise.all([notifier.write(first), notifier.write(second)]);
  t.same(
    results.map(each => Array.from(each)),
    [[0, 0], [0]],
  );
  t.same(pair.take(), [...first, ...second]);
  t.equal(notifier.pending, 0);
  await notifier.close();
});

t.test(
  'a write that the kernel lets wait keeps this thread from nothing, and close waits for it',
  async t => {
    const pair = MessagePair.open(t);
    const notifier = Notifier.start(pair.fd, recordedLog().log);
    const messages = messagesOf(MANY);
    let isWritten = false;
    const writing = notifier.write(messages).then(results => (isWritten = results.length === MANY));
    let isClosed = false;
    const closing = notifier.close().then(() => (isClosed = true));
    t.equal(notifier.pending, 1);
    const got: Buffer[] = [];
    await waitUntil(() => got.push(...pair.take()) > 0, { deadlineMs: 10_000, what: 'the thread writes' });
    t.notOk(isWritten || isClosed, 'more than the kernel has room for');
    await waitUntil(() => got.push(...pair.take()) === MANY, { deadlineMs: 10_000, what: 'all is written' });
    await Promise.all([writing, closing]);
    t.ok(isWritten && isClosed);
    t.same(got, messages);
  },
);

t.test(
  'what the kernel does not take is told as its errno, and the rest is written all the same',
  async t => {
    const pair = MessagePair.open(t);
    const notifier = Notifier.start(pair.fd, recordedLog().log);
    // EMSGSIZE: no message of a socket is as large.
    const results = await notifier.write([Buffer.alloc(8 << 20), Buffer.from('small')]);
    t.same([...results], [-constants.errno.EMSGSIZE, 0]);
    t.same(pair.take(), [Buffer.from('small')]);
    pair.endKernel();
    t.same([...(await notifier.write([Buffer.from('late')]))], [-EPIPE], 'the mount has ended');
    await notifier.close();
  },
);

t.test('a descriptor that is none fails each write, and not the thread', async t => {
  MessagePair.open(t);
  for (const [fd, errno] of [
    [0x7fff_fff0, EBADF],
    [-1, EIO],
  ] as const) {
    const { log, lines } = recordedLog();
    const notifier = Notifier.start(fd, log);
    t.same([...(await notifier.write(messagesOf(2)))], [-errno, -errno]);
    await notifier.close();
    t.notOk(lines.some(({ level }) => level === 'error'));
  }
});

t.test('a thread that fails leaves nobody waiting', async t => {
  const pair = MessagePair.open(t);
  const { log, lines } = recordedLog();
  const notifier = Notifier.start(pair.fd, log);
  // What no caller hands over: for one that is no message the thread has no errno, and of so many it cannot tell.
  const odd = notifier.write([undefined as unknown as Buffer, ...messagesOf(1)]);
  t.same([...(await odd)], [-EIO, 0]);
  const tooMany = notifier.write({ length: 2 ** 40 } as unknown as Buffer[]);
  t.same([...(await tooMany)], [], 'as of a mount that has ended');
  t.match(lines, [{ level: 'error', msg: /thread that tells the kernel failed/ }]);
  t.same([...(await notifier.write(messagesOf(1)))], [], 'it is not asked any more');
  await notifier.close();
});

t.test('after the end nothing is written; closing twice, and writing nothing, is harmless', async t => {
  const pair = MessagePair.open(t);
  const notifier = Notifier.start(pair.fd, recordedLog().log);
  t.same([...(await notifier.write([]))], []);
  await Promise.all([notifier.close(), notifier.close()]);
  await notifier.close();
  t.same([...(await notifier.write(messagesOf(1)))], []);
  t.same(pair.take(), []);
});

t.test('the thread’s code runs as a thread only', async t => {
  const path = '../../../../src/fuse/kernel/notify-thread.js';
  await t.rejects(import(path), /runs as a worker thread only/);
  const data: NotifyWorkerData = { fd: 3 };
  t.equal(data.fd, 3);
});
