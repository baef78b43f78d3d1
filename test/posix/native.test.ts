import t from 'tap';
import { NATIVE_LIMITATIONS } from '../../src/fuse/native/limitations.js';
import { startCluster } from '../support/cluster.js';
import { runAreas } from './areas.js';

/** The longest case takes some 6 s on a slow machine; those that hang by a limitation take all of it. */
const CASE_LIMIT_S = 60;

t.test('the fuse-native driver keeps every rule but those that its limitations break', async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 1,
    goal: 1,
    mountOptions: ['--driver', 'fuse-native'],
  });
  const broken = new Map(
    NATIVE_LIMITATIONS.flatMap(({ sentence, broken: rules }) => rules.map(rule => [rule, sentence] as const)),
  );
  const areas =
    'names open mkdir mkfifo mknod link symlink rename unlink truncate holes mmap locks chmod chown utimens permissions xattr'.split(
      ' ',
    );
  await runAreas(t, cluster, areas, { broken, caseLimitS: CASE_LIMIT_S });
});
