/** A data node that is unreachable at its advertised address is shown, gets no chunks, and is replaced. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { untilLive } from '../support/repair-status.js';

const NOWHERE = ['--advertise', 'nosuchhost.invalid'];
const REASON = /no such host: nosuchhost\.invalid; check the name/;

t.test('a node that advertises a host that does not exist is no live node', async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 1 });
  const node = await cluster.addNode(NOWHERE);
  const dfs = async (command: string): Promise<string> =>
    (await cluster.run('dfs', [command, cluster.metadata.address])).stdout;
  await untilLive(cluster, 2);
  const nodes = await dfs('nodes');
  t.match(nodes, /3 +│ unreachable/);
  t.match(nodes, /^node 3: the metadata server does not reach it: /m);
  t.match(nodes, REASON);
  const status = await dfs('status');
  t.match(status, /^nodes +2 of 3 live$/m);
  t.match(status, /^unreachable node 3: .*it gets no chunks$/m);
  t.match(await readFile(node.logPath, 'utf8'), /this node gets no chunks, since .* nosuchhost\.invalid/);
  const mountPoint = cluster.mounts[0]?.mountPoint ?? '';
  await shell(`cd ${mountPoint} && for i in $(seq 20); do echo $i > f$i; done && sync f20`);
  t.match(await dfs('nodes'), /3 +│ unreachable .*│ +0 │/, 'nothing was stored there');
  t.equal((await cluster.run('dfs', ['node', 'drain', '3', cluster.metadata.address, '--wait'])).code, 0);
});

t.test('a cluster whose only node is not reached takes nothing', async t => {
  const cluster = await startCluster(t, { dataNodes: 0 });
  await cluster.addNode(NOWHERE);
  const { code, stderr } = await cluster.run('copy', [
    '--timeout',
    '2',
    '/etc/hostname',
    `${cluster.metadata.address}:/f`,
  ]);
  t.equal(code, 1);
  t.match(stderr, /no data node/);
});

t.test('a node that was stopped and goes on is reached again by itself', async t => {
  const cluster = await startCluster(t, { dataNodes: 1 });
  const [node] = cluster.nodes;
  if (!node) throw new Error('it was asked for');
  const isLive = async (): Promise<boolean> =>
    /│ live/.test((await cluster.run('dfs', ['nodes', cluster.metadata.address])).stdout);
  process.kill(node.pid, 'SIGSTOP');
  await waitUntil(async () => !(await isLive()), { what: 'it is not live' });
  process.kill(node.pid, 'SIGCONT');
  await waitUntil(isLive, { what: 'it is live again' });
});
