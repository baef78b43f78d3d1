/**
 * A data node that stalls, dies or fills up in the middle of a write: the writer sees a pause, and what was written has as
 * many replicas as its goal says, on other nodes.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type Cluster, type ServerProcess } from '../support/cluster.js';
import { untilLive } from '../support/repair-status.js';

/** Writes so many MiB, with an fsync every 4 MiB, and notes how long each fsync took. */
const WRITER = `
import os, sys, time
source, target, times = sys.argv[1:4]
data = open(source, 'rb').read()
fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
with open(times, 'w') as log:
    for at in range(0, len(data), 1 << 20):
        os.write(fd, data[at:at + (1 << 20)])
        if at % (4 << 20) == 3 << 20:
            began = time.monotonic()
            os.fsync(fd)
            log.write('%f\\n' % (time.monotonic() - began))
            log.flush()
            time.sleep(0.02)
os.close(fd)
`;
/** Three to four seconds until silence is taken for death, and a machine that has other things to do. */
const LONGEST_PAUSE_S = 20;
const MIB = 1 << 20;
const FILE_MIB = 64;
/** A data node's own, for the test that fills it; a node is given nothing when less than 68 MiB are left. */
const SMALL_DISK_MIB = 160;

interface Source {
  readonly path: string;
  readonly hash: string;
}

async function makeSource(cluster: Cluster): Promise<Source> {
  const bytes = randomBytes(FILE_MIB * MIB);
  const path = join(cluster.directory, 'source');
  await writeFile(path, bytes);
  return { path, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** What a client of its own reads. */
async function hashOf(cluster: Cluster, path: string): Promise<string> {
  const target = join(cluster.directory, 'read-back');
  const { code, stderr } = await cluster.run('copy', ['-f', `${cluster.metadata.address}:${path}`, target]);
  if (code !== 0) throw new Error(`copy failed: ${stderr}`);
  return createHash('sha256').update(readFileSync(target)).digest('hex');
}

/** Chunks by how many replicas they have, as the metadata server's database says. */
function replicaCounts(cluster: Cluster): Record<string, number> {
  const path = join(cluster.directory, 'metadata', 'dfs.db');
  const database = new Database(path, { readonly: true });
  try {
    const rows = database
      .prepare<[], { replicas: number; chunks: number }>(
        'SELECT length(nodes) / 4 AS replicas, count(*) AS chunks FROM chunks GROUP BY replicas',
      )
      .all();
    return Object.fromEntries(rows.map(({ replicas, chunks }) => [String(replicas), chunks]));
  } finally {
    database.close();
  }
}

interface Writing {
  /** fsyncs that have returned so far, and the longest in seconds. */
  progress(): { count: number; longest: number };
  ended(): Promise<number | null>;
}

function startWriting(t: Test, source: Source, target: string, times: string): Writing {
  const child = spawn('python3', ['-c', WRITER, source.path, target, times], { stdio: 'inherit' });
  t.teardown(() => child.kill('SIGKILL'));
  const exit = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null);
  return {
    progress() {
      const text = existsSync(times) ? readFileSync(times, 'utf8') : '';
      const took = text.split('\n').slice(0, -1).map(Number);
      return { count: took.length, longest: Math.max(0, ...took) };
    },
    ended: async () => await exit,
  };
}

/** Writes a file on the mount; does `harm` when a quarter is written. */
async function writeThrough(
  t: Test,
  cluster: Cluster,
  source: Source,
  name: string,
  harm: () => Promise<void> | void,
): Promise<void> {
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('no mount');
  const times = join(cluster.directory, `${name}.times`);
  const writing = startWriting(t, source, join(mount.mountPoint, name), times);
  await waitUntil(() => writing.progress().count >= FILE_MIB / 16, { what: 'a quarter is written' });
  await harm();
  t.equal(await writing.ended(), 0, 'the writer saw no error');
  const { longest } = writing.progress();
  t.comment(`the longest fsync took ${longest.toFixed(1)} s`);
  t.ok(longest < LONGEST_PAUSE_S, `the longest pause was ${longest.toFixed(1)} s`);
  t.same(Object.keys(replicaCounts(cluster)), ['2'], 'every chunk has two replicas');
  t.equal(await hashOf(cluster, `/${name}`), source.hash, 'another client reads what was written');
}

async function segmentBytes(node: ServerProcess): Promise<number> {
  const directory = join(node.directory, 'segments');
  const names = await readdir(directory).catch((): string[] => []);
  return names.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

t.test('a node that stalls or dies mid-write is replaced', async t => {
  const cluster = await startCluster(t, { dataNodes: 3, mounts: 1, goal: 2 });
  const [first, second] = cluster.nodes;
  if (!first || !second) throw new Error('three nodes');
  const source = await makeSource(cluster);

  await t.test('SIGSTOP', async t => {
    await writeThrough(t, cluster, source, 'stalled', () => {
      process.kill(first.pid, 'SIGSTOP');
      t.teardown(() => process.kill(first.pid, 'SIGCONT'));
    });
  });

  await t.test('kill -9 during a copy', async t => {
    await untilLive(cluster, 3);
    const before = await segmentBytes(second);
    const copying = cluster.run('copy', [source.path, `${cluster.metadata.address}:/killed`]);
    await waitUntil(async () => (await segmentBytes(second)) > before + 16 * MIB, { what: 'it gets chunks' });
    await second.kill9();
    t.match(await copying, { code: 0 });
    t.same(Object.keys(replicaCounts(cluster)), ['2'], 'every chunk has two replicas');
    t.equal(await hashOf(cluster, '/killed'), source.hash);
    await second.start();
  });
});

t.test(
  'a node whose disk fills up mid-write is replaced',
  { skip: process.getuid?.() !== 0 && 'only root mounts' },
  async t => {
    const cluster = await startCluster(t, {
      dataNodes: 3,
      mounts: 1,
      goal: 2,
      prepareDirectory: async directory =>
        void (await shell(`mount -t tmpfs -o size=${SMALL_DISK_MIB}m dfs-test ${directory}`)),
    });
    const [first] = cluster.nodes;
    if (!first) throw new Error('three nodes');
    const source = await makeSource(cluster);
    await writeThrough(t, cluster, source, 'full', async () => {
      await shell(`dd if=/dev/zero of=${first.directory}/filler bs=1M status=none 2>/dev/null || true`);
    });
    const logs = [...cluster.nodes, ...cluster.mounts].map(each => readFileSync(each.logPath, 'utf8'));
    t.match(
      logs.join(''),
      /(is full|no space left)[^"]*","msg":"a (data )?node did not take a chunk/,
      'chunks came to a full disk',
    );
  },
);

/** Writes and fsyncs a file; prints the errno's name, if any. */
const FSYNC = `
import errno, os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
try:
    os.write(fd, b'x' * 100000)
    os.fsync(fd)
    print('stored')
except OSError as e:
    print(errno.errorcode[e.errno])
`;

t.test('--min-replicas says on how many nodes a write counts', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 2,
    mounts: 1,
    mountOptions: ['--min-replicas=2', '--timeout=3'],
  });
  const [, second] = cluster.nodes;
  const [mount] = cluster.mounts;
  if (!second || !mount) throw new Error('two nodes and a mount');
  const source = join(cluster.directory, 'source');
  await writeFile(source, randomBytes(5 * MIB));
  const copy = async (name: string, ...options: string[]) =>
    await cluster.run('copy', [...options, source, `${cluster.metadata.address}:/${name}`]);
  const fsync = async (name: string): Promise<string> =>
    await shell(`python3 -c "${FSYNC}" ${join(mount.mountPoint, name)}`);
  t.equal(await fsync('before'), 'stored');
  await second.kill9();
  t.equal(await fsync('while'), 'EIO', 'fsync fails when the time is over');
  t.match(readFileSync(mount.logPath, 'utf8'), /only 1 of the 2 data nodes that --min-replicas asks for/);
  const refused = await copy('refused', '--min-replicas=2', '--timeout=1');
  t.not(refused.code, 0);
  t.match(refused.stderr, /only 1 of the 2 data nodes that --min-replicas asks for/);
  t.match(await copy('default'), { code: 0 }, 'without it, every live node is enough');
  const waiting = copy('waiting', '--min-replicas=2');
  await second.start();
  t.match(await waiting, { code: 0 }, 'a copy waits for a second node');
  t.equal(await fsync('after'), 'stored');
});
