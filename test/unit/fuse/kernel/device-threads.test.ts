/** The descriptor of /dev/fuse where the event loop cannot wait for it: several reads wait on threads (fuse/kernel/device.ts). */
import t, { type Test } from 'tap';
import { FuseDevice, type DeviceRequest } from '../../../../src/fuse/kernel/device.js';
import { waitUntil } from '../../../support/wait-until.js';
import { recordedLog } from '../support/recorded-log.js';
import { MessagePair } from './support/message-pair.js';

const DEADLINE = { deadlineMs: 10_000 };

/** Runs the device as on a machine whose Node is linked in another way, so that libuv is not to be had. */
function runOnThreads(fuse: FuseDevice): Promise<void> {
  const { platform } = process;
  Object.defineProperty(process, 'platform', { value: 'another' });
  try {
    return fuse.run();
  } finally {
    Object.defineProperty(process, 'platform', { value: platform });
  }
}

function started(t: Test) {
  const pair = MessagePair.open(t, true);
  const { log, lines } = recordedLog();
  const requests: DeviceRequest[] = [];
  const onRequest = (request: DeviceRequest): void => void requests.push(request);
  const fuse = new FuseDevice({
    fd: pair.fd,
    requestBytes: 4096,
    readers: 2,
    busyPollMs: 20,
    log,
    onRequest,
  });
  const ended = runOnThreads(fuse);
  const texts = (): string[] => requests.map(({ bytes }) => bytes.toString());
  return { pair, lines, requests, texts, fuse, ended };
}

t.test('each message is one request; the kernel’s end ends every read', async t => {
  const { pair, lines, requests, texts, fuse, ended } = started(t);
  const all = Array.from({ length: 40 }, (_, index) => `request ${index}`);
  for (const text of all) pair.send(Buffer.from(text));
  await waitUntil(() => requests.length === all.length, { ...DEADLINE, what: 'all came' });
  // Threads may hand them over in another order.
  t.same(texts().sort(), all.sort(), 'none twice, and each in memory of its own');
  pair.send(Buffer.from('busy'));
  fuse.lookForMore();
  t.equal(requests.length, all.length, 'a busy poll would take what the threads wait for');
  pair.endKernel();
  await ended;
  await fuse.close();
  t.equal(requests.length, all.length + 1);
  t.same(lines, []);
});

t.test('stop ends reads that wait for requests that may never come', async t => {
  const { pair, requests, fuse, ended } = started(t);
  pair.send(Buffer.from('before'));
  await waitUntil(() => requests.length === 1, { ...DEADLINE, what: 'the request came' });
  fuse.stop();
  await ended;
  await fuse.close();
  t.equal(requests.length, 1);
  t.throws(() => pair.send(Buffer.from('after')), { code: 'EPIPE' }, 'the connection has ended');
});
