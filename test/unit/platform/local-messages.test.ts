import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../src/platform/clock.js';
import { listenLocally, LocalMessages } from '../../../src/platform/local-messages.js';

const PATIENCE_MS = 5000;

async function listening(t: Test) {
  const directory = mkdtempSync(join(tmpdir(), 'dfs-messages-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'socket');
  let accept: (messages: LocalMessages) => void = () => undefined;
  const accepted = new Promise<LocalMessages>(resolve => (accept = resolve));
  const listener = await listenLocally(path, systemClock, messages => accept(messages));
  t.teardown(() => listener.close());
  return { directory, path, accepted, listener };
}

t.test('messages arrive whole and in order, large and empty ones too', async t => {
  const { path, accepted } = await listening(t);
  const client = await LocalMessages.connect(path, systemClock);
  const server = await accepted;
  const sizes = [1, 0, 5, 3 << 20, 70_000, 2];
  const sending = (async () => {
    for (const [index, size] of sizes.entries()) await client.send(Buffer.alloc(size, index));
    client.close();
  })();
  for (const [index, size] of sizes.entries()) {
    const message = await server.receive(PATIENCE_MS);
    t.ok(message.equals(Buffer.alloc(size, index)), `a message of ${size} bytes`);
  }
  await sending;
  await t.rejects(server.receive(PATIENCE_MS), { code: 'ECONNRESET' }, 'the end');
  server.close();
});

t.test('one that says nothing, and one that sends what is no message', async t => {
  const { path, accepted } = await listening(t);
  const socket = connectSocket(path);
  t.teardown(() => socket.destroy());
  const server = await accepted;
  await t.rejects(server.receive(20), { code: 'ETIMEDOUT' });
  const { path: other, accepted: acceptedThere } = await listening(t);
  const hostile = connectSocket(other);
  t.teardown(() => hostile.destroy());
  hostile.write(Buffer.alloc(8, 0xff));
  await t.rejects((await acceptedThere).receive(PATIENCE_MS), { code: 'EPROTO' });
  server.close();
});

t.test('who listens takes the place of what is there, and leaves it to who comes after', async t => {
  const { directory, path, listener } = await listening(t);
  let isSecond = false;
  const second = await listenLocally(path, systemClock, messages => {
    isSecond = true;
    messages.close();
  });
  listener.close();
  t.same(readdirSync(directory), ['socket']);
  const client = await LocalMessages.connect(path, systemClock);
  await t.rejects(client.receive(PATIENCE_MS), { code: 'ECONNRESET' });
  t.ok(isSecond);
  client.close();
  second.close();
  await t.rejects(LocalMessages.connect(path, systemClock), { code: 'ECONNREFUSED' }, 'nobody listens');
});
