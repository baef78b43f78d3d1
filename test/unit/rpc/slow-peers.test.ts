/** Connections whose other end is slow, silent, gone, or says too much: on a stream and a clock that the test moves. */
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { Type } from '@sinclair/typebox';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { encodePrefix, FrameKind } from '../../../src/protocol/frame.js';
import { HANDSHAKE_MS, MAX_STRANGER_BYTES } from '../../../src/protocol/limits.js';
import { CLIENTS } from '../../../src/protocol/roles.js';
import { RpcConnection } from '../../../src/rpc/connection.js';
import { Routes, withPayload } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { WireMemory } from '../../../src/rpc/wire-memory.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { ManualClock } from '../../support/manual-clock.js';

const log = pino({ level: 'silent' });
const Text = Type.Object({ text: Type.String() });
const Count = Type.Object({ bytes: Type.Integer() });
const fetch = command('fetch', 9101, {
  allow: CLIENTS,
  request: Count,
  reply: Text,
  maxPayloadBytes: 1000,
  replyPayloadBytes: ({ bytes }) => bytes,
});
const spoil = command('spoil', 9102, { allow: CLIENTS, request: Count, reply: Text });
const count = command('count', 9103, {
  allow: CLIENTS,
  request: Text,
  reply: Text,
  maxRequestBytes: 1 << 20,
});
const HOST = { host: 'peer', port: 1 };

/** The other end takes what is written only when the test says so. */
class SlowStream extends Duplex {
  #held: { readonly bytes: number; readonly done: () => void }[] = [];
  takenBytes = 0;

  override _read(): void {
    // Bytes come by push().
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#held.push({ bytes: chunk.length, done });
  }

  /** Takes one write. */
  takeWrite(): void {
    const next = this.#held.shift();
    if (!next) return;
    this.takenBytes += next.bytes;
    next.done();
  }
}

interface Setting {
  readonly stream: SlowStream;
  readonly clock: ManualClock;
  readonly connection: RpcConnection;
}

function connectionOf(t: Test, routes: Routes, memory?: WireMemory): Setting {
  const stream = new SlowStream();
  const clock = new ManualClock();
  const bytes = { stream, local: HOST, remote: HOST };
  const connection = new RpcConnection(bytes, { clock, log, routes, ...(memory ? { memory } : {}) });
  connection.start();
  t.teardown(() => connection.close());
  return { stream, clock, connection };
}

function requestOf(number: number, requestId: number, header: Buffer): Buffer {
  const sizes = { headerBytes: header.length, payloadBytes: 0, passesOn: 0 };
  return Buffer.concat([
    encodePrefix({ kind: FrameKind.request, command: number, requestId, ...sizes }),
    header,
  ]);
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

t.test('a slow link that takes bytes is not cut, one that takes none is', async t => {
  const large = new Routes().on(fetch, async ({ bytes }) => withPayload({ text: '' }, pieces(bytes)));
  const { stream, clock, connection } = connectionOf(t, large);
  stream.push(requestOf(fetch.number, 1, fetch.request.encode({ bytes: 30 })));
  await turns();
  for (let minute = 0; minute < 10; minute += 1) {
    clock.advance(50_000);
    t.equal(connection.isClosed, false, `after ${minute} minutes`);
    stream.takeWrite();
    await turns();
  }
  clock.advance(65_000);
  t.equal(connection.isClosed, true);
});

function pieces(length: number): Buffer[] {
  return Array.from({ length }, () => Buffer.alloc(100_000));
}

t.test("a call's time begins with the call, not when the stream takes more", async t => {
  const { clock, connection } = connectionOf(t, new Routes());
  const payload = [Buffer.alloc(1000)];
  const calls = Array.from({ length: 60 }, async () => {
    await connection.call(fetch, { bytes: 1 }, { timeoutMs: 5000, payload });
  });
  const outcomes = Promise.allSettled(calls);
  await turns();
  clock.advance(5000);
  for (const outcome of await outcomes) {
    t.match(outcome, { status: 'rejected', reason: { code: 'ETIMEDOUT' } });
  }
  t.equal(connection.isClosed, false);
});

t.test('half a request is waited for while it grows, and not when it stops', async t => {
  const { stream, clock, connection } = connectionOf(
    t,
    new Routes().on(count, async () => ({ text: '' })),
  );
  const request = requestOf(count.number, 1, count.request.encode({ text: 'x'.repeat(100_000) }));
  let sent = 0;
  for (; sent < 100; sent += 10) {
    stream.push(request.subarray(sent, sent + 10));
    await turns();
    clock.advance(25_000);
    t.equal(connection.isClosed, false);
  }
  clock.advance(10_000);
  t.equal(connection.isClosed, true);
});

t.test('half a large request is given up soon when others wait for its memory', async t => {
  const memory = new WireMemory({ requestBytes: 150_000 });
  const routes = new Routes().on(count, async () => ({ text: '' }));
  const { stream, clock, connection } = connectionOf(t, routes, memory);
  const other = connectionOf(t, routes, memory);
  const request = requestOf(count.number, 1, count.request.encode({ text: 'x'.repeat(100_000) }));
  stream.push(request.subarray(0, 200));
  await turns();
  other.stream.push(request);
  await turns();
  t.equal(other.stream.writableLength, 0, 'the other one waits');
  clock.advance(4000);
  t.equal(connection.isClosed, true);
  await turns();
  t.ok(other.stream.writableLength > 0, 'and has its answer then');
});

t.test('the memory of a reply that cannot be encoded is given back', async t => {
  const memory = new WireMemory({ replyBytes: 100, replyBytesOfOne: 100 });
  const routes = new Routes().on(spoil, async ({ bytes }, { reserve }) => {
    await reserve(bytes);
    return {
      get text(): string {
        throw new Error('cannot be read');
      },
    };
  });
  const { stream } = connectionOf(t, routes, memory);
  for (let id = 1; id <= 5; id += 1)
    stream.push(requestOf(spoil.number, id, spoil.request.encode({ bytes: 90 })));
  await turns();
  t.equal(await memory.reserveReply({}, 100), true);
  t.equal(memory.isShort, false);
});

t.test('requests of a connection that is closed are not begun, nor are their replies waited for', async t => {
  const begun: string[] = [];
  const routes = new Routes().on(count, async ({ text }) => {
    begun.push(text.slice(0, 1));
    return { text: '' };
  });
  const { stream, connection } = connectionOf(t, routes);
  const large = 'x'.repeat(100_000);
  for (const [id, name] of ['a', 'b', 'c'].entries()) {
    stream.push(requestOf(count.number, id + 1, count.request.encode({ text: `${name}${large}` })));
  }
  while (begun.length === 0) await new Promise(setImmediate);
  connection.close();
  await turns();
  t.same(begun, ['a']);
});

t.test('requests begin in their order, a large one before small ones that came after it', async t => {
  const begun: string[] = [];
  const routes = new Routes().on(count, async ({ text }) => {
    begun.push(text.slice(0, 1));
    return { text: '' };
  });
  const { stream } = connectionOf(t, routes);
  const texts = ['a', `b${'x'.repeat(100_000)}`, 'c', `d${'x'.repeat(100_000)}`, 'e'];
  for (const [id, text] of texts.entries()) {
    stream.push(requestOf(count.number, id + 1, count.request.encode({ text })));
  }
  await turns();
  t.same(begun, ['a', 'b', 'c', 'd', 'e']);
});

t.test('a connection that does not take its replies is served no further', async t => {
  const routes = new Routes().on(count, async ({ text }) => ({ text }));
  const { stream } = connectionOf(t, routes, new WireMemory({ replyBytes: 1 << 20 }));
  const text = 'x'.repeat(10_000);
  for (let id = 1; id <= 3000; id += 1)
    stream.push(requestOf(count.number, id, count.request.encode({ text })));
  await turns();
  await turns();
  t.ok(stream.writableLength < 8 << 20, `${stream.writableLength} bytes of 30,000,000 wait to be taken`);
});

t.test('a stranger has five seconds and four KiB', async t => {
  const clock = new ManualClock();
  const endpoint = { host: '127.0.0.1', port: 0 };
  const options = { network: tcpNetwork, clock, random: systemRandom, log, keys: TEST_KEYS };
  const server = new RpcServer({ ...options, kind: 'data', routes: new Routes(), endpoint });
  await server.start();
  t.teardown(async () => await server.close());
  const open = async (): Promise<{ readonly closed: Promise<void>; write(bytes: Buffer): void }> =>
    await new Promise(resolve => {
      const socket = connect(server.endpoint.port, '127.0.0.1');
      t.teardown(() => socket.destroy());
      socket.on('error', () => undefined);
      socket.resume();
      const closed = new Promise<void>(close => socket.once('close', () => close()));
      socket.once('connect', () => resolve({ closed, write: bytes => void socket.write(bytes) }));
    });
  const talker = await open();
  const hello = requestOf(2001, 1, Buffer.alloc(200, 0x80));
  talker.write(Buffer.concat(Array.from({ length: MAX_STRANGER_BYTES / hello.length + 1 }, () => hello)));
  await talker.closed;
  const silent = await open();
  const half = await open();
  half.write(hello.subarray(0, 30));
  await turns();
  clock.advance(HANDSHAKE_MS);
  await silent.closed;
  await half.closed;
});
