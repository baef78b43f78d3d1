/** `dfs fsck` beside a data node that was just killed goes on with the others, and says which one it could not ask. */
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';

t.test(
  'fsck beside a killed data node names the node, and does not wait for the metadata server',
  async t => {
    const cluster = await startCluster(t, { dataNodes: 3, mounts: 1 });
    const [mount] = cluster.mounts;
    if (!mount) throw new Error('a mount was asked for');
    await shell(`head -c 3000000 /dev/urandom > ${mount.mountPoint}/file && sync ${mount.mountPoint}/file`);
    await cluster.nodes[1]?.kill9();
    const startedMs = performance.now();
    const { code, stdout, stderr } = await cluster.run('dfs', ['fsck', cluster.metadata.address, '--deep']);
    t.equal(code, 1);
    t.match(stdout, /^\(data node 2\): could not be checked: /m);
    t.notMatch(stderr, /no metadata server/);
    t.ok(performance.now() - startedMs < 15_000, 'it does not wait for a server that is there');
  },
);

t.test('an unknown host is called that', async t => {
  const cluster = await startCluster(t, { dataNodes: 0 });
  const { code, stderr } = await cluster.run('dfs', ['nodes', 'nosuchhost.invalid']);
  t.equal(code, 1);
  t.match(stderr, 'no such host: nosuchhost.invalid; check the name');
});
