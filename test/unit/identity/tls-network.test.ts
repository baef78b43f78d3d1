/** Connections with certificates: who gets in, and who does not (identity/tls-network.ts, rpc/gate.ts). */
import { randomBytes, webcrypto } from 'node:crypto';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { Type } from '@sinclair/typebox';
import { CertificateAuthority } from '../../../src/identity/certificate-authority.js';
import { selfIssued, type Identity } from '../../../src/identity/identity.js';
import { JoiningNetwork } from '../../../src/identity/joining-network.js';
import type { MemberRole } from '../../../src/identity/member.js';
import { Revocations } from '../../../src/identity/revocations.js';
import { TlsNetwork } from '../../../src/identity/tls-network.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/log.js';
import { tcpNetwork, type Network } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import { ADMINS, CLIENTS, JOINERS, MEMBERS, type Role } from '../../../src/protocol/roles.js';
import { RpcClient, type RpcClientOptions } from '../../../src/rpc/client.js';
import type { KnownToken } from '../../../src/rpc/gate.js';
import { Keyring, type ServerKind } from '../../../src/rpc/keyring.js';
import { Routes } from '../../../src/rpc/routes.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { waitUntil } from '../../support/wait-until.js';

const log = createLogger('test', 'silent');
const ANY_PORT = { host: '127.0.0.1', port: 0 };
const LONG = { timeoutMs: 10_000 };
const DAY_MS = 86_400_000;
const NOW_MS = Date.now();
const Empty = Type.Object({});
const shape = { request: Empty, reply: Empty };
const forClients = command('for-clients', 9001, { allow: CLIENTS, ...shape });
const forAdmins = command('for-admins', 9002, { allow: ADMINS, ...shape });
const forMembers = command('for-members', 9003, { allow: MEMBERS, ...shape });
const forJoiners = command('for-joiners', 9004, { allow: JOINERS, ...shape });
const ALL = [forClients, forAdmins, forMembers, forJoiners];
const CLUSTER_KEYS = Keyring.ofCluster(Buffer.alloc(32, 7), 'key');
const NO_KEYS = Keyring.none('nowhere');

const ours = new CertificateAuthority(Buffer.alloc(32, 1));
const foreign = new CertificateAuthority(Buffer.alloc(32, 2));
const everywhere = (): boolean => false;

async function member(
  role: MemberRole,
  authority = ours,
  name = `${role}-1`,
  fromMs = NOW_MS,
): Promise<Identity> {
  return await selfIssued(authority, role, name, fromMs, 30 * DAY_MS);
}

function networkOf(
  identity: Identity | undefined,
  revocations = new Revocations(),
  nowMs = NOW_MS,
): TlsNetwork {
  return new TlsNetwork({
    tcp: tcpNetwork,
    log,
    identity: async () => identity,
    nowMs: () => nowMs,
    revocations,
    isPlain: everywhere,
  });
}

interface ServerChanges {
  readonly kind?: ServerKind;
  readonly revocations?: Revocations;
  readonly nowMs?: number;
  readonly token?: KnownToken;
}

async function startServer(t: Test, identity: Identity, changes: ServerChanges = {}): Promise<RpcServer> {
  const { kind = 'metadata', revocations, nowMs, token } = changes;
  const routes = new Routes();
  for (const each of ALL) routes.on(each, async () => ({}));
  const server = new RpcServer({
    network: networkOf(identity, revocations, nowMs),
    clock: systemClock,
    random: systemRandom,
    log,
    endpoint: ANY_PORT,
    routes,
    keys: CLUSTER_KEYS,
    kind,
    ...(token ? { findToken: async () => token } : {}),
  });
  await server.start();
  t.teardown(async () => await server.close());
  return server;
}

function clientOf(
  t: Test,
  { endpoint }: RpcServer,
  network: Network,
  role: Role = 'client',
  changes: Partial<RpcClientOptions> = {},
): RpcClient {
  const client = new RpcClient({
    network,
    clock: systemClock,
    random: systemRandom,
    log,
    keys: NO_KEYS,
    role,
    server: 'metadata',
    endpoint,
    ...changes,
  });
  t.teardown(() => client.close());
  return client;
}

/** The names of the commands that are answered. */
async function answered(client: RpcClient): Promise<string[]> {
  const connection = await client.connect(0);
  const names: string[] = [];
  for (const each of ALL) {
    try {
      await connection.call(each, {}, LONG);
      names.push(each.name);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error;
    }
  }
  return names;
}

t.test('a certificate opens what its role may, without any key', async t => {
  const server = await startServer(t, await member('metadata'));
  const expected: Record<Role, string[]> = {
    client: ['for-clients', 'for-members'],
    node: ['for-members'],
    admin: ['for-clients', 'for-admins', 'for-members'],
  };
  for (const [role, names] of Object.entries(expected)) {
    const network = networkOf(await member(role as Role));
    t.same(await answered(clientOf(t, server, network, role as Role)), names, role);
  }
  const asClient = clientOf(t, server, networkOf(await member('node')), 'client');
  t.same(await answered(asClient), ['for-members'], 'the certificate counts, not what its holder says');
});

t.test('another cluster is refused, by both ends', async t => {
  const server = await startServer(t, await member('metadata'));
  await t.rejects(clientOf(t, server, networkOf(await member('client', foreign))).connect(0));
  const impostor = await startServer(t, await member('metadata', foreign));
  await t.rejects(clientOf(t, impostor, networkOf(await member('client'))).connect(0), { code: 'EACCES' });
});

t.test('a server proves its kind: a data node does not pass for the metadata server', async t => {
  const server = await startServer(t, await member('node'));
  await t.rejects(clientOf(t, server, networkOf(await member('client'))).connect(0), {
    code: 'EACCES',
    message: /node-1.*not 'metadata'/,
  });
});

t.test(
  'a certificate that has expired, or does not hold yet, is refused by the clock that is given',
  async t => {
    const server = await startServer(t, await member('metadata'));
    const old = await member('client', ours, 'old', NOW_MS - 31 * DAY_MS);
    await t.rejects(clientOf(t, server, networkOf(old)).connect(0));
    const early = await member('client', ours, 'early', NOW_MS + 2 * DAY_MS);
    await t.rejects(clientOf(t, server, networkOf(early)).connect(0));
    const late = await startServer(t, await member('metadata'), { nowMs: NOW_MS - 31 * DAY_MS });
    const network = networkOf(old, new Revocations(), NOW_MS - 10 * DAY_MS);
    await t.rejects(clientOf(t, late, network).connect(0), 'it holds only from a day later on');
  },
);

t.test(
  'who judges no time lets nobody down: a wrong clock of a client or data node does no harm',
  async t => {
    const server = await startServer(t, await member('metadata', ours, 'old', NOW_MS - 31 * DAY_MS));
    const identity = await member('client');
    const judging = networkOf(identity);
    await t.rejects(clientOf(t, server, judging).connect(0), { code: 'EACCES', message: /expired/ });
    const timeless = new TlsNetwork({
      tcp: tcpNetwork,
      log,
      identity: async () => identity,
      revocations: new Revocations(),
      isPlain: everywhere,
    });
    t.ok((await answered(clientOf(t, server, timeless))).includes('for-clients'));
  },
);

t.test('what is revoked is cut off at once, at both kinds of servers, and does not come back', async t => {
  for (const kind of ['metadata', 'data'] as const) {
    const revocations = new Revocations();
    const server = await startServer(t, await member(kind === 'data' ? 'node' : 'metadata'), {
      kind,
      revocations,
    });
    const identity = await member('client');
    const client = clientOf(t, server, networkOf(identity), 'client', { server: kind });
    const connection = await client.connect(0);
    await connection.call(forClients, {}, LONG);
    revocations.set(['something else']);
    t.notOk(connection.isClosed);
    revocations.set(['something else', identity.member.serial]);
    await waitUntil(() => connection.isClosed, { what: 'the connection is closed' });
    await t.rejects(client.connect(0), kind);
    const other = clientOf(t, server, networkOf(await member('client', ours, 'other')), 'client', {
      server: kind,
    });
    t.ok((await answered(other)).includes('for-clients'), 'others are not concerned');
  }
});

t.test('a client cuts off a server that is revoked', async t => {
  const identity = await member('node');
  const server = await startServer(t, identity, { kind: 'data' });
  const network = networkOf(await member('client'));
  const client = clientOf(t, server, network, 'client', { server: 'data' });
  const connection = await client.connect(0);
  network.setRevoked([identity.member.serial]);
  await waitUntil(() => connection.isClosed, { what: 'the connection is closed' });
  await t.rejects(client.connect(0), { code: 'EACCES', message: /not a member/ });
});

t.test(
  'without a certificate one may join, and nothing else: by a token or by the key of a role',
  async t => {
    const secret = randomBytes(32);
    const server = await startServer(t, await member('metadata'), { token: { secret, role: 'client' } });
    const joining = new JoiningNetwork({ tcp: tcpNetwork, authority: ours.publicKey, isPlain: everywhere });
    const token = { id: randomBytes(8), secret };
    t.same(await answered(clientOf(t, server, joining, 'client', { token })), ['for-joiners']);
    t.same(await answered(clientOf(t, server, joining, 'node', { keys: CLUSTER_KEYS })), ['for-joiners']);
    await t.rejects(
      clientOf(t, server, joining, 'admin', { token }).connect(0),
      { code: 'EACCES' },
      'another role',
    );
    const wrong = { id: token.id, secret: randomBytes(32) };
    await t.rejects(clientOf(t, server, joining, 'client', { token: wrong }).connect(0), { code: 'EACCES' });
    const other = new JoiningNetwork({ tcp: tcpNetwork, authority: foreign.publicKey, isPlain: everywhere });
    await t.rejects(
      clientOf(t, server, other, 'client', { token }).connect(0),
      { code: 'EACCES' },
      'another cluster',
    );
  },
);

t.test('a proof cannot be passed on by somebody in the middle', async t => {
  const server = await startServer(t, await member('metadata'));
  // He has no certificate of this cluster, so he shows his own, and hands on what is said.
  const middle = networkOf(await member('metadata', foreign));
  const forward = new JoiningNetwork({ tcp: tcpNetwork, authority: undefined, isPlain: everywhere });
  const listener = await middle.listen(ANY_PORT, incoming => {
    void forward.connect(server.endpoint, 5000).then(outgoing => {
      incoming.stream.pipe(outgoing.stream).pipe(incoming.stream);
      for (const { stream } of [incoming, outgoing]) stream.on('error', () => stream.destroy());
    });
  });
  t.teardown(async () => await listener.close());
  const joining = new JoiningNetwork({ tcp: tcpNetwork, authority: undefined, isPlain: everywhere });
  const options = { keys: CLUSTER_KEYS, endpoint: listener.endpoint };
  await t.rejects(clientOf(t, server, joining, 'client', options).connect(0), { code: 'EACCES' });
  t.same(
    await answered(clientOf(t, server, joining, 'client', { keys: CLUSTER_KEYS })),
    ['for-joiners'],
    'straight',
  );
});

t.test('neither plain connections nor TLS before 1.3 get an answer', async t => {
  const server = await startServer(t, await member('metadata'));
  await t.rejects(clientOf(t, server, tcpNetwork, 'client', { keys: CLUSTER_KEYS }).connect(0));
  const { port } = server.endpoint;
  const failed = await new Promise<Error>((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', maxVersion: 'TLSv1.2', rejectUnauthorized: false });
    socket.once('error', resolve);
    socket.once('secureConnect', () => reject(new Error('TLS 1.2 was taken')));
  });
  t.match(failed.message, /version|alert/i);
});

t.test(
  'without a certificate there are no connections to other machines, and a sentence says what to do',
  async t => {
    const server = await startServer(t, await member('metadata'));
    await t.rejects(clientOf(t, server, networkOf(undefined)).connect(0), {
      code: 'EACCES',
      message: /dfs join/,
    });
  },
);

t.test('everything arrives, large payloads too, in both directions', async t => {
  const payload = Buffer.from(webcrypto.getRandomValues(new Uint8Array(65_536)));
  const large = Buffer.concat(Array.from({ length: 64 }, () => payload));
  const echo = command('echo', 9005, { allow: CLIENTS, ...shape, maxPayloadBytes: large.length });
  const routes = new Routes().on(echo, async (_request, context) => {
    t.equal(Buffer.concat([...context.payload].map(part => Buffer.from(part))).length, large.length);
    return {};
  });
  const server = new RpcServer({
    network: networkOf(await member('metadata')),
    clock: systemClock,
    random: systemRandom,
    log,
    endpoint: ANY_PORT,
    routes,
    keys: CLUSTER_KEYS,
    kind: 'metadata',
  });
  await server.start();
  t.teardown(async () => await server.close());
  const connection = await clientOf(t, server, networkOf(await member('client'))).connect(0);
  await Promise.all(
    Array.from({ length: 4 }, async () => await connection.call(echo, {}, { ...LONG, payload: [large] })),
  );
});
