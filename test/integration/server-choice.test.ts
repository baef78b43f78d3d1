/** Which server a command asks: its argument, else DFS_SERVER, else that of this machine's cluster. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import t from 'tap';
import { startCluster } from '../support/cluster.js';
import { environmentFor, inClone, runFile, shell } from '../support/programs.js';

const NOBODY = '127.0.0.1:1';
const AT_ONCE = 4;

/** Commands, with SERVER where the argument may stand. */
const COMMANDS: readonly string[] = [
  'ls SERVER',
  'ls SERVER /file',
  'dfs ls SERVER /',
  'dfs status SERVER',
  'dfs nodes SERVER',
  'dfs node undrain 1 SERVER',
  'dfs rebalance SERVER --stop',
  'dfs backup now SERVER',
  'dfs fsck SERVER',
  'dfs dump SERVER',
];

t.test('every command finds the server by its argument, by DFS_SERVER and by the local cluster', async t => {
  const cluster = await startCluster(t, { dataNodes: 1, goal: 1 });
  const { address, port } = { address: cluster.metadata.address, port: cluster.endpoint.port };
  const home = join(cluster.directory, 'home');
  const env = environmentFor(home);
  await shell(`echo x | ${inClone('bin/copy')} - ${address}:/file`, { env });
  /** As `dfs local` notes the cluster that it has started. */
  await mkdir(join(home, 'run'), { recursive: true });
  const record = async (recorded: number): Promise<void> =>
    await writeFile(join(home, 'run', 'settings'), `${recorded} 1\n`);

  const run = async (call: string, argument: string, variables: NodeJS.ProcessEnv) => {
    const [program = '', ...words] = call.replace('SERVER', argument).split(' ');
    const parameters = words.filter(word => word !== '');
    const command = [inClone(`bin/${program}`), ...parameters];
    return await runFile(process.execPath, command, { env: { ...env, ...variables } });
  };
  const limit = pLimit(AT_ONCE);
  const all = async (what: string, argument: string, variables: NodeJS.ProcessEnv): Promise<void> => {
    const check = async (call: string): Promise<void> => {
      // Whether several of them at once find everything in order is not the question here.
      const { stderr } = await run(call, argument, variables);
      t.notMatch(stderr, /no metadata server answers|Try '/, `${call}, by ${what}`);
    };
    await Promise.all(COMMANDS.map(call => limit(async () => await check(call))));
  };

  await record(1);
  await all('its argument', address, { DFS_SERVER: NOBODY, DFS_PORT: '1' });
  await all('DFS_SERVER', '', { DFS_SERVER: address, DFS_PORT: '1' });
  t.match(
    (await run('dfs status', '', { DFS_PORT: String(port) })).stdout,
    /live$/m,
    'DFS_PORT before the record',
  );
  t.match((await run('dfs status', '', { DFS_SERVER: NOBODY })).stderr, /answers at 127\.0\.0\.1:1;/);
  await record(port);
  await all('the record of dfs local', '', {});

  const mountPoint = join(cluster.directory, 'mnt');
  t.equal((await run(`dfs mount ${mountPoint} --background`, '', {})).code, 0);
  t.equal(await shell(`cat ${mountPoint}/file && umount ${mountPoint}`), 'x');
});

t.test('help tells the rule', async t => {
  for (const name of ['ls', 'status', 'dump', 'mount']) {
    const { stdout } = await runFile(process.execPath, [inClone('bin/dfs'), name, '--help']);
    t.match(stdout.replaceAll(/\s+/g, ' '), /\$DFS_SERVER, else this machine's own cluster/, name);
  }
});
