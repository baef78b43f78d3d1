/**
 * `write` returned: every mount sees it. One case alone, where A and B are two mounts of one cluster:
 * `python3 test/posix/run.py strict-programs A B --only 'tail -f'`.
 */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { inClone, runFile } from '../support/programs.js';
import { runAreas } from './areas.js';

const FIXED_SEED = 20261129;
const OPERATIONS = 400;
const TIMEOUT_MS = 150_000;
const CLUSTER = { dataNodes: 1, goal: 1, mountOptions: ['--driver', 'kernel'] };

t.test('two mounts see what each other has written before anybody closes or syncs', async t => {
  const cluster = await startCluster(t, { ...CLUSTER, mounts: 2 });
  await runAreas(t, cluster, ['strict', 'strict-attributes', 'strict-programs']);
});

t.test('every mount sees exactly what a model says after each random operation of any of them', async t => {
  const cluster = await startCluster(t, { ...CLUSTER, mounts: 3 });
  const mountPoints = cluster.mounts.map(mount => mount.mountPoint);
  for (const seed of [FIXED_SEED, randomInt(2 ** 31)]) {
    for (const count of [2, 3]) {
      const run = async (program: string, ...parameters: string[]): Promise<void> => {
        const numbers = ['--seed', String(seed), '--ops', String(OPERATIONS)];
        const command = [inClone(`test/posix/${program}`), ...numbers, ...parameters];
        const { code, stdout, stderr } = await runFile('python3', command, { timeoutMs: TIMEOUT_MS });
        t.match(stdout + stderr, /^same/, `${program} with seed ${seed}, mounts: ${count}`);
        t.equal(code, 0);
      };
      const chosen = mountPoints.slice(0, count);
      await run('fsx.py', '--strict', ...chosen.map(mountPoint => join(mountPoint, 'random-operations')));
      const model = await mkdtemp(join(tmpdir(), 'dfs-strict-model-'));
      try {
        await run('strict_random.py', '--model', model, ...chosen);
      } finally {
        await rm(model, { recursive: true });
        for (const name of ['a', 'b', 'c', 'sub', 'other'])
          await rm(join(mountPoints[0] ?? '', name), { recursive: true, force: true });
      }
    }
  }
});
