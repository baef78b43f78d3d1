import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../src/metadata/metadata-server.js';
import type { MetadataService } from '../../../src/metadata/metadata-service.js';
import { metadataRoutes } from '../../../src/metadata/routes.js';
import { systemClock } from '../../../src/platform/clock.js';
import { tcpNetwork } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import * as clusterCommands from '../../../src/protocol/cluster-commands.js';
import * as contentCommands from '../../../src/protocol/content-commands.js';
import * as lockCommands from '../../../src/protocol/lock-commands.js';
import * as memberCommands from '../../../src/protocol/member-commands.js';
import * as namespaceCommands from '../../../src/protocol/namespace-commands.js';
import * as sessionCommands from '../../../src/protocol/session-commands.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { RpcClient } from '../../../src/rpc/client.js';
import { LOG, refusal, startHarness, temporaryDirectory } from './support/harness.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const commands = {
  ...clusterCommands,
  ...contentCommands,
  ...lockCommands,
  ...memberCommands,
  ...namespaceCommands,
  ...sessionCommands,
};
const PLATFORM = { network: tcpNetwork, clock: systemClock, random: systemRandom, log: LOG, keys: TEST_KEYS };
const ANY_PORT = { host: '127.0.0.1', port: 0 };

function serve(t: Test, databasePath: string, endpoint = ANY_PORT): MetadataServer {
  const server = new MetadataServer({ ...PLATFORM, databasePath, endpoint, durability: 'group' });
  t.teardown(async () => await server.close());
  return server;
}

async function newDatabase(t: Test): Promise<string> {
  const path = join(await temporaryDirectory(t), 'metadata.db');
  await createDatabase(path, PLATFORM);
  return path;
}

async function reasonOf(promise: Promise<unknown>): Promise<DfsError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DfsError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

t.test('every metadata command has an operation', async t => {
  const harness = await startHarness(t);
  const routes = metadataRoutes(harness.service satisfies MetadataService);
  const declared = Object.values(commands).filter(
    (value): value is typeof commands.reg => typeof value === 'object' && 'number' in value,
  );
  t.ok(declared.length > 30);
  // The server's own request, which clients answer.
  const asked = declared.filter(
    command => ![commands.revoke, commands.recall, commands.revoked].includes(command as never),
  );
  for (const command of asked) t.equal(routes.find(command.number)?.command.name, command.name);
});

t.test('a request over the network is checked, answered, and survives a restart', async t => {
  const path = await newDatabase(t);
  const first = serve(t, path);
  await first.start();
  const { endpoint } = first;
  const rpc = new RpcClient({ ...PLATFORM, role: 'client', server: 'metadata', endpoint });
  t.teardown(() => rpc.close());
  const connect = async () => await rpc.connect(systemClock.monotonicMs() + 5000);
  const options = { timeoutMs: 5000 };
  const begin = { session: 0, secret: Buffer.alloc(0), client: 'test', opens: [] };
  const { reply: begun } = await (await connect()).call(commands.session, begin, options);
  const once = { session: begun.session, sequence: 1, acknowledged: 0 };
  const request = { parent: 1, name: Buffer.from([0xff, 0x80]), uid: 1, gid: 2, mode: 0o700, once };
  const { reply: made } = await (await connect()).call(commands.mkdir, request, options);
  t.equal(made.attributes.mode & 0o777, 0o700);
  t.equal(await refusal((await connect()).call(commands.getattr, { inode: 0 }, options)), 'EPROTO');

  await Promise.all([first.close(), first.close()]);
  const second = serve(t, path, endpoint);
  await second.start();
  const again = { ...begin, session: begun.session, secret: begun.secret };
  const { reply: resumed } = await (await connect()).call(commands.session, again, options);
  t.equal(resumed.resumed, true);
  t.same((await (await connect()).call(commands.mkdir, request, options)).reply, made);
});

t.test('a second server on the same database is refused, and told by whom', async t => {
  const path = await newDatabase(t);
  const first = serve(t, path);
  await first.start();
  const reason = await reasonOf(serve(t, path).start());
  t.equal(reason.code, 'EBUSY');
  const holder = `meta-data, process ${process.pid}, listening on 127.0.0.1:${first.endpoint.port}`;
  t.ok(reason.message.includes(holder), reason.message);
  await first.close();
  await serve(t, path).start();
});

t.test('a start that fails leaves nothing open and says why', async t => {
  const directory = await temporaryDirectory(t);
  const missing = serve(t, join(directory, 'missing.db'));
  t.equal((await reasonOf(missing.start())).code, 'ENOENT');
  const path = await newDatabase(t);
  const first = serve(t, path);
  await first.start();
  const other = await newDatabase(t);
  const blocked = serve(t, other, first.endpoint);
  t.equal((await reasonOf(blocked.start())).code, 'EADDRINUSE');
  await serve(t, other).start();
});
