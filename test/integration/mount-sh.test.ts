/** mount.sh and `dfs local`: from nothing to a mounted file system, and back, with everything still there the next time. */
import { spawn } from 'node:child_process';
import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  readlink,
  realpath,
  rm,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseMountTable } from '../../src/fuse/mount-table.js';
import { AS_OTHER_USER, whyNotOtherUser } from '../support/other-user.js';
import { environmentFor, inClone, inSharedClone, runFile, shell, type Outcome } from '../support/programs.js';

const TIMEOUT_MS = 150_000;
/** `name pid address directory`, as `--status` prints it. */
const STATUS_LINE = /^(\S+) +(\S+) +(\S+) +(.+)$/;

interface StatusLine {
  readonly name: string;
  readonly pid: string;
  readonly address: string;
  readonly directory: string;
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === 'object' && address) resolve(address.port);
        else reject(new Error('no port is free'));
      });
    });
  });
}

/** A cluster that mount.sh runs, in a temporary directory. */
class ScriptedCluster {
  readonly directory: string;
  readonly home: string;
  readonly mountPoint: string;
  readonly port: number;

  constructor(directory: string, port: number) {
    this.directory = directory;
    this.home = join(directory, 'home');
    // A blank and a letter beyond ASCII, because somebody will have them.
    this.mountPoint = join(directory, 'mount pöint');
    this.port = port;
  }

  async mountSh(parameters: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return await this.#run('mount.sh', parameters, env);
  }

  /** `dfs local`, as mount.sh calls it in the end. */
  async local(parameters: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return await this.#run('bin/dfs', ['local', ...parameters], env);
  }

  /** Brings it up, which must succeed. */
  async up(env: NodeJS.ProcessEnv = {}): Promise<string> {
    const { code, stdout, stderr } = await this.local(['up', this.mountPoint], env);
    if (code !== 0) throw new Error(`dfs local ended with exit code ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  async down(): Promise<Outcome> {
    return await this.local(['down', this.mountPoint]);
  }

  async status(): Promise<{ readonly code: number; readonly lines: readonly StatusLine[] }> {
    const { code, stdout } = await this.local(['status']);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map(line => {
        const [, name = '', pid = '', address = '', directory = ''] = STATUS_LINE.exec(line) ?? [];
        return { name, pid, address, directory };
      });
    return { code, lines };
  }

  /** name → process id */
  async pids(): Promise<ReadonlyMap<string, number>> {
    const { lines } = await this.status();
    return new Map(lines.map(({ name, pid }) => [name, Number(pid)]));
  }

  async kill9(name: string): Promise<void> {
    const pid = (await this.pids()).get(name);
    if (pid === undefined || !Number.isSafeInteger(pid)) throw new Error(`${name} does not run`);
    process.kill(pid, 'SIGKILL');
  }

  async isMounted(): Promise<boolean> {
    const table = parseMountTable(await readFile('/proc/self/mountinfo', 'utf8'));
    return table.some(({ mountPoint }) => mountPoint === this.mountPoint);
  }

  async write(name: string, text: string): Promise<void> {
    await shell('printf %s "$TEXT" > "$FILE"', { env: { ...process.env, ...this.#file(name), TEXT: text } });
  }

  async read(name: string): Promise<string> {
    return await shell('cat -- "$FILE"', { env: { ...process.env, ...this.#file(name) } });
  }

  /** Leaves nothing behind, also when mount.sh does not do what it should. */
  async remove(): Promise<void> {
    await this.down().catch(() => undefined);
    const run = join(this.home, 'run');
    for (const name of await readdir(run).catch((): string[] => [])) {
      if (!name.endsWith('.process')) continue;
      const [pid = ''] = (await readFile(join(run, name), 'utf8')).split(' ');
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (command.includes(this.directory) || command.includes(`127.0.0.1:${this.port}`)) {
        process.kill(Number(pid), 'SIGKILL');
      }
    }
    if (await this.isMounted()) {
      const env = { ...process.env, MOUNT_POINT: this.mountPoint };
      await shell('umount -l -- "$MOUNT_POINT" || fusermount -uz -- "$MOUNT_POINT"', { env });
    }
    if (await this.isMounted()) throw new Error(`${this.mountPoint} could not be unmounted and is left`);
    await rm(this.directory, { recursive: true, force: true });
  }

  async #run(program: string, parameters: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
    return await runFile(inClone(program), parameters, {
      timeoutMs: TIMEOUT_MS,
      env: { ...environmentFor(this.home), DFS_PORT: String(this.port), ...env },
    });
  }

  #file(name: string): { readonly FILE: string } {
    return { FILE: join(this.mountPoint, name) };
  }
}

async function newCluster(t: Test): Promise<ScriptedCluster> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-mount-sh-')));
  const cluster = new ScriptedCluster(directory, await freePort());
  t.teardown(async () => await cluster.remove());
  return cluster;
}

/** Fields 3, the state, and on of proc_pid_stat(5); undefined when there is no such process. */
async function processFields(pid: number): Promise<string[] | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

async function sessionOf(pid: number): Promise<number> {
  return Number((await processFields(pid))?.at(3));
}

async function hasEnded(pid: number): Promise<boolean> {
  const state = (await processFields(pid))?.at(0);
  // A zombie has ended; in some containers nobody collects them.
  return state === undefined || state === 'Z' || state === 'X';
}

t.test('a cluster goes up, is looked at, repaired and goes down, and keeps its files', async t => {
  const cluster = await newCluster(t);
  const names = ['metadata', 'node1', 'node2', 'mount'];

  await t.test('down and status before there is anything', async t => {
    const down = await cluster.mountSh(['--down']);
    t.equal(down.code, 0);
    t.match(down.stdout, /Nothing runs/);
    t.equal((await cluster.status()).code, 1);
  });

  await t.test('up says where things are, and status tells a line for each process', async t => {
    const up = await cluster.mountSh([cluster.mountPoint], { DFS_NODES: '2' });
    t.equal(up.code, 0, up.stderr);
    const shown = [cluster.mountPoint, cluster.home, join(cluster.home, 'log'), './mount.sh --down'];
    for (const part of shown) t.ok(up.stdout.includes(part), `tells ${part}`);
    const { code, lines } = await cluster.status();
    t.equal(code, 0);
    t.equal((await cluster.mountSh(['--status'])).code, 0);
    t.same(
      lines.map(({ name }) => name),
      names,
    );
    for (const { name, pid, address, directory } of lines) {
      t.equal(directory, name === 'mount' ? cluster.mountPoint : join(cluster.home, name));
      if (name.startsWith('node')) t.match(address, /^127\.0\.0\.1:\d+$/);
      else t.equal(address, `127.0.0.1:${cluster.port}`);
      t.equal(await sessionOf(Number(pid)), Number(pid), `${name} survives the terminal`);
    }
    t.ok(await cluster.isMounted());
    await cluster.write('first', 'kept');
  });

  await t.test(
    'servers and mount run on the Node that this test runs on, not on an older one of the system',
    async t => {
      t.ok(Number.parseInt(process.versions.node, 10) >= (process.env['DFS_NODE'] === undefined ? 24 : 22));
      const programs = new Map([
        ['metadata', 'meta-data'],
        ['mount', 'dfs'],
      ]);
      for (const [name, pid] of await cluster.pids()) {
        t.equal(await readlink(`/proc/${pid}/exe`), await realpath(process.execPath), name);
        t.equal(
          await readFile(`/proc/${pid}/comm`, 'utf8'),
          `${programs.get(name) ?? 'data-node'}\n`,
          'as ps shows it',
        );
      }
    },
  );

  await t.test('up again does nothing twice, also when two do it at once', async t => {
    const before = await cluster.pids();
    const [first, second] = await Promise.all([cluster.up(), cluster.up()]);
    t.match(first, /runs already/);
    t.match(first, /stop +.*dfs local down$/m);
    t.match(second, /runs already/);
    t.same(await cluster.pids(), before);
  });

  await t.test('what was killed is started again, at the same address', async t => {
    const before = await cluster.status();
    await cluster.kill9('node2');
    await cluster.kill9('mount');
    const broken = await cluster.status();
    t.equal(broken.code, 1);
    t.same(
      broken.lines.filter(({ pid }) => pid === '-').map(({ name }) => name),
      ['node2', 'mount'],
    );
    await cluster.up();
    const after = await cluster.status();
    t.equal(after.code, 0);
    for (const [index, { name, address, pid }] of after.lines.entries()) {
      t.equal(address, before.lines[index]?.address);
      if (name !== 'node2' && name !== 'mount') t.equal(pid, before.lines[index]?.pid, `${name} went on`);
    }
    t.equal(await cluster.read('first'), 'kept');
  });

  await t.test('all servers killed at once are a pause for the mount', async t => {
    for (const name of ['node2', 'node1', 'metadata']) await cluster.kill9(name);
    await cluster.up();
    t.equal((await cluster.status()).code, 0);
    await cluster.write('second', 'kept as well');
    t.equal(await cluster.read('first'), 'kept');
  });

  await t.test('a mount that somebody unmounted comes back', async t => {
    await shell('umount -- "$MOUNT_POINT" || fusermount -u -- "$MOUNT_POINT"', {
      env: { ...process.env, MOUNT_POINT: cluster.mountPoint },
    });
    t.equal((await cluster.status()).code, 1);
    await cluster.up();
    t.equal(await cluster.read('second'), 'kept as well');
  });

  await t.test('another mount point or port than that which runs is refused', async t => {
    const elsewhere = join(cluster.directory, 'elsewhere');
    const up = await cluster.local(['up', elsewhere]);
    t.equal(up.code, 1);
    t.match(up.stderr, /is mounted at .*mount pöint already/);
    const down = await cluster.local(['down', elsewhere]);
    t.equal(down.code, 1);
    t.match(down.stderr, /nothing was stopped/);
    const port = await cluster.local(['up', cluster.mountPoint], { DFS_PORT: String(await freePort()) });
    t.equal(port.code, 1);
    t.match(port.stderr, /stop it first/);
    t.equal((await cluster.status()).code, 0);
  });

  await t.test(
    'down stops exactly these processes; up brings the files back, with one node more',
    async t => {
      const before = await cluster.pids();
      const bystander = await newCluster(t);
      await bystander.up({ DFS_NODES: '1', DFS_GOAL: '1' });
      await bystander.write('other', 'cluster');
      const { code, stderr } = await cluster.mountSh(['--down']);
      t.equal(code, 0, stderr);
      t.notOk(await cluster.isMounted());
      for (const [name, pid] of before) {
        t.ok(await hasEnded(pid), `${name} has ended`);
      }
      t.equal((await cluster.status()).code, 1);
      t.equal((await cluster.local(['down'])).code, 0, 'down again');
      t.equal((await bystander.status()).code, 0, 'the other cluster runs, all of it');
      t.same([...(await bystander.pids()).keys()], ['metadata', 'node1', 'mount']);
      t.equal(await bystander.read('other'), 'cluster');

      await cluster.up({ DFS_NODES: '3' });
      const { code: upCode, lines } = await cluster.status();
      t.equal(upCode, 0);
      t.same(
        lines.map(({ name }) => name),
        ['metadata', 'node1', 'node2', 'node3', 'mount'],
      );
      t.equal(await cluster.read('first'), 'kept');
      t.equal(await cluster.read('second'), 'kept as well');
    },
  );

  await t.test('down takes a dead mount away too', async t => {
    await cluster.kill9('mount');
    const { code, stderr } = await cluster.down();
    t.equal(code, 0, stderr);
    t.notOk(await cluster.isMounted());
  });
});

t.test('a start that fails says why, and leaves what it can', async t => {
  const cluster = await newCluster(t);
  const occupied = await cluster.local(['up', '/proc']);
  t.equal(occupied.code, 1);
  t.match(occupied.stderr, /\/proc is already the mount point of proc/);
  t.equal((await cluster.local(['down'])).code, 0);

  const server = createServer();
  await new Promise<void>(resolve => {
    server.listen(cluster.port, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const taken = await cluster.mountSh([cluster.mountPoint]);
  t.equal(taken.code, 1);
  t.match(taken.stderr, /metadata did not start/);
  t.match(taken.stderr, new RegExp(String(cluster.port)), 'the log says which port is taken');
  t.notMatch(taken.stderr, /^ {2}\{"/m, 'and says it for people');
});

t.test('wrong usage is exit code 2 and says what is wrong', async t => {
  const cluster = await newCluster(t);
  const cases: readonly [readonly string[], NodeJS.ProcessEnv, RegExp][] = [
    [['--up'], {}, /no option --up/],
    [['a', 'b'], {}, /one mount point/],
    [[''], {}, /mount point is empty/],
    [['--down', '--status'], {}, /one of --down and --status/],
    [['--status', 'a'], {}, /takes no mount point/],
    [[], { DFS_PORT: '0' }, /^mount\.sh: DFS_PORT is '0'; give a number from 1 to 65535\n/],
  ];
  for (const [parameters, env, message] of cases) {
    const { code, stdout, stderr } = await cluster.mountSh(parameters, env);
    t.equal(code, 2, [...parameters, JSON.stringify(env)].join(' '));
    t.equal(stdout, '');
    t.match(stderr, message);
  }
  const help = await cluster.mountSh(['--help']);
  t.equal(help.code, 0);
  t.match(help.stdout, /DFS_HOME/);
  t.same(await readdir(cluster.directory), [], 'and nothing was made');
});

t.test(
  'the cluster of another user is looked at as far as that may be, and otherwise a sentence says whose it is',
  async t => {
    const whyNot = await whyNotOtherUser();
    if (whyNot !== undefined) {
      t.comment(`skipped: ${whyNot}`);
      return;
    }
    const cluster = await newCluster(t);
    const run = join(cluster.home, 'run');
    await mkdir(run, { recursive: true });
    await chmod(cluster.directory, 0o755);
    // In the place of a server; the cluster's end is its end, too.
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    t.teardown(() => child.kill());
    const pid = child.pid ?? 0;
    const started = (await processFields(pid))?.at(19) ?? '';
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const record = `${pid} ${started} ${boot} 0\n127.0.0.1:${cluster.port}\n${cluster.home}/metadata\n`;
    await writeFile(join(run, 'metadata.process'), record);
    const script = inSharedClone('mount.sh');
    const askedBy = async (parameters: string, before = ''): Promise<Outcome> => {
      const user = AS_OTHER_USER.join(' ');
      const env = { ...environmentFor(cluster.home), DFS_NODES: '1' };
      return await runFile('unshare', ['-m', 'sh', '-c', `${before} exec ${user} ${script} ${parameters}`], {
        env,
      });
    };
    const open = await askedBy('--status');
    t.match(open.stdout, new RegExp(`^metadata +${pid} `), 'what runs is said to run');
    t.match(open.stderr, /node1 does not run/);
    t.notMatch(open.stderr, /metadata/);
    const hidden = await askedBy('--status', 'mount -t proc -o hidepid=2 proc /proc;');
    t.match(hidden.stderr, new RegExp(`process ${pid}, which may be metadata, is hidden from`));

    const refused = async (parameters: string, what: string): Promise<void> => {
      const { code, stdout, stderr } = await askedBy(parameters);
      t.same([code, stdout], [1, ''], parameters);
      t.match(
        stderr,
        new RegExp(`^mount\\.sh: .* belongs to root, and \\S+ may not ${what} what is in it; .*\\n$`),
      );
    };
    await refused('--down', 'change');
    await refused(join(cluster.directory, 'mnt'), 'change');
    for (const closed of [join(run, 'metadata.process'), run, cluster.home]) {
      await chmod(closed, 0o600);
      await refused('--status', 'read');
      await chmod(closed, 0o755);
    }
  },
);
