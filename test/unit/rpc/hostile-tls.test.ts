/** Strangers on the ports between machines: handshakes that do not go on, or never begin, cost a server a place for five seconds. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { Type } from '@sinclair/typebox';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { selfIssued, type Identity } from '../../../src/identity/identity.js';
import { Revocations } from '../../../src/identity/revocations.js';
import { TlsNetwork } from '../../../src/identity/tls-network.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { tcpNetwork, type Endpoint, type Network } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { HANDSHAKE_MS } from '../../../src/protocol/limits.js';
import { CLIENTS } from '../../../src/protocol/roles.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { Keyring } from '../../../src/rpc/keyring.js';
import { Routes } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { ManualClock } from '../../support/manual-clock.js';
import { waitUntil } from '../../support/wait-until.js';

const log = createLogger('test', 'silent');
const ask = command('ask', 9001, { allow: CLIENTS, request: Type.Object({}), reply: Type.Object({}) });
const authority = new CertificateAuthority(Buffer.alloc(32, 1));
/** The beginning of a TLS record with a handshake message of 512 bytes in it (RFC 8446, section 5.1). */
const HALF_HELLO = Buffer.from('1603010200010001fc0303', 'hex');

function networkOf(identity: Identity): Network {
  const isPlain = (): boolean => false;
  return new TlsNetwork({
    tcp: tcpNetwork,
    log,
    identity: async () => await Promise.resolve(identity),
    revocations: new Revocations(),
    isPlain,
  });
}

async function member(role: 'metadata' | 'client'): Promise<Identity> {
  return await selfIssued(authority, role, `${role}-1`, Date.now(), 86_400_000);
}

async function serverFor(t: Test, clock: ManualClock, descriptors = 200): Promise<RpcServer> {
  const server = new RpcServer({
    network: networkOf(await member('metadata')),
    clock,
    random: systemRandom,
    log,
    endpoint: { host: '127.0.0.1', port: 0 },
    routes: new Routes().on(ask, async () => await Promise.resolve({})),
    keys: Keyring.none('nowhere'),
    kind: 'metadata',
    descriptors,
  });
  t.teardown(async () => await server.close());
  await server.start();
  return server;
}

interface Stranger {
  readonly socket: Socket;
  isClosed: boolean;
}

function strangerAt(t: Test, { port }: Endpoint): Stranger {
  const socket = connect({ host: '127.0.0.1', port });
  const stranger: Stranger = { socket, isClosed: false };
  socket.on('error', () => undefined).on('close', () => (stranger.isClosed = true));
  socket.resume();
  t.teardown(() => socket.destroy());
  return stranger;
}

async function isServed(t: Test, server: RpcServer): Promise<void> {
  const client = new RpcClient({
    network: networkOf(await member('client')),
    clock: systemClock,
    random: systemRandom,
    log,
    keys: Keyring.none('nowhere'),
    role: 'client',
    server: 'metadata',
    endpoint: server.endpoint,
  });
  t.teardown(() => client.close());
  const connection = await client.connect(systemClock.monotonicMs() + 10_000);
  await connection.call(ask, {}, { timeoutMs: 10_000 });
}

t.test('a handshake that trickles is over after five seconds, however often a byte comes', async t => {
  const clock = new ManualClock();
  const server = await serverFor(t, clock);
  const before = clock.pendingTimers;
  const stranger = strangerAt(t, server.endpoint);
  await waitUntil(() => clock.pendingTimers > before, { what: 'the server has accepted the connection' });
  for (const byte of HALF_HELLO) {
    stranger.socket.write(Buffer.of(byte));
    clock.advance(Math.floor((HANDSHAKE_MS - 1) / HALF_HELLO.length));
    await new Promise(setImmediate);
    t.notOk(stranger.isClosed);
  }
  clock.advance(HANDSHAKE_MS);
  await waitUntil(() => stranger.isClosed, { what: 'the server has closed it' });
});

t.test('encrypted, and silent from then on: the same five seconds', async t => {
  const clock = new ManualClock();
  const server = await serverFor(t, clock);
  const { port } = server.endpoint;
  let isClosed = false;
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined).on('close', () => (isClosed = true));
  socket.resume();
  await new Promise(resolve => socket.once('secureConnect', resolve));
  clock.advance(HANDSHAKE_MS - 1);
  await new Promise(setImmediate);
  t.notOk(isClosed);
  clock.advance(1);
  await waitUntil(() => isClosed, { what: 'the server has closed it' });
});

t.test('many that begin a handshake and stop displace each other, and no member', async t => {
  const clock = new ManualClock();
  const server = await serverFor(t, clock);
  await isServed(t, server);
  const strangers = Array.from({ length: 300 }, () => strangerAt(t, server.endpoint));
  for (const { socket } of strangers) socket.write(HALF_HELLO);
  await waitUntil(() => strangers.filter(({ isClosed }) => !isClosed).length < 60, {
    what: 'the server keeps few of them',
  });
  await isServed(t, server);
});

t.test('what is no TLS is answered nothing of ours, and closed', async t => {
  const server = await serverFor(t, new ManualClock());
  for (const bytes of [
    Buffer.alloc(5000, 'x'),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(20_000),
  ]) {
    const stranger = strangerAt(t, server.endpoint);
    const answer: Buffer[] = [];
    stranger.socket.on('data', piece => answer.push(piece));
    stranger.socket.write(bytes);
    await waitUntil(() => stranger.isClosed, { what: 'the server has closed it' });
    t.ok(Buffer.concat(answer).length < 64, 'at most an alert of TLS');
  }
  await isServed(t, server);
});
