/** What was overheard on a connection, or taken from a trace, opens nothing on another one. */
import { connect } from 'node:net';
import t from 'tap';
import { Type } from '@sinclair/typebox';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { tcpNetwork, type Network } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { FrameDecoder, FrameKind, type Frame } from '../../../src/protocol/frame.js';
import { CLIENTS } from '../../../src/protocol/roles.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { Routes } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { waitUntil } from '../../support/wait-until.js';

const change = command('change', 9001, { allow: CLIENTS, request: Type.Object({}), reply: Type.Object({}) });
const PLATFORM = {
  clock: systemClock,
  random: systemRandom,
  log: createLogger('test', 'silent'),
  keys: TEST_KEYS,
};

t.test('the whole of a member’s connection, sent again, does nothing', async t => {
  let changes = 0;
  const routes = new Routes().on(change, async () => {
    changes += 1;
    return await Promise.resolve({});
  });
  const endpoint = { host: '127.0.0.1', port: 0 };
  const server = new RpcServer({ ...PLATFORM, network: tcpNetwork, kind: 'metadata', endpoint, routes });
  t.teardown(async () => await server.close());
  await server.start();

  const sent: Buffer[] = [];
  const overheard: Network = {
    listen: async (...parameters) => await tcpNetwork.listen(...parameters),
    async connect(...parameters) {
      const bytes = await tcpNetwork.connect(...parameters);
      const { stream } = bytes;
      const write = stream.write.bind(stream);
      stream.write = (piece: Buffer, ...rest: []) => {
        sent.push(Buffer.from(piece));
        return write(piece, ...rest);
      };
      return bytes;
    },
  };
  const client = new RpcClient({
    ...PLATFORM,
    network: overheard,
    role: 'client',
    server: 'metadata',
    endpoint: server.endpoint,
  });
  t.teardown(() => client.close());
  const connection = await client.connect(systemClock.monotonicMs() + 10_000);
  await connection.call(change, {}, { timeoutMs: 10_000 });
  t.equal(changes, 1);
  t.ok(sent.length >= 3, 'hello, prove and the request were overheard');

  for (const pieces of [sent, sent.slice(1), sent.slice(-1)]) {
    const answers: Frame[] = [];
    const decoder = new FrameDecoder();
    let isClosed = false;
    const socket = connect({ host: server.endpoint.host, port: server.endpoint.port });
    t.teardown(() => socket.destroy());
    socket.on('error', () => undefined).on('close', () => (isClosed = true));
    socket.on('data', data => decoder.push(data, frame => answers.push(frame) > 0));
    socket.write(Buffer.concat(pieces));
    await waitUntil(() => isClosed || answers.length >= pieces.length, { what: 'the server has answered' });
    t.ok(
      answers
        .filter(({ command: number }) => number === change.number)
        .every(({ kind }) => kind === FrameKind.error),
      'the request is refused',
    );
  }
  t.equal(changes, 1, 'and nothing was done');
});
