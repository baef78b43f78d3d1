/** What each role's key opens of the real servers: for every command that there is. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DataNode } from '../../../src/datanode/data-node.js';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../src/metadata/metadata-server.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { tcpNetwork, type Endpoint } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import * as backupCommands from '../../../src/protocol/backup-commands.js';
import * as clusterCommands from '../../../src/protocol/cluster-commands.js';
import type { Command } from '../../../src/protocol/command.js';
import * as contentCommands from '../../../src/protocol/content-commands.js';
import * as nodeCommands from '../../../src/protocol/datanode-commands.js';
import * as lockCommands from '../../../src/protocol/lock-commands.js';
import * as memberCommands from '../../../src/protocol/member-commands.js';
import * as namespaceCommands from '../../../src/protocol/namespace-commands.js';
import { ROLES, type Role } from '../../../src/protocol/roles.js';
import * as sessionCommands from '../../../src/protocol/session-commands.js';
import { RpcClient } from '../../../src/rpc/client.js';
import type { ServerKind } from '../../../src/rpc/keyring.js';
import { TEST_KEYS } from '../../support/test-keys.js';
import { LOG, temporaryDirectory } from './support/harness.js';

const PLATFORM = { network: tcpNetwork, clock: systemClock, random: systemRandom, log: LOG, keys: TEST_KEYS };
const LONG = { timeoutMs: 30_000 };
/** As the numbers say, which are part of the wire. */
const FIRST_OF_DATA_NODES = 1000;

const COMMANDS: readonly Command[] = [
  backupCommands,
  clusterCommands,
  contentCommands,
  nodeCommands,
  lockCommands,
  memberCommands,
  namespaceCommands,
  sessionCommands,
].flatMap(module => Object.values(module).filter(isCommand));

function isCommand(value: unknown): value is Command {
  return typeof value === 'object' && value !== null && 'number' in value && 'allow' in value;
}

/** The names of the server's commands that are refused for want of the role. */
async function refused(t: Test, server: ServerKind, endpoint: Endpoint, role: Role): Promise<string[]> {
  const rpc = new RpcClient({ ...PLATFORM, role, server, endpoint });
  t.teardown(() => rpc.close());
  const names: string[] = [];
  for (const command of COMMANDS) {
    if (command.number >= FIRST_OF_DATA_NODES !== (server === 'data')) continue;
    const connection = await rpc.connect(systemClock.monotonicMs() + LONG.timeoutMs);
    // Hardly a command has a request like this: what is not refused by its role is refused by its shape. By the parts a client counts
    // how long the answer may be.
    const request = { no: 'such request', parts: [] };
    const said = await connection.call(command, request, LONG).then(
      () => '',
      (error: unknown) => String(error),
    );
    if (/ is for .*, and this connection's key or certificate is for /.test(said)) names.push(command.name);
    else if (/is not known here/.test(said)) names.push(command.name);
  }
  return names.toSorted();
}

const MEMBERSHIP = ['createtoken', 'listmembers', 'listtokens', 'removemember', 'revoketoken'];
const ADMINISTRATION = ['backupnow', 'drain', 'fsck', 'rebalance', 'removenode', ...MEMBERSHIP];
const FOR_ALL_MEMBERS = ['leave', 'renewcertificate'];
/** What is for those who have no role yet, and what the metadata server asks. */
const FOR_NO_ROLE = ['join', 'recall', 'revoke', 'revoked'];
const REGISTRATION = ['heartbeat', 'inventory', 'reg'];
/** Which the metadata server sends, and nobody else. */
const ORDERS = ['assemble', 'backup-write', 'intents', 'replicate', 'verify'];
const BACKUPS = ['backup-list', 'backup-read', 'chunks-after'];
const FOR_CLIENTS_OF_NODES = ['info', 'locality', 'locate', 'readparts', 'sync'];

t.test('every role is refused exactly what is not for it', async t => {
  const databasePath = join(await temporaryDirectory(t), 'metadata.db');
  await createDatabase(databasePath, PLATFORM);
  const server = new MetadataServer({
    ...PLATFORM,
    databasePath,
    endpoint: { host: '127.0.0.1', port: 0 },
    durability: 'group',
  });
  t.teardown(async () => await server.close());
  await server.start();
  const node = new DataNode({
    ...PLATFORM,
    metadata: server.endpoint,
    directory: await temporaryDirectory(t),
    port: 0,
    disk: nodeDisk,
  });
  t.teardown(async () => await node.close());
  await node.start();

  const metadataCommands = COMMANDS.filter(({ number }) => number < FIRST_OF_DATA_NODES).map(
    ({ name }) => name,
  );
  t.ok(metadataCommands.length > 50, `${metadataCommands.length} commands of the metadata server`);
  const expected: Record<ServerKind, Record<Role, string[]>> = {
    metadata: {
      client: [...ADMINISTRATION, ...REGISTRATION, ...FOR_NO_ROLE],
      node: metadataCommands.filter(name => ![...REGISTRATION, ...FOR_ALL_MEMBERS].includes(name)),
      admin: [...REGISTRATION, ...FOR_NO_ROLE],
    },
    data: {
      client: [...ORDERS, ...BACKUPS],
      node: [...ORDERS, ...BACKUPS, ...FOR_CLIENTS_OF_NODES],
      admin: ORDERS,
    },
  };
  for (const [kind, { endpoint }] of [
    ['metadata', server],
    ['data', node],
  ] as const) {
    for (const role of ROLES)
      t.same(await refused(t, kind, endpoint, role), expected[kind][role].toSorted(), `${role} at ${kind}`);
  }
});
