/** A cluster under load to which one thing after the other happens, from a seed; after each, everything is compared. */
import { open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Test } from 'tap';
import { AcknowledgedLoad } from '../support/acknowledged-load.js';
import { shell, startCluster, type Cluster, type ServerProcess } from '../support/cluster.js';
import { faketimeEnvironment, setClock } from '../support/jumping-clock.js';
import { failFileSystem, mountLoopDevice, repairFileSystem } from '../support/loop-device.js';
import type { Namespaces } from '../support/namespaces.js';
import { untilSound, type Status } from '../support/repair-status.js';
import { SeededRandom } from '../simulation/world/seeded-random.js';

const DATA_NODES = 4;
const DISK_MIB = 1024;
const FSCK_MS = 60_000;
const MOUNTS = 2;
const FLIPS_PER_FILE = 40;
const HOUR_S = 3600;

/**
 * A node that lost its directory is another one when it comes back; the one that it was is forgotten.
 * @param nodes as they were when every process that runs was live: those that were not cannot come back
 */
async function removeLost(cluster: Cluster, nodes: Status['nodes']): Promise<void> {
  for (const { node, state } of nodes) {
    if (state === 'live') continue;
    const { code, stderr } = await cluster.run('dfs', [
      'node',
      'remove',
      String(node),
      cluster.metadata.address,
    ]);
    if (code !== 0) throw new Error(`node ${node} cannot be removed: ${stderr}`);
  }
}

/** Everything acknowledged is there, for a mount that has nothing in its caches, and `dfs fsck` ends clean. */
async function expectNothingLost(
  t: Test,
  cluster: Cluster,
  loads: readonly AcknowledgedLoad[],
  what: string,
): Promise<void> {
  // With 4 nodes and goal 2, whoever does not come back is made up for. A node that is merely cut off does come back, at some
  // moment after the cut is healed: only when as many are live as processes run are the others gone for good.
  const running = cluster.nodes.filter(({ isRunning }) => isRunning).length;
  const { nodes } = await untilSound(cluster, status => {
    const live = status.nodes.filter(({ state }) => state === 'live').length;
    return live === running && status.nodes.every(({ state }) => state === 'live' || state === 'lost');
  });
  await removeLost(cluster, nodes);
  const reader = await cluster.addMount();
  for (const load of loads) {
    const files = await load.check(reader.mountPoint);
    t.ok(files > 0, `${what}: ${files} files of ${load.name} compare equal`);
  }
  await reader.stop();
  const fsck = await cluster.run('dfs', ['fsck', cluster.metadata.address, '--deep'], { timeoutMs: FSCK_MS });
  t.equal(fsck.code, 0, `${what}: fsck ends clean${fsck.code === 0 ? '' : `: ${fsck.stdout}${fsck.stderr}`}`);
}

/** Something that happens to a cluster; resolves when it is over. */
export interface Torment {
  readonly name: string;
  /** Programs see errors; otherwise they see a pause, and no more. */
  readonly isSeen?: boolean;
  happen(cluster: Cluster, random: SeededRandom): Promise<void>;
}

/** Killed, and started again a moment later. */
async function killed(...victims: ServerProcess[]): Promise<void> {
  for (const victim of victims) await victim.kill9();
  for (const victim of victims) await victim.start();
}

/** Neither answers nor ends. */
async function stalled(victim: ServerProcess, forMs: number): Promise<void> {
  process.kill(victim.pid, 'SIGSTOP');
  try {
    await pass(forMs);
  } finally {
    process.kill(victim.pid, 'SIGCONT');
  }
}

/** How long something goes on is what a torment is about, so it is no wait for a condition. */
async function pass(ms: number): Promise<void> {
  await new Promise(resolve => {
    setTimeout(resolve, ms);
  });
}

/** One node has a file system that can fail; it is slower than memory. */
function isOnLoopDevice(directory: string): boolean {
  return basename(directory) === 'node1';
}

/** Flips one bit at each of so many places of a file. */
async function flipBits(path: string, places: number, random: SeededRandom): Promise<void> {
  const { size } = await stat(path);
  if (size === 0) return;
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    for (let flip = 0; flip < places; flip += 1) {
      const at = random.integer(0, size);
      await file.read(byte, 0, 1, at);
      byte.writeUInt8(byte.readUInt8(0) ^ (1 << random.integer(0, 8)), 0);
      await file.write(byte, 0, 1, at);
    }
  } finally {
    await file.close();
  }
}

/** Two machines that do not hear of each other for a while, though everybody else hears of both. */
export function cuts(network: Namespaces): Torment[] {
  const pairs = [
    ['metadata', 'node1'],
    ['node1', 'node2'],
    ['mount1', 'node1'],
    ['mount1', 'metadata'],
  ] as const;
  return pairs.map(([one, other]) => ({
    name: `a cut between ${one} and ${other}`,
    happen: async (_cluster, random) => {
      await network.cut(one, other);
      try {
        await pass(random.between(1000, 12_000));
      } finally {
        await network.heal(one, other);
      }
    },
  }));
}

export const TORMENTS: readonly Torment[] = [
  {
    name: 'kill -9 of the metadata server',
    happen: async cluster => await killed(cluster.metadata),
  },
  {
    name: 'kill -9 of a data node',
    happen: async (cluster, random) => await killed(random.pick(cluster.nodes)),
  },
  {
    name: 'kill -9 of a mount',
    isSeen: true,
    happen: async (cluster, random) => await killed(random.pick(cluster.mounts.slice(0, MOUNTS))),
  },
  {
    name: 'kill -9 of every server',
    happen: async cluster => await killed(cluster.metadata, ...cluster.nodes),
  },
  {
    name: 'a stalled metadata server',
    happen: async (cluster, random) => await stalled(cluster.metadata, random.between(500, 8000)),
  },
  {
    name: 'a stalled data node',
    happen: async (cluster, random) => await stalled(random.pick(cluster.nodes), random.between(500, 10_000)),
  },
  {
    name: 'a data directory that is full',
    happen: async (cluster, random) => {
      const { directory } = random.pick(cluster.nodes);
      await shell(`dd if=/dev/zero of=${directory}/filler bs=1M status=none 2>/dev/null || true`);
      await pass(random.between(500, 5000));
      await shell(`rm ${directory}/filler`);
    },
  },
  {
    name: 'a disk that fails, so that its file system becomes read-only',
    happen: async (cluster, random) => {
      const node = cluster.nodes.find(({ directory }) => isOnLoopDevice(directory));
      if (!node) throw new Error('no node has a file system of its own');
      await failFileSystem(node.directory);
      await pass(random.between(500, 5000));
      // A disk that has failed is not trusted again before somebody has looked at it.
      await node.stop();
      await repairFileSystem(node.directory);
      await node.start();
    },
  },
  {
    name: 'a data directory that is deleted',
    happen: async (cluster, random) => {
      const node = random.pick(cluster.nodes);
      await shell(`find ${node.directory} -mindepth 1 -delete`);
      const code = await node.exited();
      if (code !== 1 || !node.logTail(1).includes('was deleted or unmounted'))
        throw new Error(`the node went on, or did not say why it ended:\n${node.logTail(3)}`);
      await node.start();
    },
  },
  {
    name: 'a segment that is deleted',
    happen: async (cluster, random) => {
      const node = random.pick(cluster.nodes);
      const segments = await readdir(join(node.directory, 'segments'));
      await shell(`rm ${join(node.directory, 'segments', random.pick(segments))}`);
      await pass(random.between(500, 2500));
      await node.restart();
    },
  },
  {
    name: 'bits that flip in segments, the index and the identity',
    happen: async (cluster, random) => {
      const node = random.pick(cluster.nodes);
      await node.kill9();
      const segments = join(node.directory, 'segments');
      for (const name of await readdir(segments))
        await flipBits(join(segments, name), FLIPS_PER_FILE, random);
      for (const name of ['index.db', 'index.db-wal', 'node.json'])
        await flipBits(join(node.directory, name), name === 'node.json' ? 1 : FLIPS_PER_FILE, random);
      await node.start();
      // What nobody reads is found by whoever looks, and put aside; what the start has found is mended already.
      await cluster.run('dfs', ['fsck', cluster.metadata.address, '--deep'], { timeoutMs: FSCK_MS });
    },
  },
  {
    name: 'the clock of a data node jumps',
    happen: async (cluster, random) => {
      const node = random.pick(cluster.nodes);
      await setClock(node.directory, random.pick([-26, -1, 1, 26]) * HOUR_S);
      await pass(random.between(500, 3000));
      await setClock(node.directory, 0);
    },
  },
  {
    name: 'the clock of the metadata server jumps',
    happen: async (cluster, random) => {
      await setClock(cluster.metadata.directory, random.pick([-26, -1, 1, 26]) * HOUR_S);
      await pass(random.between(500, 3000));
      await setClock(cluster.metadata.directory, 0);
    },
  },
];

/** Disks and clocks that can be made bad. */
const FRAIL_MACHINES = {
  serverEnvironment: faketimeEnvironment,
  prepareDirectory: async (directory: string) =>
    await (isOnLoopDevice(directory)
      ? mountLoopDevice(directory, DISK_MIB)
      : shell(`mount -t tmpfs -o size=${DISK_MIB}m dfs-test ${directory}`)),
};

export interface TormentOptions {
  readonly seed: number;
  /** What happens next, until nothing does. */
  readonly torments: Iterable<Torment>;
  /** Where the cluster's machines are, when they are to be cut off; then neither disks nor clocks can be bad. */
  readonly network?: Namespaces;
}

/** Does each of `torments` to a cluster under load. */
export async function torment(t: Test, { seed, torments, network }: TormentOptions): Promise<void> {
  const random = new SeededRandom(seed);
  const cluster = await startCluster(t, {
    dataNodes: DATA_NODES,
    mounts: MOUNTS,
    goal: 2,
    metadataOptions: ['--lost-after=6', '--defragment-after=2', '--backup-interval=5', '--collect-after=5'],
    ...(network ? { machines: network } : FRAIL_MACHINES),
  });
  const loads = cluster.mounts.map(
    ({ mountPoint, name }) =>
      new AcknowledgedLoad(t, { mountPoint, name, directory: cluster.directory, seed }),
  );
  for (const { name, happen, isSeen = false } of torments) {
    const before = loads.flatMap(load => load.failures).length;
    for (const load of loads) await load.start();
    for (const load of loads) await load.advance(random.integer(10, 100));
    await happen(cluster, random);
    for (const load of loads) await load.advance(20);
    for (const load of loads) await load.stop();
    const failures = loads.flatMap(load => load.failures);
    t.ok(
      isSeen || failures.length === before,
      `${name}: no program sees an error ${failures.slice(before, before + 3).join('; ')}`,
    );
    t.comment(`${name}: ${loads.map(load => load.count).join(' and ')} changes`);
    await expectNothingLost(t, cluster, loads, name);
  }
}
