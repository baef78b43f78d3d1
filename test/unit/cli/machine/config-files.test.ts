/** What `dfs create` and `dfs join` write is what --config reads. */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { withConfigFile } from '../../../../src/cli/config-file.js';
import { dataNode } from '../../../../src/cli/commands/data-node.js';
import { metaData } from '../../../../src/cli/commands/meta-data.js';
import {
  configuredServices,
  readConfig,
  removeConfig,
  writeConfig,
} from '../../../../src/cli/machine/config-files.js';
import { configPath, type MachineLayout } from '../../../../src/cli/machine/machine-layout.js';

async function makeLayout(t: Test): Promise<MachineLayout> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-config-'));
  t.teardown(async () => await rm(directory, { recursive: true }));
  const configuration = join(directory, 'etc');
  return { configuration, configurationMode: 0o755, state: join(directory, 'state'), user: undefined };
}

t.test('the servers of a machine are those that have a configuration file', async t => {
  const layout = await makeLayout(t);
  t.same(await configuredServices(layout), [], 'none before there is a directory');
  await writeConfig(layout, 'node', 'One.', {
    server: '10.0.0.1:8000',
    port: 9000,
    datapath: '/srv/a "b"\\c',
  });
  await writeConfig(layout, 'node-disk2', 'Two.', {
    server: '10.0.0.1:8000',
    port: 9001,
    datapath: '/srv/2',
  });
  await writeConfig(layout, 'metadata', 'Three.', { host: '0.0.0.0', port: 8000 });
  t.same(await configuredServices(layout), ['metadata', 'node', 'node-disk2']);
  t.same(
    { ...(await readConfig(layout, 'node')) },
    { server: '10.0.0.1:8000', port: 9000, datapath: '/srv/a "b"\\c' },
  );
  t.equal((await stat(configPath(layout, 'node'))).mode & 0o777, 0o644);
  await removeConfig(layout, 'node-disk2');
  t.same(await configuredServices(layout), ['metadata', 'node']);
  t.same(
    (await readdir(layout.configuration)).sort(),
    ['metadata.toml', 'node.toml'],
    'nothing else is left',
  );
});

t.test('servers take what is written for them', async t => {
  const layout = await makeLayout(t);
  await writeConfig(layout, 'node', 'A node.', { server: '10.0.0.1:8001', port: 9000, datapath: '/srv/dfs' });
  await writeConfig(layout, 'metadata', 'A server.', { host: '0.0.0.0', port: 8001 });
  t.same(withConfigFile(dataNode, ['--config', configPath(layout, 'node')]).slice(2), [
    '10.0.0.1:8001',
    '9000',
    '/srv/dfs',
  ]);
  t.match(withConfigFile(metaData, ['--config', configPath(layout, 'metadata')]), ['--host=0.0.0.0']);
});
