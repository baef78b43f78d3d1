/** What mount.sh installs and builds before it hands over to `dfs local`: what is missing or has changed, and nothing else. */
import { appendFile, chmod, cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { environmentFor, inClone, runFile, shell, type Outcome } from '../support/programs.js';

/** In the place of npm: notes what it was called for, and makes what npm would leave. */
const NPM = `#!/bin/sh
echo "$*" >>"$NPM_CALLS"
case $1 in
  ci)
    [ -z "$NPM_FAILS" ] || { echo 'npm error nothing is right'; exit 1; }
    mkdir -p node_modules/.dfs node_modules/better-sqlite3 node_modules/fuse-native
    echo 'module.exports = class {};' >node_modules/better-sqlite3/index.js
    : >node_modules/fuse-native/index.js
    ln -sf "$NODE_OF_TEST" node_modules/.dfs/node
    cp package-lock.json node_modules/.dfs/
    ;;
  install)
    mkdir -p "$3/node_modules/.bin"
    : >"$3/node_modules/.bin/esbuild"
    chmod +x "$3/node_modules/.bin/esbuild"
    ;;
  run)
    mkdir -p build/bundle/bin
    echo 'export const main = () => console.log(JSON.stringify(process.argv.slice(2)));' >build/bundle/bin/main.js
    touch build/.built
    ;;
esac
`;
const CI = 'ci --no-audit --no-fund --omit=dev';
const BUNDLE = 'run bundle';

class Clone {
  readonly directory: string;
  readonly #calls: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(directory: string) {
    this.directory = join(directory, 'clone');
    this.#calls = join(directory, 'calls');
    const { DFS_NODE: _node, ...env } = environmentFor(join(directory, 'home'));
    const path = `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`;
    this.#env = { ...env, NPM_CALLS: this.#calls, NODE_OF_TEST: process.execPath, NPM_FAILS: '', PATH: path };
  }

  /** Runs mount.sh, and returns what it called npm for. */
  async mountSh(env: NodeJS.ProcessEnv = {}): Promise<Outcome & { readonly calls: readonly string[] }> {
    await writeFile(this.#calls, '');
    const outcome = await runFile(join(this.directory, 'mount.sh'), ['/some where'], {
      env: { ...this.#env, ...env },
    });
    const calls = (await readFile(this.#calls, 'utf8')).split('\n').slice(0, -1);
    return { ...outcome, calls };
  }
}

async function makeClone(test: Test): Promise<Clone> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'dfs-mount-sh-build-')));
  test.teardown(async () => await rm(directory, { recursive: true, force: true }));
  const clone = new Clone(directory);
  await mkdir(join(clone.directory, 'src', 'sub', 'deep'), { recursive: true });
  await cp(inClone('bin'), join(clone.directory, 'bin'), { recursive: true });
  for (const name of ['mount.sh', 'package.json', 'package-lock.json', 'tsconfig.json'])
    await cp(inClone(name), join(clone.directory, name));
  for (const name of ['a.ts', 'b.ts', 'sub/c.ts', 'sub/deep/d.ts'])
    await writeFile(join(clone.directory, 'src', name), '');
  await mkdir(join(directory, 'bin'));
  await writeFile(join(directory, 'bin', 'npm'), NPM);
  await chmod(join(directory, 'bin', 'npm'), 0o755);
  return clone;
}

t.test('mount.sh installs and builds what is missing or has changed, and hands over', async t => {
  const clone = await makeClone(t);
  const first = await clone.mountSh();
  t.equal(first.code, 0, first.stderr);
  t.equal(first.stdout.split('\n').at(-2), JSON.stringify(['local', 'up', '/some where']), 'it hands over');
  const [ci, esbuild = '', bundle, ...more] = first.calls;
  t.same([ci, bundle, more], [CI, BUNDLE, []]);
  const lock = JSON.parse(await readFile(inClone('package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly version: string }>>;
  };
  const version = lock.packages['node_modules/esbuild']?.version;
  t.match(esbuild, new RegExp(`^install .*esbuild@${version}$`), 'the bundler that the lock file names');
  t.same((await clone.mountSh()).calls, [], 'nothing changed');

  const changes: readonly (readonly [string, string])[] = [
    ['package.json changed', 'echo >> package.json'],
    ['the lock file is newer', 'touch package-lock.json'],
    ['tsconfig.json changed', 'touch tsconfig.json'],
    ['a source changed', 'echo >> src/sub/deep/d.ts'],
    ['a source is gone', 'rm src/b.ts'],
    ['a directory of sources is gone', 'rm -r src/sub/deep'],
    ['an older source came in the place of another', 'touch -d 2001-02-03 ../old && mv ../old src/a.ts'],
  ];
  for (const [what, change] of changes) {
    await shell(change, { cwd: clone.directory });
    t.same((await clone.mountSh()).calls, [BUNDLE], what);
  }

  await appendFile(join(clone.directory, 'package-lock.json'), '\n');
  t.same((await clone.mountSh()).calls, [CI, BUNDLE], 'what the lock file says changed');
  await writeFile(join(clone.directory, 'node_modules/fuse-native/index.js'), 'throw new Error();');
  t.same((await clone.mountSh()).calls, [CI], 'a native module does not load');
  await mkdir(join(clone.directory, 'node_modules/typescript'));
  await appendFile(join(clone.directory, 'package-lock.json'), '\n');
  t.same(
    (await clone.mountSh()).calls,
    ['ci --no-audit --no-fund', BUNDLE],
    "a developer's packages are not taken away",
  );
});

t.test('a step that fails says what it was, the cause, and where the rest is', async t => {
  const clone = await makeClone(t);
  const { code, stderr } = await clone.mountSh({ NPM_FAILS: 'yes' });
  t.equal(code, 1);
  t.match(stderr, /npm error nothing is right\n/);
  t.match(stderr, /^mount\.sh: this failed: Installing Node packages .*clone\/build\.log$/m);
});

t.test('a DFS_NODE that is of no use is told before anything is installed', async t => {
  const clone = await makeClone(t);
  const { code, stderr, calls } = await clone.mountSh({ DFS_NODE: '/bin/true' });
  t.same([code, calls], [1, []]);
  t.match(stderr, /^mount\.sh: DFS_NODE is '\/bin\/true', which does not run as Node/);
});
