/** A program that may talk to the servers, without permission to any file, gets no byte from real processes. */
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../src/platform/clock.js';
import { createLogger } from '../../src/platform/log.js';
import { tcpNetwork, type Endpoint } from '../../src/platform/network.js';
import { systemRandom } from '../../src/platform/random.js';
import { get, grant } from '../../src/protocol/content-commands.js';
import { locate, read } from '../../src/protocol/datanode-commands.js';
import { end, renew } from '../../src/protocol/session-commands.js';
import { RpcClient } from '../../src/rpc/client.js';
import type { RpcConnection } from '../../src/rpc/connection.js';
import { shell, startCluster } from '../support/cluster.js';
import type { ServerKind } from '../../src/rpc/keyring.js';

const options = { timeoutMs: 30_000 };
const CHUNKS = 64;

async function refusal(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'OK',
    (error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : String(error)),
  );
}

t.test('bytes leave a data node with a grant alone, and a mount’s session is its own', async t => {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, goal: 1 });
  const mount = cluster.mounts[0]?.mountPoint ?? '';
  const secret = join(mount, 'secret');
  await shell(`head -c 200000 /dev/urandom > ${secret} && chmod 600 ${secret} && sync ${secret}`);
  const platform = {
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: createLogger('t', 'silent'),
    keys: cluster.keys,
    role: 'client',
  } as const;
  const connectionTo = async (server: ServerKind, endpoint: Endpoint): Promise<RpcConnection> => {
    const client = new RpcClient({ ...platform, server, endpoint });
    t.teardown(() => client.close());
    return await client.connect(systemClock.monotonicMs() + 30_000);
  };
  const node = await connectionTo('data', cluster.nodes[0]?.endpoint ?? cluster.endpoint);
  const metadata = await connectionTo('metadata', cluster.endpoint);
  const wanted = { count: 1, goal: 1, maxBytes: 1000, exclude: [] };
  // Of a chunk that the stranger might write itself.
  const { grants, readGrants } = (await metadata.call(grant, wanted, options)).reply;
  const own = Buffer.from(readGrants).subarray(0, 24);
  for (let chunk = 1; chunk <= CHUNKS; chunk += 1) {
    if (chunk === grants[0]?.chunk) continue;
    for (const shown of [own, Buffer.alloc(24)]) {
      const request = { chunk, offset: 0, length: 1, grant: shown };
      const answers = [node.call(read, request, options), node.call(locate, request, options)];
      const codes = await Promise.all(answers.map(refusal));
      if (codes.join() !== 'EACCES,EACCES') t.fail(`chunk ${chunk}: ${codes.join()}`);
    }
  }
  for (let session = 1; session <= 5; session += 1) {
    t.equal(await refusal(metadata.call(end, { session }, options)), 'EACCES');
    t.equal(await refusal(metadata.call(renew, { session }, options)), 'EACCES');
  }
  await shell(`echo more >> ${secret} && test $(stat -c %s ${secret}) = 200005`);
  t.pass('the mount goes on');
  const inode = Number(await shell(`stat -c %i ${secret}`));
  const nobody = { uid: 65_534, gid: 65_534, groups: [] };
  const asked = metadata.call(get, { inode, offset: 0, limit: 1, caller: nobody }, options);
  t.equal(await refusal(asked), 'EACCES', 'no grants for what the caller may not read');
});
