import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { inClone, runFile } from '../support/programs.js';

const FIXED_SEED = 20260801;
const FILE_OPERATIONS = 1000;
/** For each of four processes. */
const NAME_OPERATIONS = 300;
const TIMEOUT_MS = 120_000;

t.test('random operations answer as a model of a local file system does', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 2,
    goal: 1,
    mountOptions: ['--driver', 'kernel'],
  });
  const mountPoints = cluster.mounts.map(mount => mount.mountPoint);

  for (const seed of [FIXED_SEED, randomInt(2 ** 31)])
    for (const count of [1, 2]) {
      const run = async (program: string, operations: number, paths: readonly string[]): Promise<void> => {
        const numbers = ['--seed', String(seed), '--ops', String(operations)];
        const parameters = [inClone(`test/posix/${program}`), ...numbers, ...paths.slice(0, count)];
        const { code, stdout, stderr } = await runFile('python3', parameters, { timeoutMs: TIMEOUT_MS });
        t.match(stdout + stderr, /^same/, `${program} with seed ${seed}, mounts: ${count}`);
        t.equal(code, 0);
      };
      const file = mountPoints.map(mountPoint => join(mountPoint, 'random-operations'));
      await run('fsx.py', FILE_OPERATIONS, file);
      await run('namespace.py', NAME_OPERATIONS, mountPoints);
    }
});
