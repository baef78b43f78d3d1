import t from 'tap';
import { isNodeService, nodeServiceName } from '../../../../src/cli/machine/service-name.js';

t.test(
  'the first data directory of a machine has the plain name, further ones are named after their directory',
  async t => {
    t.equal(nodeServiceName('/srv/dfs', new Set()), 'node');
    t.equal(nodeServiceName('/srv/disk2', new Set(['node'])), 'node-disk2');
    t.equal(nodeServiceName('/other/disk2', new Set(['node', 'node-disk2'])), 'node-disk2-3');
  },
);

t.test('what systemd would read otherwise is left out of a name', async t => {
  t.equal(nodeServiceName('/srv/große Platte %i@x', new Set(['node'])), 'node-gro-e-Platte-i-x');
  t.equal(nodeServiceName('/srv/---', new Set(['node'])), 'node-2');
  t.equal(nodeServiceName(`/srv/${'a'.repeat(200)}`, new Set(['node'])).length, 'node-'.length + 40);
});

t.test('servers of data directories are told from others', async t => {
  t.same(
    ['node', 'node-disk2', 'metadata', 'nodes'].map(name => isNodeService(name)),
    [true, true, false, false],
  );
});
