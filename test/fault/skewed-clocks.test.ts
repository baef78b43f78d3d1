/** Machines whose clocks are hours apart: what is granted is stored, with all its replicas, and people see the skew. */
import t from 'tap';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { faketimeEnvironment, faketimeLibrary, setClock } from '../support/jumping-clock.js';

const HOUR_S = 3600;
/** The old code needed 31 s for this. */
const FILES = 84;
const PATIENCE_MS = 15_000;

t.test(
  'a data node an hour ahead and a metadata server two hours behind store every file with two replicas',
  { skip: faketimeLibrary() === undefined ? 'libfaketime is not installed' : false },
  async t => {
    const cluster = await startCluster(t, {
      dataNodes: 2,
      mounts: 1,
      serverEnvironment: faketimeEnvironment,
    });
    const [mount] = cluster.mounts;
    const [first, second] = cluster.nodes;
    if (!mount || !first || !second) throw new Error('they were asked for');
    const dfs = async (...parameters: string[]): Promise<string> =>
      (await cluster.run('dfs', parameters)).stdout;
    await setClock(cluster.metadata.directory, -2 * HOUR_S);
    await setClock(first.directory, HOUR_S);
    await waitUntil(async () => /clock 3 h ahead/.test(await dfs('nodes', cluster.metadata.address)), {
      what: "'dfs nodes' shows the clocks",
    });
    t.match(
      await dfs('status', cluster.metadata.address),
      /node 1: clock 3 h ahead of the metadata server's/,
    );
    const beganMs = performance.now();
    await shell(
      `cd ${mount.mountPoint} && for i in $(seq ${FILES}); do echo $i > f$i; done && sync f1 f${FILES}`,
    );
    const tookMs = Math.round(performance.now() - beganMs);
    t.ok(tookMs < PATIENCE_MS, `${FILES} small files took ${tookMs} ms`);
    // One is enough for everything that was fsynced.
    await first.kill9();
    t.equal(await shell(`cat ${mount.mountPoint}/f1 ${mount.mountPoint}/f${FILES}`), `1\n${FILES}`);
  },
);
