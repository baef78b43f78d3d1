/** What a peer gets from a server without a key, with another one, and with each role's. */
import { Type } from '@sinclair/typebox';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { command } from '../../../src/protocol/command.js';
import {
  ADMINS,
  CLIENTS,
  MEMBERS,
  METADATA_SERVER,
  NODES,
  ROLES,
  type Allow,
  type Role,
} from '../../../src/protocol/roles.js';
import { hello, isSameProof, proofOf, prove } from '../../../src/rpc/authentication.js';
import { RpcClient, type RpcClientOptions } from '../../../src/rpc/client.js';
import { RpcConnection } from '../../../src/rpc/connection.js';
import { Routes } from '../../../src/rpc/routes.js';
import { Keyring, type ServerKind } from '../../../src/rpc/keyring.js';
import { RpcServer } from '../../../src/rpc/server.js';
import { ping } from '../../../src/rpc/watched-client.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const log = pino({ level: 'silent' });
const surroundings = { network: tcpNetwork, clock: systemClock, random: systemRandom, log };
const ANY_PORT = { host: '127.0.0.1', port: 0 };
const LONG = { timeoutMs: 10_000 };
const Empty = Type.Object({});
const declare = (name: string, number: number, allow: Allow) =>
  command(name, number, { allow, request: Empty, reply: Empty });

const forClients = declare('for-clients', 9001, CLIENTS);
const forNodes = declare('for-nodes', 9002, NODES);
const forAdmins = declare('for-admins', 9003, ADMINS);
const forMembers = declare('for-members', 9004, MEMBERS);
const forMetadata = declare('for-metadata', 9005, METADATA_SERVER);
const ALL = [forClients, forNodes, forAdmins, forMembers, forMetadata];

const OTHER_KEYS = Keyring.ofCluster(Buffer.alloc(32, 8), 'another key');

/** Answers every command with nothing. */
function everything(): Routes {
  const routes = new Routes();
  for (const each of ALL) routes.on(each, async () => ({}));
  return routes;
}

async function startServer(
  t: Test,
  kind: ServerKind = 'metadata',
  keys = TEST_KEYS,
  routes = everything(),
): Promise<RpcServer> {
  const server = new RpcServer({ ...surroundings, keys, kind, routes, endpoint: ANY_PORT });
  await server.start();
  t.teardown(async () => await server.close());
  return server;
}

function clientOf(t: Test, { endpoint }: RpcServer, changes: Partial<RpcClientOptions> = {}): RpcClient {
  const client = new RpcClient({
    ...surroundings,
    keys: TEST_KEYS,
    role: 'client',
    server: 'metadata',
    endpoint,
    ...changes,
  });
  t.teardown(() => client.close());
  return client;
}

/** A connection whose peer has said nothing yet. */
async function stranger(t: Test, { endpoint }: RpcServer): Promise<RpcConnection> {
  const bytes = await tcpNetwork.connect(endpoint, LONG.timeoutMs);
  const connection = new RpcConnection(bytes, { clock: systemClock, log, routes: new Routes() });
  connection.start();
  t.teardown(() => connection.close());
  return connection;
}

/** The names of the commands that are answered. */
async function answered(connection: Pick<RpcConnection, 'call'>): Promise<string[]> {
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

t.test('each role gets what is declared for it, and nothing else', async t => {
  const server = await startServer(t);
  const expected: Record<Role, string[]> = {
    client: ['for-clients', 'for-members'],
    node: ['for-nodes', 'for-members'],
    admin: ['for-clients', 'for-admins', 'for-members'],
  };
  for (const role of ROLES)
    t.same(await answered(await clientOf(t, server, { role }).connect(0)), expected[role], role);
});

t.test('a refusal names the role that is needed and the one that was proved', async t => {
  const connection = await clientOf(t, await startServer(t)).connect(0);
  await t.rejects(connection.call(forAdmins, {}, LONG), {
    code: 'EACCES',
    message: /'for-admins' is for administrators, and this connection's key or certificate is for clients/,
  });
});

t.test('a stranger is answered nothing, not even a ping', async t => {
  const connection = await stranger(t, await startServer(t));
  t.same(await answered(connection), []);
  await t.rejects(connection.call(ping, {}, LONG), { code: 'EACCES' });
});

t.test('a role is refused before its request is looked at', async t => {
  const Strict = Type.Object({ number: Type.Integer() });
  const strict = command('strict', 9010, { allow: ADMINS, request: Strict, reply: Empty });
  const loose = command('strict', 9010, { allow: ADMINS, request: Empty, reply: Empty });
  const routes = new Routes().on(strict, async () => ({}));
  const connection = await clientOf(t, await startServer(t, 'metadata', TEST_KEYS, routes)).connect(0);
  await t.rejects(connection.call(loose, {}, LONG), { code: 'EACCES' });
});

t.test('another key is refused, and a server with another key is not believed', async t => {
  const server = await startServer(t);
  await t.rejects(clientOf(t, server, { keys: OTHER_KEYS }).connect(0), { code: 'EACCES' });
  const impostor = await startServer(t, 'metadata', OTHER_KEYS);
  await t.rejects(clientOf(t, impostor).connect(0), { code: 'EACCES' });
});

t.test("a role's proof does not open another role, nor its own at another kind of server", async t => {
  const server = await startServer(t);
  const secret = TEST_KEYS.secret('client', 'metadata') ?? Buffer.alloc(0);
  const challenge = Buffer.alloc(32, 1);
  const connection = await stranger(t, server);
  const { reply } = await connection.call(hello, { role: 'admin', challenge }, LONG);
  for (const role of ROLES) {
    const proof = proofOf(secret, 'client', role, challenge, reply.challenge, Buffer.alloc(0));
    await t.rejects(
      connection.call(prove, { proof }, LONG),
      { code: 'EACCES' },
      `with a client's secret: ${role}`,
    );
  }
  // What the server itself has just said proves nothing.
  await t.rejects(connection.call(prove, { proof: reply.proof }, LONG), { code: 'EACCES' });
  t.same(await answered(connection), []);
  await t.rejects(clientOf(t, await startServer(t, 'data')).connect(0), { code: 'EACCES' });
});

t.test("a proof before 'hello' opens nothing", async t => {
  const connection = await stranger(t, await startServer(t));
  await t.rejects(connection.call(prove, { proof: Buffer.alloc(32) }, LONG), { code: 'EPROTO' });
  t.same(await answered(connection), []);
});

t.test("a file with one role's key opens that role, and gives no other away", async t => {
  const server = await startServer(t);
  for (const role of ROLES) {
    const keys = Keyring.ofRole(TEST_KEYS.exportRole(role), 'role.key');
    if (!keys) throw new Error('no keyring');
    t.ok(
      (await answered(await clientOf(t, server, { keys, role }).connect(0))).includes('for-members'),
      role,
    );
    for (const other of ROLES.filter(each => each !== role)) {
      t.equal(keys.secret(other, 'metadata'), undefined, `${role} does not hold ${other}`);
      await t.rejects(clientOf(t, server, { keys, role: other }).connect(0), { code: 'EACCES' });
      t.throws(() => keys.exportRole(other), { code: 'EACCES' });
    }
    t.equal(keys.fingerprint, undefined);
  }
});

t.test(
  "a data node's key lets it check clients and administrators, and pass for neither elsewhere",
  async t => {
    const keys = Keyring.ofRole(TEST_KEYS.exportRole('node'), 'node.key');
    if (!keys) throw new Error('no keyring');
    const node = await startServer(t, 'data', keys);
    for (const role of ROLES) {
      const connection = await clientOf(t, node, { role, server: 'data' }).connect(0);
      t.ok((await answered(connection)).includes('for-members'), role);
    }
  },
);

t.test('an administrator may work as a client, and no other role for another', async t => {
  const ringOf = (role: Role) => Keyring.ofRole(TEST_KEYS.exportRole(role), `${role}.key`) ?? OTHER_KEYS;
  t.equal(ringOf('admin').roleAs('client'), 'admin');
  t.equal(ringOf('client').roleAs('client'), 'client');
  t.equal(TEST_KEYS.roleAs('client'), 'client', 'no more rights than are needed');
  t.throws(() => ringOf('client').roleAs('admin'), {
    code: 'EACCES',
    message: /client\.key is a client's, and this needs an administrator's \(dfs key admin\)/,
  });
  t.throws(() => ringOf('node').roleAs('client'), { code: 'EACCES' });
  t.throws(() => ringOf('admin').roleAs('node'), { code: 'EACCES' });
});

t.test(
  'what the metadata server orders is taken from it alone, and not before it has proved itself',
  async t => {
    const asked: string[] = [];
    const own = new Routes();
    for (const each of ALL) {
      own.on(each, async () => {
        asked.push(each.name);
        return {};
      });
    }
    const outcomes: Record<string, string[]> = {};
    /** A server that asks as soon as somebody says something. */
    const demanding = (name: string): Routes =>
      new Routes(everything()).on(forMembers, async (_request, { connection }) => {
        outcomes[name] = await answered(connection);
        return {};
      });
    for (const server of ['metadata', 'data'] as const) {
      const to = await startServer(t, server, TEST_KEYS, demanding(server));
      const connection = await clientOf(t, to, { server, routes: own }).connect(0);
      await connection.call(forMembers, {}, LONG);
    }
    t.same(outcomes['metadata'], ['for-metadata']);
    t.same(outcomes['data'], ['for-nodes', 'for-members'], 'a data node gives no orders');
    // Before the client has seen the proof.
    const early: string[] = [];
    const routes = new Routes().on(hello, async (_request, { connection }) => {
      early.push(...(await answered(connection)));
      return { challenge: Buffer.alloc(32), proof: Buffer.alloc(32) };
    });
    const impostor = await tcpNetwork.listen(ANY_PORT, bytes => {
      new RpcConnection(bytes, { clock: systemClock, log, routes }).start();
    });
    t.teardown(async () => await impostor.close());
    const client = new RpcClient({
      ...surroundings,
      keys: TEST_KEYS,
      role: 'client',
      server: 'metadata',
      endpoint: impostor.endpoint,
      routes: own,
    });
    t.teardown(() => client.close());
    asked.length = 0;
    await t.rejects(client.connect(0), { code: 'EACCES' });
    t.same([...early, ...asked], []);
  },
);

t.test('the fingerprint tells keys apart, and is none of the secrets', async t => {
  t.not(TEST_KEYS.fingerprint, OTHER_KEYS.fingerprint);
  t.equal(TEST_KEYS.fingerprint, Keyring.ofCluster(Buffer.alloc(32, 7), 'elsewhere').fingerprint);
  const secrets = ROLES.flatMap(role => [
    TEST_KEYS.secret(role, 'metadata')?.toString('hex'),
    TEST_KEYS.secret(role, 'data')?.toString('hex'),
  ]);
  t.equal(new Set([...secrets, TEST_KEYS.fingerprint]).size, 7, 'all different');
});

t.test('a damaged role key is told from a cluster key', async t => {
  const text = TEST_KEYS.exportRole('client');
  t.throws(() => Keyring.ofRole(text.slice(0, -8), 'client.key'), { code: 'EINVAL', message: /client\.key/ });
  t.throws(() => Keyring.ofRole('dfs-king:AAAA', 'king.key'), { code: 'EINVAL' });
  t.equal(Keyring.ofRole('just any text, of bytes', 'key'), undefined);
  t.equal(isSameProof(Buffer.alloc(32), Buffer.alloc(0)), false);
});
