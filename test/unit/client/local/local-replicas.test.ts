/**
 * Short-circuit reads: which data nodes a client takes for neighbours, for how long, and what it then reads of them. The data
 * nodes are real connections that answer what the test says (client/local/local-replicas.ts).
 */
import t, { type Test } from 'tap';
import { DataNodePool } from '../../../../src/client/content/data-node-pool.js';
import type { ReadableChunk } from '../../../../src/client/content/readable-chunk.js';
import { LocalReplicas } from '../../../../src/client/local/local-replicas.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { tcpNetwork } from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import { chunkChecksum, computeChecksums } from '../../../../src/protocol/checksum.js';
import { info, locality, locate, LOCALITY_PROOF_FILE } from '../../../../src/protocol/datanode-commands.js';
import { READ_GRANT_BYTES } from '../../../../src/protocol/read-grants.js';
import { Routes } from '../../../../src/rpc/routes.js';
import { RpcServer } from '../../../../src/rpc/server.js';
import { AS_CLIENT, TEST_KEYS } from '../../../support/test-keys.js';
import { waitUntil } from '../../../support/wait-until.js';
import { LOG } from '../../metadata/support/harness.js';
import { Cable } from '../../vfs/support/connected-clients.js';
import { CountedFiles } from './support/counted-files.js';

const NODE = 1;
const FILE = 'segments/00000001.seg';
const PROOF = 'ab'.repeat(32);
/** Sooner than a file is closed that nobody reads. */
const SOON_MS = 5000;
/** The smallest chunk that is worth asking for its place. */
const LENGTH = 128 << 10;
const BYTES = Buffer.from(Array.from({ length: LENGTH }, (_, index) => (index * 7 + (index >> 9)) % 256));
const TABLE = computeChecksums([BYTES]);

function chunk(length = LENGTH, nodes = [NODE]): ReadableChunk {
  const readGrant = 'g'.repeat(READ_GRANT_BYTES);
  return { chunk: 7, length, checksum: chunkChecksum(TABLE), nodes, readGrant };
}

/** A data node in whose directory there is one chunk, a client of it, and what the node was asked. */
async function scene(t: Test, isConnected = true) {
  const files = await CountedFiles.inDirectory(t);
  await files.write(FILE, BYTES);
  await files.write(LOCALITY_PROOF_FILE, PROOF);
  const asked: string[] = [];
  const told = { directory: files.directory, proof: PROOF };
  const routes = new Routes()
    .on(info, async () => {
      const sizes = { totalBytes: 1, freeBytes: 1, chunks: 1, segments: 1 };
      return { id: 'id', node: NODE, cluster: 'cluster', advertised: 'host', ...sizes };
    })
    .on(locality, async () => {
      asked.push('locality');
      return told;
    })
    .on(locate, async request => {
      asked.push(`locate ${request.chunk} ${Buffer.from(request.grant).toString()}`);
      return { file: FILE, offset: 0, length: LENGTH, checksums: TABLE };
    });
  const server = new RpcServer({
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: LOG,
    endpoint: { host: '127.0.0.1', port: 0 },
    routes,
    keys: TEST_KEYS,
    kind: 'data',
  });
  await server.start();
  const cable = new Cable();
  const options = { network: cable, clock: systemClock, random: systemRandom, log: LOG, ...AS_CLIENT };
  const nodes = new DataNodePool(options);
  const replicas = new LocalReplicas({ nodes, files, clock: systemClock, log: LOG });
  t.teardown(async () => {
    await replicas.close();
    nodes.close();
    await server.close();
  });
  nodes.learn([{ node: NODE, ...server.endpoint }]);
  const connect = async (): Promise<void> => void (await nodes.call(NODE, info, {}, { timeoutMs: 5000 }));
  if (isConnected) await connect();
  return { files, asked, told, cable, nodes, replicas, connect };
}

const isLocal = async (replicas: LocalReplicas): Promise<void> =>
  await waitUntil(() => replicas.mayHave(chunk()), { what: 'the node is known to be here' });

t.test('a node whose proof lies here is read from its files, once that is known', async t => {
  const { replicas, asked } = await scene(t);
  t.equal(await replicas.read(chunk(), 0, 10), undefined, 'nobody waits for the answer');
  await isLocal(replicas);
  t.same(await replicas.read(chunk(), 1000, 10), { is: 'read', bytes: BYTES.subarray(1000, 1010) });
  t.same(asked, ['locality', `locate 7 ${'g'.repeat(READ_GRANT_BYTES)}`]);
});

t.test('all readers of a stream wait until it is known whether a node is here', async t => {
  const { replicas, asked } = await scene(t, false);
  const readers = [1, 2, 3].map(async () => {
    await replicas.meet(chunk());
    return await replicas.read(chunk(), 0, 10);
  });
  for (const read of await Promise.all(readers)) t.same(read, { is: 'read', bytes: BYTES.subarray(0, 10) });
  t.equal(asked.filter(what => what.startsWith('locate')).length, 1);
});

t.test('a node is asked where it is once for a connection', async t => {
  const { replicas, asked } = await scene(t);
  for (let times = 0; times < 3; times += 1) replicas.mayHave(chunk());
  await isLocal(replicas);
  t.same(asked, ['locality']);
});

for (const [what, proof] of [
  ['a directory with another proof', 'cd'.repeat(32)],
  ['a directory with the beginning of the proof', PROOF.slice(0, 20)],
  ['a directory without a proof', undefined],
] as const) {
  t.test(`${what} is not the node’s`, async t => {
    const { replicas, files, asked } = await scene(t);
    if (proof === undefined) await files.remove(LOCALITY_PROOF_FILE);
    else await files.write(LOCALITY_PROOF_FILE, proof);
    replicas.mayHave(chunk());
    const isLookedFor = (): boolean => files.tried === 1 && files.areOpen === 0;
    await waitUntil(isLookedFor, { what: 'its proof is looked for' });
    t.notOk(replicas.mayHave(chunk()));
    t.equal(await replicas.read(chunk(), 0, 10), undefined);
    t.same(asked, ['locality'], 'nor is it asked again');
  });
}

t.test('a small chunk is left to the node, and a node without a connection is not asked for it', async t => {
  const { replicas, asked } = await scene(t);
  t.equal(await replicas.read(chunk(LENGTH, [99]), 0, 10), undefined);
  t.same(asked, []);
  replicas.mayHave(chunk());
  await isLocal(replicas);
  t.notOk(replicas.mayHave(chunk(LENGTH - 1)));
  t.equal(await replicas.read(chunk(LENGTH - 1), 0, 10), undefined);
  await replicas.prefetch(chunk(LENGTH - 1), 0, 10, false);
  t.same(asked, ['locality']);
});

t.test('the replica that is here is found among others', async t => {
  const { replicas } = await scene(t);
  replicas.mayHave(chunk());
  await isLocal(replicas);
  const location = chunk(LENGTH, [98, NODE, 99]);
  t.ok(replicas.mayHave(location));
  t.match(await replicas.read(location, 0, 3), { is: 'read' });
});

t.test('damage is told with the node that has it', async t => {
  const { replicas, files } = await scene(t);
  replicas.mayHave(chunk());
  await isLocal(replicas);
  await files.write(FILE, Buffer.alloc(LENGTH));
  t.same(await replicas.read(chunk(), 0, 10), { is: 'damaged', node: NODE });
  t.notOk(replicas.mayHave(chunk()));
});

t.test('read-ahead is for the node that is here', async t => {
  const { replicas, files } = await scene(t);
  await replicas.prefetch(chunk(), 0, 10, false);
  t.same(files.prefetched, []);
  await isLocal(replicas);
  await replicas.prefetch(chunk(), 0, 10, false);
  t.equal(files.prefetched.length, 1);
});

t.test('what a node told holds as long as its connection', async t => {
  const { replicas, cable, connect, asked, files, told } = await scene(t);
  replicas.mayHave(chunk());
  await isLocal(replicas);
  await replicas.read(chunk(), 0, 10);
  t.equal(files.areOpen, 1);
  cable.cut();
  await waitUntil(() => files.areOpen === 0, { what: 'its files are closed', deadlineMs: SOON_MS });
  t.notOk(replicas.mayHave(chunk()));
  t.equal(await replicas.read(chunk(), 0, 10), undefined);
  cable.mend();
  told.proof = 'cd'.repeat(32);
  await connect();
  replicas.mayHave(chunk());
  // Its segment, and the proof each time.
  await waitUntil(() => files.tried === 3 && files.areOpen === 0, { what: 'its proof is looked for again' });
  t.same(asked.at(-1), 'locality');
  t.notOk(replicas.mayHave(chunk()), 'the directory is not believed to be the same');
});

t.test('a node that has moved to another address is not believed before it is asked anew', async t => {
  const { replicas, nodes, asked } = await scene(t);
  replicas.mayHave(chunk());
  await isLocal(replicas);
  nodes.learn([{ node: NODE, host: '127.0.0.1', port: 1 }]);
  t.notOk(replicas.mayHave(chunk()));
  t.same(asked, ['locality']);
});

t.test('a directory that could be anywhere is not looked into', async t => {
  const { replicas, told, asked, connect, files } = await scene(t);
  told.directory = 'relative';
  replicas.mayHave(chunk());
  await waitUntil(() => asked.length === 1, { what: 'the node is asked' });
  // Its answer is here when that of a later request is.
  await connect();
  t.notOk(replicas.mayHave(chunk()));
  t.equal(files.tried, 0);
});

t.test('closed, it has no file open and asks nobody', async t => {
  const { replicas, files, asked, connect } = await scene(t);
  replicas.mayHave(chunk());
  await isLocal(replicas);
  await replicas.read(chunk(), 0, 10);
  await replicas.close();
  await replicas.close();
  t.equal(files.areOpen, 0);
  t.notOk(replicas.mayHave(chunk()));
  t.equal(await replicas.read(chunk(), 0, 10), undefined);
  // What was sent before that has arrived then.
  await connect();
  t.equal(asked.length, 2);
});
