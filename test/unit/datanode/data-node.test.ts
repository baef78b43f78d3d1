import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DataNode, type DataNodeOptions } from '../../../src/datanode/data-node.js';
import { createDatabase } from '../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../src/metadata/metadata-server.js';
import { systemClock } from '../../../src/platform/clock.js';
import { nodeDisk } from '../../../src/platform/disk.js';
import { tcpNetwork, type Endpoint } from '../../../src/platform/network.js';
import { systemRandom } from '../../../src/platform/random.js';
import { computeChecksums } from '../../../src/protocol/checksum.js';
import { info, read, syncChunks, write } from '../../../src/protocol/datanode-commands.js';
import { grant as takeGrants } from '../../../src/protocol/content-commands.js';
import { readGrantAt } from '../../../src/protocol/read-grants.js';
import { nodes as listNodes } from '../../../src/protocol/cluster-commands.js';
import type { Grant, NodeAddress } from '../../../src/protocol/types.js';
import type { RpcClient } from '../../../src/rpc/client.js';
import { clientOf, startRegistry, until, type Registry } from './registry.js';
import { FailingDisk, randomChunk, silent, temporaryDirectory } from './store-fixture.js';
import { TEST_KEYS } from '../../support/test-keys.js';

const timeoutMs = 10_000;

async function startNode(
  t: Test,
  metadata: Endpoint,
  directory: string,
  changes: Partial<DataNodeOptions> = {},
): Promise<DataNode> {
  const node = new DataNode({
    metadata,
    directory,
    port: 0,
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    keys: TEST_KEYS,
    disk: nodeDisk,
    log: silent,
    ...changes,
  });
  t.teardown(async () => await node.close());
  await node.start();
  return node;
}

interface Setup {
  readonly registry: Registry;
  readonly nodes: DataNode[];
  readonly clients: RpcClient[];
  readonly directories: string[];
}

async function setUp(t: Test, count: number, aheadMs = 0): Promise<Setup> {
  const registry = await startRegistry(t);
  registry.aheadMs = aheadMs;
  const setup: Setup = { registry, nodes: [], clients: [], directories: [] };
  for (let i = 0; i < count; i += 1) {
    const directory = await temporaryDirectory(t);
    const node = await startNode(t, registry.endpoint, directory);
    setup.nodes.push(node);
    setup.directories.push(directory);
    setup.clients.push(clientOf(t, node.endpoint));
  }
  return setup;
}

function addressOf(node: DataNode): NodeAddress {
  return { node: node.nodeNumber, ...node.endpoint };
}

async function store(
  client: RpcClient | undefined,
  permission: Grant,
  chunk: ReturnType<typeof randomChunk>,
  forward: NodeAddress[] = [],
  durable = false,
): Promise<{ stored: number[]; failed: { node: number; reason: string }[] }> {
  if (!client) throw new Error('no such node');
  const connection = await client.connect(0);
  const { reply } = await connection.call(
    write,
    { grant: permission, checksums: chunk.table, inode: 1, fileOffset: 0, forward, durable },
    { payload: chunk.payload, timeoutMs },
  );
  return reply;
}

async function fetch(
  authority: Pick<Registry, 'readGrant'>,
  client: RpcClient | undefined,
  chunk: number,
  offset: number,
  length: number,
): Promise<Buffer> {
  if (!client) throw new Error('no such node');
  const connection = await client.connect(0);
  const { reply, payload } = await connection.call(
    read,
    { chunk, offset, length, grant: authority.readGrant(chunk) },
    { timeoutMs },
  );
  const bytes = Buffer.concat(payload);
  if (!computeChecksums([bytes], offset).equals(reply.checksums)) throw new Error('wrong checksums');
  return bytes;
}

t.test('a chunk goes along the whole chain and can be read from every node', async t => {
  const { registry, nodes, clients } = await setUp(t, 3);
  const [, second, third] = nodes;
  if (!second || !third) throw new Error('three nodes');
  for (const [id, durable] of [
    [1, false],
    [2, true],
  ] as const) {
    const chunk = randomChunk(id, 4 << 20);
    const forward = [addressOf(second), addressOf(third)];
    const reply = await store(clients[0], registry.grant(id, [1, 2, 3]), chunk, forward, durable);
    t.same(reply, { stored: [1, 2, 3], failed: [] });
    for (const client of clients) {
      t.ok((await fetch(registry, client, id, 0, chunk.length)).equals(chunk.bytes));
      t.ok(
        (await fetch(registry, client, id, 123_456, 70_000)).equals(chunk.bytes.subarray(123_456, 193_456)),
      );
    }
    t.same(
      await store(clients[0], registry.grant(id, [1, 2, 3]), chunk, forward),
      reply,
      'a retry is harmless',
    );
  }
  const connection = await clients[0]?.connect(0);
  const synced = await connection?.call(syncChunks, { chunks: [1, 4711] }, { timeoutMs });
  t.same(synced?.reply, { absent: [4711] }, 'and says what it does not have');
});

t.test('a node that is away is named as failed, and the one behind it still gets the chunk', async t => {
  const { registry, nodes, clients } = await setUp(t, 3);
  const [, second, third] = nodes;
  if (!second || !third) throw new Error('three nodes');
  const forward = [addressOf(second), addressOf(third)];
  await second.close();
  const chunk = randomChunk(1, 100_000);
  const reply = await store(clients[0], registry.grant(1, [1, 2, 3]), chunk, forward, true);
  t.same(reply.stored, [1, 3]);
  t.same(
    reply.failed.map(({ node }) => node),
    [2],
  );
  t.ok((await fetch(registry, clients[2], 1, 0, chunk.length)).equals(chunk.bytes));
});

t.test('a node that is full names itself as failed when one behind it took the chunk', async t => {
  const registry = await startRegistry(t);
  const disk = new FailingDisk();
  const full = await startNode(t, registry.endpoint, await temporaryDirectory(t), { disk });
  const other = await startNode(t, registry.endpoint, await temporaryDirectory(t));
  disk.roomBytes = 0;
  const client = clientOf(t, full.endpoint);
  const reply = await store(
    client,
    registry.grant(1, [1, 2]),
    randomChunk(1, 1000),
    [addressOf(other)],
    true,
  );
  t.match(reply, { stored: [2], failed: [{ node: 1, code: 'ENOSPC' }] });
  await t.rejects(store(client, registry.grant(2, [1, 2]), randomChunk(2, 1000)), { code: 'ENOSPC' });
});

for (const aheadMs of [-7_200_000, 7_200_000]) {
  t.test(
    `grants expire by the metadata server's clock, ${aheadMs / 3_600_000} h from the node's`,
    async t => {
      const { registry, clients } = await setUp(t, 1, aheadMs);
      await store(clients[0], registry.grant(1, [1]), randomChunk(1, 1000));
      const expired = registry.grant(2, [1], { expiresMs: registry.nowMs - 60_000 });
      await t.rejects(store(clients[0], expired, randomChunk(2, 1000)), {
        code: 'EACCES',
        message: /expired 1 min ago/,
      });
      // The server's clock is set.
      registry.aheadMs = 0;
      const beats = registry.beats.length;
      await until('the node has heard of it', () => registry.beats.length >= beats + 2);
      await store(clients[0], registry.grant(3, [1]), randomChunk(3, 1000));
    },
  );
}

t.test('nothing is stored without a valid grant and matching checksums', async t => {
  const { registry, clients } = await setUp(t, 1);
  const client = clients[0];
  const chunk = randomChunk(1, 1000);
  const good = registry.grant(1, [1]);
  const forged = { ...good, chunk: 2 };
  await t.rejects(store(client, forged, chunk), { code: 'EACCES', message: /signed/ });
  await t.rejects(store(client, registry.grant(1, [1], { expiresMs: Date.now() - 60_000 }), chunk), {
    code: 'EACCES',
    message: /expired/,
  });
  await t.rejects(store(client, registry.grant(1, [2]), chunk), {
    code: 'EACCES',
    message: /not for node 1/,
  });
  await t.rejects(store(client, registry.grant(1, [1], { maxBytes: 999 }), chunk), { code: 'EINVAL' });
  await t.rejects(store(client, good, { ...chunk, payload: [] }), { code: 'EINVAL' });
  await t.rejects(store(client, good, { ...chunk, table: randomChunk(1, 1000).table }), { code: 'EBADMSG' });
  const elsewhere = { node: 9, host: '127.0.0.1', port: 1 };
  await t.rejects(store(client, good, chunk, [elsewhere]), { code: 'EACCES', message: /node 9/ });
  await t.rejects(fetch(registry, client, 1, 0, 1), { code: 'ENOENT' });
  await store(client, good, chunk);
  await t.rejects(store(client, good, randomChunk(1, 1000)), { code: 'EEXIST' });
  await t.rejects(store(client, good, randomChunk(1, 2000)), { code: 'EEXIST' }, 'nor with another length');
  await t.rejects(fetch(registry, client, 1, 500, 501), { code: 'EINVAL' });
});

t.test('ordered drops are carried out and reported once they are durable', async t => {
  const { registry, clients } = await setUp(t, 1);
  for (const id of [1, 2, 3]) await store(clients[0], registry.grant(id, [1]), randomChunk(id, 1000));
  registry.toDrop.add(1).add(2).add(77);
  await until('the drops are reported', () => registry.toDrop.size === 0);
  await t.rejects(fetch(registry, clients[0], 1, 0, 1), { code: 'ENOENT' });
  t.equal((await fetch(registry, clients[0], 3, 0, 1)).length, 1);
  await until('the count is reported', () => registry.beats.at(-1)?.chunks === 1);
});

t.test('a node keeps its identity, and registers again when the server lost it or was away', async t => {
  const { registry, nodes, directories, clients } = await setUp(t, 1);
  const chunk = randomChunk(1, 5000);
  await store(clients[0], registry.grant(1, [1]), chunk);
  const { port } = registry.endpoint;
  registry.isForgetful = true;
  await until('registered again after known: false', () => registry.registrations.length === 2);
  await registry.stop();
  await registry.start(port);
  await until('registered again after a lost connection', () => registry.registrations.length === 3);
  await until('beating again', () => registry.beats.length > 0 && !registry.isForgetful);
  await nodes[0]?.close();
  await nodes[0]?.close();
  const again = await startNode(t, registry.endpoint, directories[0] ?? '');
  t.equal(again.nodeNumber, 1);
  t.equal(registry.numbers.size, 1);
  t.same(new Set(registry.registrations.map(({ id }) => id)).size, 1);
  t.equal(registry.registrations.at(-1)?.cluster, 'c1');
  t.ok((await fetch(registry, clientOf(t, again.endpoint), 1, 0, 5000)).equals(chunk.bytes));
});

t.test('a node that is stopped answers what it has begun', async t => {
  const registry = await startRegistry(t);
  const disk = new FailingDisk();
  const node = await startNode(t, registry.endpoint, await temporaryDirectory(t), { disk });
  let open = (): void => {
    // Replaced below.
  };
  disk.gate = new Promise(resolve => (open = resolve));
  const before = disk.datasyncs;
  const answer = store(clientOf(t, node.endpoint), registry.grant(1, [1]), randomChunk(1, 1000), [], true);
  await until('the write waits for the disk', () => disk.datasyncs > before);
  const closed = node.close();
  open();
  t.same(await answer, { stored: [1], failed: [] });
  await closed;
});

t.test('a second process on the same directory is refused and told who has it', async t => {
  const { registry, directories } = await setUp(t, 1);
  await t.rejects(startNode(t, registry.endpoint, directories[0] ?? ''), {
    code: 'EBUSY',
    message: new RegExp(`is used by data-node, process ${process.pid}`),
  });
});

t.test('a refused node does not start and lets go of everything', async t => {
  const registry = await startRegistry(t);
  const directory = await temporaryDirectory(t);
  registry.refusal = 'it belongs to another cluster';
  await t.rejects(startNode(t, registry.endpoint, directory), {
    code: 'EACCES',
    message: /it belongs to another cluster/,
  });
  registry.refusal = '';
  t.equal((await startNode(t, registry.endpoint, directory)).nodeNumber, 1);
});

t.test('a directory that holds something else is refused, and left as it is', async t => {
  const registry = await startRegistry(t);
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'lost+found'));
  await writeFile(join(directory, 'thesis.tex'), 'years of work');
  await t.rejects(startNode(t, registry.endpoint, directory), {
    code: 'ENOTEMPTY',
    message: `${directory} is no data node's directory, and not empty (thesis.tex); give an empty one, or one that does not exist yet`,
  });
  t.same((await readdir(directory)).toSorted(), ['lost+found', 'thesis.tex']);
  await rm(join(directory, 'thesis.tex'));
  const node = await startNode(t, registry.endpoint, directory);
  t.equal(node.nodeNumber, 1, 'a new file system is empty');
});

t.test('a lost or damaged identity is said, not replaced', async t => {
  const registry = await startRegistry(t);
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'node.json'), '{"version": 1, "id": 7}');
  await t.rejects(startNode(t, registry.endpoint, directory), {
    code: 'EINVAL',
    message: /node\.json and its copy are damaged/,
  });
  await rm(join(directory, 'node.json'));
  await mkdir(join(directory, 'segments'));
  await t.rejects(startNode(t, registry.endpoint, directory), {
    code: 'EINVAL',
    message: /does not know who it is/,
  });
});

t.test(
  'without a metadata server a start fails in one sentence, and can be stopped while it waits',
  async t => {
    const directory = await temporaryDirectory(t);
    const node = new DataNode({
      metadata: { host: '127.0.0.1', port: 1 },
      directory,
      port: 0,
      network: tcpNetwork,
      clock: systemClock,
      random: systemRandom,
      keys: TEST_KEYS,
      disk: nodeDisk,
      log: silent,
    });
    const started = node.start();
    started.catch(() => {
      // Looked at below.
    });
    await until(
      'it took the directory',
      async () =>
        await readFile(join(directory, 'node.json')).then(
          () => true,
          () => false,
        ),
    );
    await node.close();
    await t.rejects(started);
    await t.rejects(startNode(t, { host: '127.0.0.1', port: 1 }, directory), {
      code: 'ECONNREFUSED',
      message: /the metadata server 127\.0\.0\.1:1 did not answer within 10 s/,
    });
  },
);

t.test('info and the registration tell where and how the node is', async t => {
  const { registry, clients } = await setUp(t, 1);
  await store(clients[0], registry.grant(1, [1]), randomChunk(1, 1000));
  const connection = await clients[0]?.connect(0);
  const reply = (await connection?.call(info, {}, { timeoutMs }))?.reply;
  t.match(reply, { node: 1, cluster: 'c1', advertised: '127.0.0.1', chunks: 1, segments: 1 });
  t.ok(reply && reply.totalBytes > reply.freeBytes && reply.freeBytes > 0);
  t.equal(registry.registrations[0]?.host, '127.0.0.1');
  const other = await startNode(t, registry.endpoint, await temporaryDirectory(t), {
    advertise: 'node2.example',
  });
  t.equal(registry.registrations[1]?.host, 'node2.example');
  t.equal(registry.registrations[1]?.port, other.endpoint.port);
});

t.test('with the real metadata server: registers, is listed, and takes a chunk under its grant', async t => {
  const databasePath = join(await temporaryDirectory(t), 'meta.db');
  const platform = {
    network: tcpNetwork,
    clock: systemClock,
    random: systemRandom,
    log: silent,
    keys: TEST_KEYS,
  };
  await createDatabase(databasePath, platform);
  const server = new MetadataServer({
    ...platform,
    databasePath,
    endpoint: { host: '127.0.0.1', port: 0 },
    durability: 'group',
  });
  t.teardown(async () => await server.close());
  await server.start();
  const node = await startNode(t, server.endpoint, await temporaryDirectory(t));
  const metadata = await clientOf(t, server.endpoint, 'metadata').connect(0);
  const listed = await metadata.call(listNodes, {}, { timeoutMs });
  t.match(listed.reply.nodes, [{ node: node.nodeNumber, port: node.endpoint.port, state: 'live' }]);
  const request = { count: 1, goal: 1, maxBytes: 4 << 20, exclude: [] };
  const { grants, readGrants } = (await metadata.call(takeGrants, request, { timeoutMs })).reply;
  const [permission] = grants;
  if (!permission) throw new Error('a grant');
  const chunk = randomChunk(permission.chunk, 1 << 20);
  const client = clientOf(t, node.endpoint);
  t.same(await store(client, permission, chunk, [], true), { stored: [node.nodeNumber], failed: [] });
  const authority = { readGrant: () => readGrantAt(readGrants, 0) };
  t.ok((await fetch(authority, client, permission.chunk, 0, 1 << 20)).equals(chunk.bytes));
  await t.rejects(fetch(authority, client, permission.chunk + 1, 0, 1), { code: 'EACCES' });
});
