/**
 * Far more connections than a server has descriptors, on which nothing is said: members go on, and the log says what
 * happens (#17.9).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startCluster, waitUntil } from '../support/cluster.js';
import { silentConnections } from '../support/hostile/attacks.js';
import type { HostilePeer } from '../support/hostile/hostile-peer.js';
import { measureAttack } from '../support/hostile/measured-attack.js';

const LONG = { timeout: 120_000 };
const DESCRIPTORS = 200;
const CONNECTIONS = 400;

t.test('with more silent connections than descriptors, heartbeats and ls go on', LONG, async t => {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-descriptors-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const node = join(directory, 'node');
  await writeFile(node, `#!/bin/sh\nulimit -n ${DESCRIPTORS}\nexec '${process.execPath}' "$@"\n`);
  await chmod(node, 0o755);
  const cluster = await startCluster(t, { dataNodes: 1, ownExecutable: node });
  const servers = [cluster.metadata, ...cluster.nodes];
  for (const server of servers) {
    const silent = await silentConnections(server.endpoint, CONNECTIONS);
    t.teardown(() => {
      for (const each of silent) each.close();
    });
    const listed = await cluster.run('ls', [cluster.metadata.address]);
    t.equal(listed.code, 0, `ls while ${server.name} has them: ${listed.stderr}`);
    const open = readdirSync(`/proc/${server.pid}/fd`).length;
    t.ok(open < DESCRIPTORS, `${server.name} has ${open} descriptors open`);
    await waitUntil(() => readFileSync(server.logPath, 'utf8').includes('closing a connection'), {
      what: `${server.name} says that it closes connections`,
    });
  }
  const nodes = await cluster.run('dfs', ['nodes', cluster.metadata.address]);
  t.match(nodes.stdout, /live/, 'the data node is live all the time');
  for (const server of servers) t.notMatch(readFileSync(server.logPath, 'utf8'), /EMFILE|no heartbeat/);
});

const MANY = 10_000;
/** Most of it is garbage of connections that are closed. */
const MAX_GROWTH_MIB = 150;

t.test('ten thousand connections that say nothing leave a server as it was', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 1 });
  const { metadata } = cluster;
  let silent: HostilePeer[] = [];
  t.teardown(() => {
    for (const each of silent) each.close();
  });
  const measured = await measureAttack(
    t,
    metadata,
    `${MANY} silent connections`,
    cluster.keyPath,
    async () => {
      silent = await silentConnections(metadata.endpoint, MANY);
      const open = readdirSync(`/proc/${metadata.pid}/fd`).length;
      t.ok(open < 600, `it has ${open} descriptors open`);
      t.equal((await cluster.run('ls', [metadata.address])).code, 0, 'ls meanwhile');
    },
  );
  t.ok(measured.peakMib - measured.beforeMib < MAX_GROWTH_MIB, `grew to ${measured.peakMib} MiB`);
  t.ok(measured.maxMs < 3000, `an answer took ${measured.maxMs.toFixed(1)} ms`);
});
