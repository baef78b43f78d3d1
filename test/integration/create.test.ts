/** `dfs create` and `dfs join` without systemd: servers that DFS starts itself, and starts again after the machine was. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { readRecord } from '../../src/cli/services/service-record.js';
import { Namespaces } from '../support/namespaces.js';
import { environmentFor, inClone, runFile, type Outcome } from '../support/programs.js';
import { waitUntil } from '../support/wait-until.js';

const CONTENT = 'There after everything was killed. '.repeat(1000);

/** Two machines, each with a DFS_HOME of its own. */
class Pair {
  readonly directory: string;
  readonly network: Namespaces;
  first = '';

  constructor(directory: string, network: Namespaces) {
    this.directory = directory;
    this.network = network;
  }

  static async start(t: Test): Promise<Pair> {
    const directory = await mkdtemp(join(tmpdir(), 'dfs-create-'));
    t.teardown(async () => await rm(directory, { recursive: true, force: true }));
    const pair = new Pair(directory, await Namespaces.create(t));
    pair.first = await pair.network.addressOf('one');
    await pair.network.addressOf('two');
    t.teardown(async () => {
      for (const machine of ['two', 'one']) await pair.dfs(machine, 'local', 'down');
    });
    return pair;
  }

  homeOf(machine: string): string {
    return join(this.directory, machine);
  }

  async dfs(machine: string, ...parameters: string[]): Promise<Outcome> {
    const [program = '', ...rest] = [...this.network.prefixOf(machine), inClone('bin/dfs'), ...parameters];
    return await runFile(program, rest, { env: { ...environmentFor(this.homeOf(machine)), DFS_NODES: '1' } });
  }

  /** The same, which must succeed; its output. */
  async done(machine: string, ...parameters: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.dfs(machine, ...parameters);
    if (code !== 0) throw new Error(`dfs ${parameters.join(' ')}: ${stderr}`);
    return stdout;
  }
}

t.test(
  'one command a machine: create, join, and everything is there again after a power cut',
  { skip: process.getuid?.() !== 0 && 'only root makes network namespaces' },
  async t => {
    const pair = await Pair.start(t);
    const { directory, first } = pair;
    const dfs = async (machine: string, ...parameters: string[]): Promise<Outcome> =>
      await pair.dfs(machine, ...parameters);
    const done = async (machine: string, ...parameters: string[]): Promise<string> =>
      await pair.done(machine, ...parameters);

    const created = await done('one', 'create', join(directory, 'disk1'));
    const [, joinCommand = ''] = /^On each machine with disks: +dfs (.*)$/m.exec(created) ?? [];
    t.match(joinCommand, new RegExp(`^join dfs://${first}:8000 /srv/dfs --token dfs1-`));
    const [, url = '', , , token = ''] = joinCommand.split(' ');
    const full = join(directory, 'full');
    await mkdir(full);
    await writeFile(join(full, 'mine'), 'mine');
    const refused = await dfs('two', 'join', url, full, '--token', token);
    t.match(refused.stderr, /did not start \(.* not empty \(mine\)/, 'a directory in use is refused');
    t.equal(await readFile(join(full, 'mine'), 'utf8'), 'mine', 'and left as it is');
    t.match(
      await done('two', 'join', url, join(directory, 'disk2')),
      /on port 9000/,
      'the machine is a member by now',
    );
    t.match(
      await done('two', 'join', url, join(directory, 'disk3')),
      /on port 9001/,
      'another disk needs no token',
    );
    const nodes = JSON.parse(await done('one', 'nodes', '--json')) as { state: string }[];
    t.equal(nodes.filter(({ state }) => state === 'live').length, 3);

    const file = join(directory, 'file');
    await writeFile(file, CONTENT);
    await done('one', 'copy', file, `${first}:8000:/file`, '--goal', '3');
    // The power is cut.
    for (const [machine, services] of [
      ['one', ['metadata', 'node']],
      ['two', ['node', 'node-disk3']],
    ] as const) {
      for (const name of services) {
        const record = readRecord(join(pair.homeOf(machine), 'run'), name);
        if (!record) throw new Error(`${name} of ${machine} has no record`);
        process.kill(record.pid, 'SIGKILL');
      }
      await waitUntil(async () => (await dfs(machine, 'local', 'status')).code !== 0, {
        what: `${machine} is off`,
      });
    }
    t.match(
      await done('two', 'local', 'up'),
      /Started node node-disk3/,
      'a machine comes back before the server',
    );
    t.match(await done('one', 'local', 'up'), /Started metadata node/);
    t.equal(await done('one', 'copy', `${first}:8000:/file`, '-'), CONTENT);

    t.match(await done('two', 'leave'), /stopped; its data stays there[^]*no member any more/);
    t.equal((await dfs('two', 'nodes')).code, 1, 'a machine that left is let in no more');
  },
);

t.test(
  'a cluster that was begun for a first look lets other machines in, and shuts them out again',
  { skip: process.getuid?.() !== 0 && 'only root makes network namespaces' },
  async t => {
    const pair = await Pair.start(t);
    const { directory, first } = pair;
    const mountPoint = join(directory, 'mount');
    await pair.done('one', 'local', 'up', mountPoint);
    await writeFile(join(mountPoint, 'file'), CONTENT);
    const away = await pair.dfs('two', 'join', `${first}:8000`, '--token', 'dfs1-AAAA');
    t.equal(away.code, 2, 'without a token there is nothing to join by');

    const exposed = await pair.done('one', 'expose');
    const [, url = '', token = ''] = /mounts: +dfs join (\S+) --token (\S+)$/m.exec(exposed) ?? [];
    t.equal(url, `dfs://${first}:8000`);
    await pair.done('two', 'join', url, '--token', token);
    t.match(
      await pair.done('two', 'nodes'),
      new RegExp(`live.*${first}:`),
      'data nodes are known by the address for others',
    );
    t.equal(await pair.done('two', 'copy', `${first}:8000:/file`, '-'), CONTENT);
    t.equal(await readFile(join(mountPoint, 'file'), 'utf8'), CONTENT, 'the mount went on');

    await pair.done('one', 'expose', '--off');
    t.equal((await pair.dfs('two', 'nodes', '--timeout', '2')).code, 1, 'nobody is let in any more');
    t.equal(await readFile(join(mountPoint, 'file'), 'utf8'), CONTENT);
  },
);
