/** Lost replicas are made again without being asked; nodes are drained, come back, and go (docs/decisions/07). */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type Cluster, type ServerProcess } from '../support/cluster.js';
import { inClone } from '../support/programs.js';
import { statusOf, untilSound } from '../support/repair-status.js';

const LONG = { timeout: 240_000 };
const REPAIRED_MS = 90_000;
const LOST_AFTER = '--lost-after=4';

async function start(t: Test, dataNodes: number): Promise<{ cluster: Cluster; path: string }> {
  const cluster = await startCluster(t, { dataNodes, mounts: 1, goal: 2, metadataOptions: [LOST_AFTER] });
  const path = cluster.mounts[0]?.mountPoint;
  if (!path) throw new Error('a mount was asked for');
  return { cluster, path };
}

function nodeOf(cluster: Cluster, index: number): ServerProcess {
  const node = cluster.nodes[index];
  if (!node) throw new Error(`there is no node ${index}`);
  return node;
}

/** What a new client, which has nothing in its caches, finds there. */
async function compares(cluster: Cluster, source: string, name: string): Promise<void> {
  const mount = await cluster.addMount();
  await shell(`diff -r --no-dereference ${source} ${join(mount.mountPoint, name)}`, { timeoutMs: 120_000 });
  await mount.stop();
}

t.test(
  'a node dies with its directory in the middle of a copy: redundancy is back by itself',
  LONG,
  async t => {
    const { cluster, path } = await start(t, 3);
    const source = join(cluster.directory, 'source');
    await shell(`
    mkdir ${source} && cp -r ${inClone('src')} ${source}/small
    for file in 1 2 3 4 5 6; do head -c 20000000 /dev/urandom > ${source}/large$file; done`);
    const copying = shell(`cp -r ${source} ${path}/copy`, { timeoutMs: 120_000 });
    await waitUntil(async () => Number(await shell(`ls ${path}/copy | wc -l`).catch(() => '0')) >= 3, {
      deadlineMs: 60_000,
      what: 'half of the copy',
    });
    const dead = nodeOf(cluster, 1);
    await dead.kill9();
    await rm(dead.directory, { recursive: true });
    await copying;
    t.pass('the copy did not notice');
    await untilSound(cluster, ({ nodes }) => nodes.some(({ state }) => state === 'lost'));
    // The proof: any one of those left has everything.
    await nodeOf(cluster, 0).kill9();
    await compares(cluster, source, 'copy');
    await waitUntil(
      async () => {
        const { code, stdout } = await cluster.run('dfs', ['status', cluster.metadata.address]);
        return code !== 1 && stdout.includes('1 of 3 live');
      },
      { deadlineMs: REPAIRED_MS, what: 'dfs status says that one of three nodes is live' },
    );
  },
);

t.test('a node that comes back with its chunks is used again, and what is too much goes', LONG, async t => {
  const { cluster, path } = await start(t, 3);
  await shell(`cp -r ${inClone('src')} ${path}/copy && sync -f ${path}`);
  const away = nodeOf(cluster, 2);
  await away.kill9();
  await untilSound(cluster, ({ nodes }) => nodes.some(({ state }) => state === 'lost'));
  // Deleted while it was away: it must not bring them back.
  await shell(`rm -r ${path}/copy/cli`);
  await away.restart();
  await untilSound(cluster, ({ nodes }) => nodes.every(({ state }) => state === 'live'));
  await shell(`cp -r ${inClone('src/cli')} ${path}/copy/cli`);
  await nodeOf(cluster, 0).kill9();
  await compares(cluster, inClone('src'), 'copy');
});

t.test('draining empties a node and never goes below the goal', LONG, async t => {
  const { cluster, path } = await start(t, 2);
  const server = cluster.metadata.address;
  await shell(`cp -r ${inClone('src')} ${path}/copy`);
  const refused = await cluster.run('dfs', ['node', 'remove', '1', server]);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /alive; drain it/);
  await cluster.run('dfs', ['node', 'drain', '1', server]);
  const [left] = (await statusOf(cluster)).draining;
  t.ok(left && left.chunks > 0, 'with only one other node its replicas stay');
  const stuck = await cluster.run('dfs', ['node', 'drain', '1', server, '--wait']);
  t.equal(stuck.code, 1);
  t.match(stuck.stderr, /chunks cannot leave node 1: .*add a node/);
  await cluster.addNode();
  const drained = await cluster.run('dfs', ['node', 'drain', '1', server, '--wait'], {
    timeoutMs: REPAIRED_MS,
  });
  t.equal(drained.code, 0, drained.stderr);
  await nodeOf(cluster, 0).stop();
  await waitUntil(async () => (await cluster.run('dfs', ['node', 'remove', '1', server])).code === 0, {
    deadlineMs: 30_000,
    what: 'the node may be forgotten',
  });
  await nodeOf(cluster, 1).kill9();
  await compares(cluster, inClone('src'), 'copy');
});

t.test(
  'a directory’s goal is that of what is made in it, and of what is there when it is set',
  LONG,
  async t => {
    const { cluster, path } = await start(t, 3);
    const goal = async (...parameters: string[]) => await cluster.run('dfs', ['goal', ...parameters]);
    await shell(`mkdir ${path}/photos && cp -r ${inClone('src/cli')} ${path}/photos/old`);
    t.match(await goal('get', `${path}/photos`), { code: 0, stdout: '-\n' });
    t.match(await goal('set', '3', `${path}/photos`, '-r'), { code: 0, stdout: '' });
    await shell(`cp -r ${inClone('src/fuse')} ${path}/photos/new`);
    t.match(await goal('get', `${path}/photos/new/driver.ts`), { code: 0, stdout: '3\n' });
    t.equal(await shell(`getfattr --only-values -n user.dfs.goal ${path}/photos/old/main.ts`), '3');
    t.equal(await shell(`getfattr -d ${path}/photos/old/main.ts`), '', 'copies do not carry it about');
    await untilSound(cluster);
    for (const [parameters, code, sentence] of [
      [['set', '6', path], 2, /from 1 to 5/],
      [['set', '2'], 2, /path is missing/],
      [['set', '2', '/etc/passwd'], 1, /not in a mounted DFS/],
      [['unset', `${path}/photos/old/main.ts`], 1, /always has a goal/],
      [['get', `${path}/nothing`], 1, /nothing/],
    ] as const) {
      const outcome = await goal(...parameters);
      t.equal(outcome.code, code, parameters.join(' '));
      t.match(outcome.stderr, sentence);
    }
    await nodeOf(cluster, 0).kill9();
    await nodeOf(cluster, 1).kill9();
    const mount = await cluster.addMount();
    await shell(`diff -r ${inClone('src/cli')} ${mount.mountPoint}/photos/old
    diff -r ${inClone('src/fuse')} ${mount.mountPoint}/photos/new`);
    await mount.stop();
  },
);
