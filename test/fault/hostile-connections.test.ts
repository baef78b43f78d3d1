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
