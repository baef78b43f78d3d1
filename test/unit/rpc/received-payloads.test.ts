/** Large payloads of requests come to lie in memory that is used again: it is given back whatever becomes of the request, and once. */
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Type } from '@sinclair/typebox';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { AlignedBuffers } from '../../../src/platform/aligned-buffers.js';
import { systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { encodePrefix, FRAME_PREFIX_BYTES, FrameKind } from '../../../src/protocol/frame.js';
import { CLIENTS } from '../../../src/protocol/roles.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { RpcConnection } from '../../../src/rpc/connection.js';
import { Routes, type CallContext } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { waitUntil } from '../../support/wait-until.js';

const log = pino({ level: 'silent' });
const surroundings = { network: tcpNetwork, clock: systemClock, random: systemRandom, log, keys: TEST_KEYS };
const Text = Type.Object({ text: Type.String() });
const take = command('take', 9001, { allow: CLIENTS, request: Text, reply: Text, maxPayloadBytes: 64 << 20 });
const LONG = { timeoutMs: 10_000 };
const CHUNK = 1 << 20;

/** Counts what is lent. */
class CountedBuffers extends AlignedBuffers {
  readonly lent = new Set<ArrayBufferLike>();
  taken = 0;

  override take(bytes: number): Buffer | undefined {
    const buffer = super.take(bytes);
    if (!buffer) return undefined;
    this.taken += 1;
    if (this.lent.has(buffer.buffer)) throw new Error('memory that somebody has is lent again');
    this.lent.add(buffer.buffer);
    return buffer;
  }

  override give(pieces: readonly Buffer[]): void {
    for (const { buffer } of pieces) this.lent.delete(buffer);
    super.give(pieces);
  }
}

type Handle = (text: string, context: CallContext) => Promise<{ text: string }>;

async function serverWith(t: Test, handle: Handle): Promise<{ server: RpcServer; buffers: CountedBuffers }> {
  const buffers = new CountedBuffers(8 << 20);
  const routes = new Routes().on(take, async ({ text }, context) => await handle(text, context));
  const endpoint = { host: '127.0.0.1', port: 0 };
  const server = new RpcServer({ ...surroundings, kind: 'data', routes, endpoint, buffers });
  await server.start();
  t.teardown(async () => await server.close());
  return { server, buffers };
}

function clientOf(t: Test, { endpoint }: RpcServer): RpcClient {
  const client = new RpcClient({ ...surroundings, role: 'client', server: 'data', endpoint });
  t.teardown(() => client.close());
  return client;
}

function sumOf(payload: readonly Buffer[]): string {
  const bytes = Buffer.concat([...payload]);
  return `${bytes.length} ${bytes.reduce((sum, byte) => (sum * 31 + byte) % 1_000_003, 7)}`;
}

t.test('payloads of all sizes come as they were sent, and their memory comes back', async t => {
  const { server, buffers } = await serverWith(t, async (_, { payload, freePayload }) => {
    await new Promise(resolve => setTimeout(resolve, 5));
    freePayload();
    return { text: sumOf(payload) };
  });
  const connection = await clientOf(t, server).connect(0);
  const sizes = [0, 1, 4096, 200_000, 256 << 10, 300_001, CHUNK, 4 << 20, (4 << 20) + 1];
  for (let round = 0; round < 3; round += 1) {
    await Promise.all(
      sizes.map(async (size, index) => {
        const sent = [Buffer.alloc(size, index + round), Buffer.alloc(size % 7, 3)];
        const { reply } = await connection.call(take, { text: '' }, { ...LONG, payload: sent });
        t.equal(reply.text, sumOf(sent), `${size} bytes`);
      }),
    );
  }
  t.ok(buffers.taken >= 9);
  await waitUntil(() => buffers.lent.size === 0, { what: 'all of it is given back' });
});

t.test('a request that fails gives its memory back, one whose handler keeps it does not', async t => {
  let kept: readonly Buffer[] = [];
  const { server, buffers } = await serverWith(t, async (text, { payload, freePayload }) => {
    if (text === 'keep') kept = payload;
    else freePayload();
    if (text === 'fail') throw new DfsError('ENOSPC', text);
    return { text };
  });
  const connection = await clientOf(t, server).connect(0);
  const payload = [Buffer.alloc(CHUNK, 1)];
  await t.rejects(connection.call(take, { text: 'fail' }, { ...LONG, payload }), { code: 'ENOSPC' });
  await waitUntil(() => buffers.lent.size === 0, { what: 'the failed one is given back' });
  await connection.call(take, { text: 'keep' }, { ...LONG, payload });
  for (let count = 0; count < 10; count += 1)
    await connection.call(take, { text: '' }, { ...LONG, payload: [Buffer.alloc(CHUNK, 2)] });
  t.equal(buffers.lent.size, 1);
  t.ok(
    Buffer.concat([...kept]).every(byte => byte === 1),
    'nobody wrote to what was kept',
  );
});

t.test('a connection that breaks within a payload gives its memory back', async t => {
  const { server, buffers } = await serverWith(t, async (text, { freePayload }) => {
    freePayload();
    return { text };
  });
  const client = clientOf(t, server);
  const connection = await client.connect(0);
  // More than the system takes by itself, so that it is under way when the connection ends.
  const calls = Array.from({ length: 20 }, async () => {
    const payload = [Buffer.alloc(4 << 20, 1)];
    await connection.call(take, { text: '' }, { ...LONG, payload });
  });
  await waitUntil(() => buffers.taken > 1, { what: 'a payload is being received' });
  connection.close();
  await Promise.allSettled(calls);
  await waitUntil(() => buffers.lent.size === 0, { what: 'all of it is given back' });
});

t.test('nothing is set aside for a peer that has not proved what it is', async t => {
  const { server, buffers } = await serverWith(t, async text => ({ text }));
  const socket: Socket = connect(server.endpoint.port, server.endpoint.host);
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  const sizes = { passesOn: 0, headerBytes: 10, payloadBytes: 4 << 20 };
  socket.write(encodePrefix({ kind: FrameKind.request, command: take.number, requestId: 1, ...sizes }));
  socket.write(Buffer.alloc(1000));
  await waitUntil(() => socket.bytesWritten > 1000, { what: 'it is sent' });
  await new Promise(resolve => setTimeout(resolve, 50));
  t.equal(buffers.taken, 0);
});

t.test('an answer that comes before its request has gone counts when it has', async t => {
  let accept: (stream: Duplex) => void = () => undefined;
  const accepted = new Promise<Duplex>(resolve => (accept = resolve));
  const listener = await tcpNetwork.listen({ host: '127.0.0.1', port: 0 }, ({ stream }) => accept(stream));
  t.teardown(async () => await listener.close());
  const bytes = await tcpNetwork.connect(listener.endpoint, 1000);
  const connection = new RpcConnection(bytes, { clock: systemClock, log, routes: new Routes() });
  t.teardown(() => connection.close());
  connection.start();
  let isAnswered = false;
  const call = connection.call(take, { text: '' }, { ...LONG, payload: [Buffer.alloc(32 << 20)] });
  const answer = call.then(({ reply }) => {
    isAnswered = true;
    return reply.text;
  });
  const peer = await accepted;
  t.teardown(() => peer.destroy());
  const request = await new Promise<Buffer>(resolve => {
    peer.once('data', (data: Buffer) => {
      peer.pause();
      resolve(data);
    });
  });
  const header = take.reply.encode({ text: 'early' });
  const sizes = { passesOn: 0, headerBytes: header.length, payloadBytes: 0 };
  const numbers = { kind: FrameKind.reply, command: take.number, requestId: request.readUInt32LE(8) };
  peer.write(Buffer.concat([encodePrefix({ ...numbers, ...sizes }), header]));
  await waitUntil(() => bytes.stream.bytesRead >= FRAME_PREFIX_BYTES + header.length, {
    what: 'the answer has come',
  });
  await new Promise(setImmediate);
  t.notOk(isAnswered, 'most of the request is still here');
  peer.resume();
  t.equal(await answer, 'early');
});
