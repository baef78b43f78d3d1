/** Storing chunks on real data nodes, in this process, whose disks fail. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Client } from '../../../../src/client/client.js';
import type { ChunkToStore } from '../../../../src/client/content/chunk-writer.js';
import { DataNode } from '../../../../src/datanode/data-node.js';
import { createDatabase } from '../../../../src/metadata/create-database.js';
import { MetadataServer } from '../../../../src/metadata/metadata-server.js';
import { systemClock, type Clock } from '../../../../src/platform/clock.js';
import { tcpNetwork } from '../../../../src/platform/network.js';
import { systemRandom } from '../../../../src/platform/random.js';
import type { StoredChunk } from '../../../../src/protocol/content-commands.js';
import { FailingDisk, randomChunk, silent, temporaryDirectory } from '../../datanode/store-fixture.js';
import { AS_CLIENT } from '../../../support/test-keys.js';

const platform = { network: tcpNetwork, clock: systemClock, random: systemRandom, log: silent, ...AS_CLIENT };

/** Time that passes five times as fast. */
const FAST = 5;
const fastClock: Clock = {
  now: systemClock.now,
  monotonicMs: () => systemClock.monotonicMs() * FAST,
  setTimer: (delayMs, callback, background) => systemClock.setTimer(delayMs / FAST, callback, background),
  atNextTurn: systemClock.atNextTurn,
};

interface TestCluster {
  readonly disks: readonly FailingDisk[];
  readonly nodes: readonly DataNode[];
  client(minReplicas?: number): Promise<Client>;
}

/** Nodes 1, 2, …, each on a disk of its own. */
async function startNodes(t: Test, count: number): Promise<TestCluster> {
  const databasePath = join(await temporaryDirectory(t), 'meta.db');
  await createDatabase(databasePath, platform);
  const server = new MetadataServer({
    ...platform,
    databasePath,
    endpoint: { host: '127.0.0.1', port: 0 },
    durability: 'group',
  });
  t.teardown(async () => await server.close());
  await server.start();
  const disks: FailingDisk[] = [];
  const nodes: DataNode[] = [];
  for (let index = 0; index < count; index += 1) {
    const disk = new FailingDisk();
    const directory = await temporaryDirectory(t);
    const node = new DataNode({ ...platform, metadata: server.endpoint, directory, port: 0, disk });
    t.teardown(async () => await node.close());
    await node.start();
    disks.push(disk);
    nodes.push(node);
  }
  return {
    disks,
    nodes,
    async client(minReplicas) {
      const client = await Client.open({
        ...platform,
        clock: fastClock,
        metadata: server.endpoint,
        timeoutMs: 4000,
        minReplicas,
        cacheBytes: 1 << 20,
        chunkBytes: 1 << 20,
        clientName: 'test',
      });
      t.teardown(async () => await client.close());
      return client;
    },
  };
}

function newChunk(goal: number, bytes = 300_000): ChunkToStore {
  const { payload } = randomChunk(1, bytes);
  return { payload, goal, inode: 7, fileOffset: 0, durable: true };
}

function nodesOf(stored: StoredChunk): number[] {
  return stored.nodes.toSorted((a, b) => a - b);
}

t.test('a full node is replaced, and only the missing replica is stored elsewhere', async t => {
  const { disks, client } = await startNodes(t, 3);
  const [, , third] = disks;
  if (!third) throw new Error('three disks');
  third.roomBytes = 0;
  const { writer } = await client();
  let amended = 0;
  for (let count = 0; count < 12; count += 1) {
    const stored = await writer.store(newChunk(2));
    t.same(nodesOf(stored), [1, 2]);
    if (stored.grant.nodes.includes(3)) amended += 1;
  }
  t.ok(amended > 0, 'some were granted to the full node at first');
  third.roomBytes = Number.MAX_SAFE_INTEGER;
  t.same(nodesOf(await (await client()).writer.store(newChunk(3))), [1, 2, 3]);
});

t.test('a node that breaks is replaced whichever place it has, and with a goal of all', async t => {
  const { nodes, client } = await startNodes(t, 3);
  const { writer } = await client();
  t.same(nodesOf(await writer.store(newChunk(3))), [1, 2, 3]);
  await nodes[1]?.close();
  for (let count = 0; count < 6; count += 1) t.same(nodesOf(await writer.store(newChunk(2))), [1, 3]);
  t.same(nodesOf(await writer.store(newChunk(3))), [1, 3], 'all that live are enough');
});

t.test(
  'a small chunk that is to be durable goes to all its nodes at once, and those that fail are replaced',
  async t => {
    const { nodes, disks, client } = await startNodes(t, 3);
    const [, second, third] = disks;
    if (!second || !third) throw new Error('three disks');
    const { writer } = await client();
    t.same(nodesOf(await writer.store(newChunk(3, 4096))), [1, 2, 3]);
    third.roomBytes = 0;
    for (let count = 0; count < 6; count += 1)
      t.same(nodesOf(await writer.store(newChunk(2, 4096))), [1, 2], 'in place of the full one');
    second.roomBytes = 0;
    await t.rejects(
      writer.store(newChunk(2, 4096)),
      { code: 'ENOSPC', message: /^only 1 of 2 replicas have room: / },
      'one node took it, and no other can',
    );
    second.roomBytes = Number.MAX_SAFE_INTEGER;
    third.roomBytes = Number.MAX_SAFE_INTEGER;
    await nodes[0]?.close();
    t.same(nodesOf(await writer.store(newChunk(2, 4096))), [2, 3], 'in place of the one that is gone');
    t.same(nodesOf(await writer.store(newChunk(3, 4096))), [2, 3], 'all that live are enough');
  },
);

t.test('a node that has no room although it lives is waited for, but not for ever', async t => {
  const { disks, client } = await startNodes(t, 2);
  const [, second] = disks;
  if (!second) throw new Error('two disks');
  second.roomBytes = 0;
  const { writer } = await client();
  await t.rejects(writer.store(newChunk(2)), {
    code: 'ENOSPC',
    message: /^only 1 of 2 replicas have room: /,
  });
  const pending = writer.store(newChunk(2));
  second.roomBytes = Number.MAX_SAFE_INTEGER;
  t.same(nodesOf(await pending), [1, 2], 'a second try succeeds');
});

t.test('with --min-replicas a chunk counts when so many nodes have it', async t => {
  const { disks, client } = await startNodes(t, 2);
  const [first, second] = disks;
  if (!first || !second) throw new Error('two disks');
  second.roomBytes = 0;
  const one = await client(1);
  t.same(nodesOf(await one.writer.store(newChunk(2))), [1], 'one is enough, nobody waits for the other');
  const two = await client(2);
  await t.rejects(two.writer.store(newChunk(2)), {
    code: 'EIO',
    message: /only 1 of the 2 data nodes that --min-replicas asks for took what was written within 4 s/,
  });
  t.equal((await two.writer.store(newChunk(1))).nodes.length, 1, 'a goal of one needs no more than one');
  first.roomBytes = 0;
  await t.rejects(one.writer.store(newChunk(2)), { code: 'ENOSPC', message: /no data node took a chunk/ });
});
