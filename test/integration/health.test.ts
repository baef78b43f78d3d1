/** `dfs status` says by code what needs attention, and by its exit code how bad it is (docs/health.md). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import type { HealthCondition } from '../../src/protocol/cluster-commands.js';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { inClone } from '../support/programs.js';

const LONG = { timeout: 60_000 };
const HEALTHY = 0;
const WARNING = 3;
const ERROR = 4;

t.test('a node that is killed is silent, then lost; its chunks are back with it', LONG, async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    goal: 1,
    mounts: 1,
    metadataOptions: ['--suspect-after=1', '--lost-after=4'],
  });
  const [node] = cluster.nodes;
  const [mount] = cluster.mounts;
  if (!node || !mount) throw new Error('they were asked for');
  await shell(`echo text > ${mount.mountPoint}/file && sync ${mount.mountPoint}/file`);
  const seen = new Set<string>();
  /** The codes and the exit code; the disk of the machine that runs the tests may be nearly full. */
  const ask = async (): Promise<{ codes: string[]; exitCode: number | null }> => {
    const { code, stdout } = await cluster.run('dfs', ['status', cluster.metadata.address, '--json']);
    const { health } = JSON.parse(stdout) as { health: HealthCondition[] };
    const codes = health.map(condition => condition.code);
    for (const each of codes) seen.add(each);
    const isExpected = health.some(({ severity }) => severity === 'error') ? ERROR : WARNING;
    t.equal(
      code,
      health.length === 0 ? HEALTHY : isExpected,
      `exit code with ${codes.join(', ') || 'nothing'}`,
    );
    return { codes: codes.filter(each => each !== 'NEARLY_FULL'), exitCode: code };
  };
  const until = async (what: string, isReached: (codes: string[]) => boolean): Promise<void> =>
    await waitUntil(async () => isReached((await ask()).codes), { what, deadlineMs: 20_000 });

  await until('a healthy cluster', codes => codes.length === 0);
  const watcher = spawn(
    process.execPath,
    [inClone('bin/dfs'), 'status', cluster.metadata.address, '--watch'],
    { env: cluster.environment, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.teardown(() => watcher.kill('SIGKILL'));
  let watched = '';
  watcher.stdout.on('data', (data: Buffer) => (watched += data.toString()));
  await waitUntil(async () => watched !== '', { what: 'the first line of --watch' });
  await node.kill9();
  await until('NODE_SILENT', codes => codes.includes('NODE_SILENT'));
  await until('NODE_LOST and CHUNKS_LOST', codes =>
    ['NODE_LOST', 'CHUNKS_LOST'].every(code => codes.includes(code)),
  );
  const { code, stdout } = await cluster.run('dfs', ['status', cluster.metadata.address]);
  t.equal(code, ERROR);
  t.match(stdout, /^error +CHUNKS_LOST: /, 'the first line is the worst');
  t.match(stdout, /^warning +NODE_LOST: node 1 is away/m);
  await node.start();
  await until('a healthy cluster again', codes => codes.length === 0);
  t.ok(seen.has('NODE_SILENT'));
  await waitUntil(async () => /Z over NODE_LOST$/m.test(watched), { what: '--watch tells the end' });
  t.match(watched, /Z error CHUNKS_LOST: /);
  const ended = once(watcher, 'exit');
  watcher.kill('SIGINT');
  t.same(await ended, [0, null], 'Ctrl-C ends --watch with exit code 0');
});
