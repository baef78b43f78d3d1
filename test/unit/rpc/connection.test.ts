import { connect } from 'node:net';
import { Type } from '@sinclair/typebox';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { DfsError, toDfsError } from '../../../src/protocol/errors.js';
import { payloadBytes } from '../../../src/platform/payload.js';
import { isConnectionError, RpcClient } from '../../../src/rpc/client.js';
import { Routes, withPayload } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { CLIENTS } from '../../../src/protocol/roles.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { waitUntil } from '../../support/wait-until.js';

const log = pino({ level: 'silent' });
const surroundings = { network: tcpNetwork, clock: systemClock, random: systemRandom, log, keys: TEST_KEYS };
const Text = Type.Object({ text: Type.String() });
const echo = command('echo', 9001, {
  allow: CLIENTS,
  request: Text,
  reply: Text,
  maxPayloadBytes: 64 << 20,
  replyPayloadBytes: () => 64 << 20,
});
/** Answered with more than was asked for. */
const excess = command('excess', 9006, {
  allow: CLIENTS,
  request: Text,
  reply: Text,
  replyPayloadBytes: () => 1000,
});
const fail = command('fail', 9002, { allow: CLIENTS, request: Text, reply: Text });
const never = command('never', 9003, { allow: CLIENTS, request: Text, reply: Text });
const unknown = command('unknown', 9004, { allow: CLIENTS, request: Text, reply: Text });
const swallow = command('swallow', 9005, {
  allow: CLIENTS,
  request: Text,
  reply: Text,
  maxPayloadBytes: 64 << 20,
});
const LONG = { timeoutMs: 10_000 };
/** What came with the last `swallow`. */
let swallowed: readonly Buffer[] = [];

const routes = new Routes()
  .on(excess, async ({ text }) => withPayload({ text }, [Buffer.alloc(text === 'more' ? 1001 : 1000)]))
  .on(echo, async ({ text }, { payload }) => withPayload({ text }, payload))
  .on(fail, async ({ text }) => {
    throw new DfsError('ENOSPC', text);
  })
  .on(swallow, async ({ text }, { payload, freePayload }) => {
    swallowed = payload;
    freePayload();
    return { text: `${text} ${payloadBytes(payload)}` };
  })
  .on(never, async () => await new Promise(() => undefined));

async function startServer(t: Test): Promise<RpcServer> {
  const endpoint = { host: '127.0.0.1', port: 0 };
  const server = new RpcServer({ ...surroundings, kind: 'data', routes, endpoint });
  await server.start();
  t.teardown(async () => await server.close());
  return server;
}

function clientOf(t: Test, { endpoint }: RpcServer): RpcClient {
  const client = new RpcClient({ ...surroundings, role: 'client', server: 'data', endpoint });
  t.teardown(() => client.close());
  return client;
}

t.test('many requests at once each get their own answer and payload', async t => {
  const client = clientOf(t, await startServer(t));
  const connection = await client.connect(0);
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const payload = [Buffer.alloc(index * 1000, index)];
      const answer = await connection.call(echo, { text: `${index}` }, { ...LONG, payload });
      t.equal(answer.reply.text, `${index}`);
      t.equal(Buffer.concat(answer.payload).equals(payload[0] ?? Buffer.alloc(0)), true);
    }),
  );
});

t.test('a payload of 32 MiB passes both ways', async t => {
  const connection = await clientOf(t, await startServer(t)).connect(0);
  const payload = [Buffer.alloc(32 << 20, 5)];
  const answer = await connection.call(echo, { text: '' }, { ...LONG, payload });
  t.equal(payloadBytes(answer.payload), 32 << 20);
});

t.test(
  'the memory of a payload is free as soon as its request is answered, if the handler says so',
  async t => {
    const connection = await clientOf(t, await startServer(t)).connect(0);
    const bytes = 8 << 20;
    const sent = Buffer.alloc(bytes, 7);
    for (let round = 0; round < 10; round += 1) {
      const { reply } = await connection.call(swallow, { text: `${round}` }, { ...LONG, payload: [sent] });
      t.equal(reply.text, `${round} ${bytes}`);
      await waitUntil(() => payloadBytes(swallowed) < bytes / 2, { what: 'most of it is given back' });
    }
    t.ok(
      sent.every(byte => byte === 7),
      'what the sender has is its own',
    );
  },
);

t.test('a reply that is longer than what was asked for closes the connection, before it is read', async t => {
  const connection = await clientOf(t, await startServer(t)).connect(0);
  t.equal((await connection.call(excess, { text: 'as much' }, LONG)).payload.length, 1);
  await t.rejects(connection.call(excess, { text: 'more' }, LONG), { code: 'EPROTO' });
  t.ok(connection.isClosed);
});

t.test('errors arrive with their errno and sentence', async t => {
  const connection = await clientOf(t, await startServer(t)).connect(0);
  await t.rejects(connection.call(fail, { text: 'no room' }, LONG), { code: 'ENOSPC', message: 'no room' });
  await t.rejects(connection.call(unknown, { text: '' }, LONG), { code: 'ENOSYS' });
});

t.test('what a server answers of its own connections is no trouble of ours', async t => {
  const brokenElsewhere = new Routes()
    .on(fail, async ({ text }) => {
      throw new DfsError('ECONNRESET', text);
    })
    .on(echo, async ({ text }) => {
      throw new DfsError('ESHUTDOWN', text);
    });
  const endpoint = { host: '127.0.0.1', port: 0 };
  const server = new RpcServer({ ...surroundings, kind: 'data', routes: brokenElsewhere, endpoint });
  await server.start();
  t.teardown(async () => await server.close());
  const connection = await clientOf(t, server).connect(0);
  const answered = await connection
    .call(fail, { text: 'node 2 closed the connection' }, LONG)
    .catch(toDfsError);
  t.match(answered, { code: 'ECONNRESET', message: 'node 2 closed the connection' });
  t.notOk(isConnectionError(answered), 'the server has answered');
  t.notOk(isConnectionError(toDfsError(answered).within('reading')), 'also when more was said of it');
  const leaving = await connection.call(echo, { text: 'the server shuts down' }, LONG).catch(toDfsError);
  t.ok(isConnectionError(leaving), 'a server that is being shut down is tried again');
  t.notOk(connection.isClosed);
  connection.close();
  t.ok(
    isConnectionError(await connection.call(echo, { text: '' }, LONG).catch(toDfsError)),
    'our own is one',
  );
});

t.test('a request that is not answered fails with ETIMEDOUT, and others go on', async t => {
  const connection = await clientOf(t, await startServer(t)).connect(0);
  await t.rejects(connection.call(never, { text: '' }, { timeoutMs: 30 }), { code: 'ETIMEDOUT' });
  t.equal((await connection.call(echo, { text: 'still here' }, LONG)).reply.text, 'still here');
});

t.test('an answer that came while the process was stopped counts, although its time is over', async t => {
  const expired: (() => void)[] = [];
  const atNextTurn: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    setTimer(delayMs, callback, background) {
      if (delayMs === LONG.timeoutMs) expired.push(callback);
      return systemClock.setTimer(delayMs, callback, background);
    },
    atNextTurn: callback => void atNextTurn.push(callback),
  };
  const { endpoint } = await startServer(t);
  const client = new RpcClient({ ...surroundings, clock, role: 'client', server: 'data', endpoint });
  t.teardown(() => client.close());
  const connection = await client.connect(0);
  expired.length = 0;
  const call = connection.call(echo, { text: 'in time' }, LONG);
  await waitUntil(() => expired.length > 0, { what: 'the request waits for its answer' });
  for (const expire of expired) expire();
  t.equal((await call).reply.text, 'in time');
  for (const turn of atNextTurn) turn();
  t.equal((await connection.call(echo, { text: 'still here' }, LONG)).reply.text, 'still here');
});

t.test('a torn or foreign stream closes that connection alone', async t => {
  const server = await startServer(t);
  const connection = await clientOf(t, server).connect(0);
  for (const garbage of ['GET / HTTP/1.1\r\n\r\n long enough to be a prefix', '\x57\xdf\x01']) {
    const socket = connect(server.endpoint.port, '127.0.0.1');
    const closed = new Promise<void>(resolve => {
      socket.on('close', () => resolve());
    });
    socket.on('error', () => undefined);
    socket.end(Buffer.from(garbage, 'latin1'));
    await closed;
  }
  t.equal((await connection.call(echo, { text: 'unharmed' }, LONG)).reply.text, 'unharmed');
});

t.test('waiting calls fail when the server goes, and a new connection is made when it is back', async t => {
  const server = await startServer(t);
  const client = clientOf(t, server);
  const connection = await client.connect(0);
  const waiting = connection.call(never, { text: '' }, LONG);
  const { endpoint } = server;
  await server.close();
  await t.rejects(waiting, { code: 'ECONNRESET' });
  await t.rejects(client.connect(0), { code: 'ECONNREFUSED' });
  const again = new RpcServer({ ...surroundings, kind: 'data', routes, endpoint });
  await again.start();
  t.teardown(async () => await again.close());
  const fresh = await client.connect(systemClock.monotonicMs() + 5000);
  t.equal((await fresh.call(echo, { text: 'back' }, LONG)).reply.text, 'back');
});

t.test('a port that is taken is told in one sentence', async t => {
  const { endpoint } = await startServer(t);
  await t.rejects(new RpcServer({ ...surroundings, kind: 'data', routes, endpoint }).start(), {
    code: 'EADDRINUSE',
    message: /another program already listens on 127\.0\.0\.1:\d+/,
  });
});
