/** A node that is added gets its share, and replicas are in as many failure domains as there are (docs/decisions/07). */
import t from 'tap';
import { shell, startCluster, waitUntil, type Cluster } from '../support/cluster.js';
import { recordedChunks } from '../support/replica-records.js';
import { statusOf, untilSound } from '../support/repair-status.js';

t.jobs = 2;

const LONG = { timeout: 200_000 };
/** Of a data node; 64 MiB of it are never given to chunks. */
const DISK_MIB = 256;
const FILES = 28;
const FILE_BYTES = 4_000_000;

/** node → the part of all bytes that it should hold */
function shares(cluster: Cluster): number[] {
  const loads = cluster.nodes.map(() => 0);
  let total = 0;
  for (const { length, nodes } of recordedChunks(cluster)) {
    for (const node of nodes) {
      loads[node - 1] = (loads[node - 1] ?? 0) + length;
      total += length;
    }
  }
  return loads.map(load => load / total);
}

function isEven(cluster: Cluster): boolean {
  return shares(cluster).every(share => Math.abs(share - 1 / cluster.nodes.length) < 0.06);
}

t.test('a node that is added gets its share: slowly by itself, faster when asked', LONG, async t => {
  const cluster = await startCluster(t, {
    dataNodes: 2,
    mounts: 1,
    goal: 1,
    metadataOptions: ['--repair-rate=8M'],
    prepareDirectory: async directory =>
      void (await shell(`mount -t tmpfs -o size=${DISK_MIB}m dfs-test ${directory}`)),
  });
  const path = cluster.mounts[0]?.mountPoint ?? '';
  const local = `${cluster.directory}/source`;
  await shell(`
    mkdir ${local}
    for file in $(seq ${FILES}); do head -c ${FILE_BYTES} /dev/urandom > ${local}/$file; done
    cp -r ${local} ${path}/copy && sync -f ${path}`);
  await cluster.addNode();
  const left: number[] = [];
  const watch = async (): Promise<number> => {
    const status = await statusOf(cluster);
    if (status.isRebalancing) left.push(status.movingBytes);
    return left.length;
  };
  await waitUntil(async () => (await watch()) >= 2, {
    deadlineMs: 30_000,
    what: 'chunks move by themselves',
  });
  t.notOk(isEven(cluster), 'slowly');
  const asked = await cluster.run('dfs', ['rebalance', cluster.metadata.address]);
  t.equal(asked.code, 0, asked.stderr);
  await waitUntil(async () => (await watch()) > 0 && !(await statusOf(cluster)).isRebalancing, {
    deadlineMs: 60_000,
    what: 'the nodes are equally full',
  });
  t.ok(isEven(cluster), `shares: ${shares(cluster).join(', ')}`);
  // Not at each look: what a node is told to drop and what it says that it holds are told apart by a heartbeat.
  t.ok(Number(left.at(-1)) < Number(left[0]) / 2, `what is left becomes less: ${left.join(', ')}`);
  await untilSound(cluster);
  const reader = await cluster.addMount();
  await shell(`diff -r ${local} ${reader.mountPoint}/copy`);
  await reader.stop();
});

/** Chunks of which all replicas fail together. */
function crowded(cluster: Cluster, rackOf: (node: number) => string): number {
  return recordedChunks(cluster).filter(({ nodes }) => new Set(nodes.map(rackOf)).size < 2).length;
}

async function addRack(cluster: Cluster, rack: string): Promise<void> {
  for (let count = 0; count < 2; count += 1) await cluster.addNode(['--domain', rack]);
}

t.test(
  'replicas are on two racks when written, when a node is drained, and when a rack is lost',
  LONG,
  async t => {
    const cluster = await startCluster(t, { dataNodes: 0, goal: 2, metadataOptions: ['--lost-after=4'] });
    const rackOf = (node: number): string => (node <= 2 ? 'rack1' : 'rack2');
    await addRack(cluster, 'rack1');
    await addRack(cluster, 'rack2');
    const mount = await cluster.addMount();
    const server = cluster.metadata.address;
    await shell(`for file in $(seq 200); do head -c 20000 /dev/urandom > ${mount.mountPoint}/$file; done
    cat ${mount.mountPoint}/* > ${cluster.directory}/all; sync -f ${mount.mountPoint}`);
    const isReadable = async (): Promise<void> => {
      const reader = await cluster.addMount();
      await shell(`cat ${reader.mountPoint}/* | cmp - ${cluster.directory}/all`);
      await reader.stop();
    };
    t.equal(crowded(cluster, rackOf), 0, 'as written');

    const drained = await cluster.run('dfs', ['node', 'drain', '1', server, '--wait'], { timeoutMs: 60_000 });
    t.equal(drained.code, 0, drained.stderr);
    t.equal(crowded(cluster, rackOf), 0, 'what node 1 had is on node 2');

    await Promise.all(cluster.nodes.slice(0, 2).map(async node => await node.kill9()));
    await isReadable();
    await untilSound(cluster, ({ nodes }) => nodes.filter(({ state }) => state === 'lost').length === 2);
    await addRack(cluster, 'rack3');
    const rackNow = (node: number): string => (node <= 4 ? 'rack2' : 'rack3');
    await waitUntil(() => crowded(cluster, rackNow) === 0, {
      deadlineMs: 60_000,
      what: 'one replica of each chunk is on the new rack',
    });
    await isReadable();
  },
);
