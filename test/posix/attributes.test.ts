import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { runAreas } from './areas.js';

t.test('owners, modes, times and attributes are kept and obeyed as POSIX has it', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 2,
    goal: 1,
    mountOptions: ['--driver', 'kernel'],
  });
  await runAreas(t, cluster, ['chmod', 'chown', 'utimens', 'permissions', 'xattr']);

  await t.test('with --atime relatime reading moves access times', async t => {
    const relatime = await cluster.addMount(['--atime', 'relatime']);
    await runAreas(t, cluster, ['atime'], { mounts: [relatime, ...cluster.mounts.slice(0, 1)] });
  });
});
