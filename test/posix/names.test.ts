import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { runAreas } from './areas.js';

t.test('names are made, linked, renamed and removed as POSIX has it', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 2,
    goal: 1,
    mountOptions: ['--driver', 'kernel'],
  });
  await runAreas(t, cluster, [
    'names',
    'open',
    'mkdir',
    'mkfifo',
    'mknod',
    'link',
    'symlink',
    'rename',
    'unlink',
    'handles',
  ]);
});
