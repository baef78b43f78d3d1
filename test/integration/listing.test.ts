/** A large directory that one mount has to itself and another one lists. */
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';
import { inClone } from '../support/programs.js';

const PROGRAM = inClone('test/support/listed_while_changed.py');
const NAMES = 100_000;

t.test('names that are recalled in mid-listing are shown once each, and none is left out', async t => {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 2, goal: 1 });
  const [first, second] = cluster.mounts.map(({ mountPoint }) => mountPoint);
  const told = await shell(`python3 ${PROGRAM} ${first} ${second} ${NAMES}`, { timeoutMs: 200_000 });
  t.match(told, /[0-9]+ names, [1-9][0-9]* removed meanwhile/);
});
