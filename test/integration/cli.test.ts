/** The classic commands as a user types them, with good and bad arguments. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { inClone } from '../support/programs.js';
import { shell, startCluster, waitUntil } from '../support/cluster.js';

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;
/** Nothing listens there. */
const NOBODY = '127.0.0.1:1';

t.test('the classic commands do what they say, and say in one sentence when they cannot', async t => {
  const cluster = await startCluster(t, { dataNodes: 3 });
  const server = cluster.metadata.address;
  const scratch = join(cluster.directory, 'scratch');
  await mkdir(scratch);
  const local = (name: string): string => join(scratch, name);
  const remote = (path: string): string => `${server}:${path}`;
  const copy = async (...parameters: string[]) => await cluster.run('copy', parameters);
  const ls = async (...parameters: string[]) => await cluster.run('ls', parameters);

  /** A command that fails with this exit code, one sentence on standard error and nothing on standard output. */
  const refuses = async (
    program: string,
    parameters: string[],
    code: number,
    sentence: RegExp,
  ): Promise<void> => {
    const outcome = await cluster.run(program, parameters);
    const called = `${program} ${parameters.join(' ')}`;
    t.equal(outcome.code, code, called);
    t.match(outcome.stderr, sentence, called);
    t.equal(outcome.stdout, '', called);
    t.notMatch(outcome.stderr, /\n\s+at /, 'no stack trace for a user');
    const lines = outcome.stderr.trim().split('\n');
    t.ok(lines.length <= (code === WRONG_USAGE ? 2 : 1), `one sentence: ${outcome.stderr}`);
  };

  await t.test('a file goes in and comes out, whatever its size', async t => {
    for (const [name, bytes] of [
      ['empty', 0],
      ['small', 1],
      ['odd', 5_000_001],
      ['large', 40_000_000],
    ] as const) {
      await shell(`head -c ${bytes} /dev/urandom > ${local(name)}`);
      t.equal((await copy(local(name), remote(`/${name}`))).code, DONE);
      t.equal((await copy(remote(`/${name}`), local(`${name}.back`))).code, DONE);
      await shell(`cmp ${local(name)} ${local(name)}.back`);
    }
    const { stdout } = await ls(server);
    t.same(stdout.trim().split('\n'), ['/empty 0', '/large 40000000', '/odd 5000001', '/small 1']);
  });

  await t.test('-p keeps mode and time, and without it the copy is new', async t => {
    await shell(`touch -d '2001-02-03 04:05:06.789' ${local('small')} && chmod 640 ${local('small')}`);
    await copy('-p', local('small'), remote('/kept'));
    await copy('-p', remote('/kept'), local('kept'));
    const [before, after] = await Promise.all([stat(local('small')), stat(local('kept'))]);
    t.equal(after.mode, before.mode);
    t.equal(after.mtimeMs, before.mtimeMs);
  });

  await t.test('-r copies a tree with links, modes, empty directories and odd names', async t => {
    await shell(`
      mkdir -p ${local('tree')}/sub/deep ${local('tree')}/empty
      cd ${local('tree')}
      echo one > one && echo two > 'sub/with space' && echo three > "sub/deep/quote'd"
      printf x > "$(printf 'not-\\377-utf8')"
      ln -s one link && ln -s /nowhere dangling && chmod 750 sub && chmod 400 one`);
    t.equal((await copy('-r', '-p', local('tree'), remote('/tree'))).code, DONE);
    t.equal((await copy('-r', '-p', remote('/tree'), local('tree.back'))).code, DONE);
    const listing = `find . -printf '%P %y %m %l %s\\n' | grep -v '^ ' | sort`;
    t.equal(
      await shell(`cd ${local('tree')} && ${listing.replace('%s', '')}`),
      await shell(`cd ${local('tree.back')} && ${listing.replace('%s', '')}`),
    );
    await shell(`diff -r --no-dereference ${local('tree')} ${local('tree.back')}`);
    await refuses('copy', [local('tree'), remote('/again')], FAILED, /directory.*-r/);
  });

  await t.test('- is standard input and output', async t => {
    const program = inClone('bin/copy');
    const env = cluster.environment;
    await shell(`head -c 3000000 ${local('large')} | ${program} - ${remote('/piped')}`, { env });
    await shell(`${program} ${remote('/piped')} - | cmp - <(head -c 3000000 ${local('large')})`, { env });
    t.equal((await copy(remote('/piped'), '-')).stderr, '', 'no progress bar in a pipe');
  });

  await t.test('a copy into a directory gets the name of its source', async t => {
    t.equal((await copy(local('small'), remote('/tree/'))).code, DONE);
    t.match((await ls(server, '/tree/small')).stdout, /^\/tree\/small 1$/m);
    await mkdir(local('into'));
    t.equal((await copy(remote('/odd'), local('into'))).code, DONE);
    t.same(await readdir(local('into')), ['odd']);
  });

  await t.test('ls shows one file, a directory, everything below, and JSON for programs', async t => {
    t.equal((await ls(server, '/empty')).stdout, '/empty 0\n');
    t.match((await ls(server, '/tree')).stdout, /^\/tree\/one 4$/m);
    t.match((await ls(server, '/tree', '-R')).stdout, /^\/tree\/sub\/with space 4$/m);
    t.match((await ls(server, '/tree', '-l')).stdout, /^-r--------\s+1 .* 4 .*\/tree\/one$/m);
    const entries: unknown = JSON.parse((await ls(server, '/', '-R', '--json')).stdout);
    t.ok(Array.isArray(entries) && entries.length >= 9);
    t.match(entries, { length: Number });
    const [host = ''] = server.split(':');
    await refuses('ls', [`${host}:99999`], WRONG_USAGE, /port/);
    await refuses('ls', [server, '/missing'], FAILED, /there is no \/missing/);
    await refuses('ls', [server, '/small/below'], FAILED, /no directory|not a directory/);
  });

  await t.test('copy refuses what it cannot do, and leaves nothing behind', async t => {
    const before = (await ls(server)).stdout;
    await refuses('copy', [local('missing'), remote('/new')], FAILED, /missing/);
    await refuses('copy', [remote('/missing'), local('new')], FAILED, /missing/);
    await refuses('copy', [local('small'), remote('/odd')], FAILED, /exists/);
    await refuses('copy', [remote('/odd'), local('small')], FAILED, /exists/);
    await refuses('copy', [local('small'), `${NOBODY}:/new`], FAILED, /no metadata server answers at 127/);
    await refuses('copy', [`${NOBODY}:/new`, local('new')], FAILED, /no metadata server answers at 127/);
    await refuses('copy', [local('small'), local('new')], WRONG_USAGE, /SERVER:PORT:PATH/);
    await refuses('copy', [remote('/a'), remote('/b')], WRONG_USAGE, /both are in a DFS/);
    await refuses('copy', [local('small'), 'host:port:/new'], WRONG_USAGE, /port|address/);
    await refuses('copy', [local('small')], WRONG_USAGE, /missing/);
    await refuses('copy', [local('small'), remote('/new'), '--nonsense'], WRONG_USAGE, /nonsense/);
    t.equal((await ls(server)).stdout, before);
    t.notOk((await readdir(scratch)).some(name => name.includes('.dfs-') || name === 'new'));
    t.equal((await copy('--force', local('small'), remote('/odd'))).code, DONE);
    t.match((await ls(server, '/odd')).stdout, /^\/odd 1$/m);
  });

  await t.test('a copy that is interrupted leaves nothing behind', async t => {
    const child = spawn(process.execPath, [inClone('bin/copy'), '-', remote('/interrupted')], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: cluster.environment,
    });
    // What is not taken before the end comes back as EPIPE.
    child.stdin.on('error', () => undefined);
    // The pipe holds 64 KiB: when it has taken all, the copy has read most of it.
    await new Promise<void>(resolve => {
      child.stdin.write(Buffer.alloc(6_000_000, 1), () => resolve());
    });
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number | null];
    t.equal(code, FAILED);
    t.notMatch((await ls(server, '/')).stdout, /interrupted/);
  });

  await t.test('a second createdb, meta-data or data-node on the same place is refused', async t => {
    const database = join(cluster.directory, 'metadata', 'dfs.db');
    await refuses('createdb', ['--db', database], FAILED, /exists|already/);
    await refuses('meta-data', ['0', '--db', database, '--log-level', 'silent'], FAILED, /process \d+/);
    const port = String(cluster.endpoint.port);
    const [node] = cluster.nodes;
    const directory = node?.directory ?? '';
    const quiet = ['--log-level', 'silent'];
    await refuses(
      'data-node',
      ['127.0.0.1', '0', directory, port, ...quiet],
      FAILED,
      /is used by data-node, process \d+/,
    );
    const other = join(cluster.directory, 'other.db');
    t.equal((await cluster.run('createdb', ['--db', other])).code, DONE);
    await refuses('meta-data', [port, '--db', other, ...quiet], FAILED, /already listens/);
    await refuses('meta-data', ['0', '--db', `${other}.none`, ...quiet], FAILED, /createdb/);
    await writeFile(local('text'), 'this is no database, only some text that is long enough');
    await refuses('meta-data', ['0', '--db', local('text'), ...quiet], FAILED, /not a|no .*database/);
    await refuses('meta-data', ['ninety'], WRONG_USAGE, /port/);
    await refuses('data-node', ['127.0.0.1'], WRONG_USAGE, /missing/);
    await refuses('data-node', ['127.0.0.1', '0', local('n'), '1', ...quiet], FAILED, /127\.0\.0\.1:1/);
  });

  await t.test('a key file that is no secret, too short or missing is refused', async () => {
    const key = local('key');
    await writeFile(key, 'a key that is long enough', { mode: 0o644 });
    await refuses('ls', [server, '--key-file', key], FAILED, /chmod 600/);
    await chmod(key, 0o600);
    await refuses('ls', [server, '--key-file', `${key}.none`], FAILED, /there is no key file/);
    await writeFile(local('short'), 'short', { mode: 0o600 });
    await refuses('ls', [server, '--key-file', local('short')], FAILED, /shorter/);
  });

  await t.test('mount refuses what cannot be mounted, in one sentence', async () => {
    const quiet = ['--log-level', 'silent'];
    await refuses('dfs', ['mount', NOBODY, local('mnt'), ...quiet], FAILED, /no metadata server answers/);
    await refuses('dfs', ['mount', NOBODY, local('mnt'), '--background'], FAILED, /no metadata server/);
    await refuses('dfs', ['mount', server, local('small'), ...quiet], FAILED, /not a directory/);
    await refuses('dfs', ['mount', server, local('tree'), ...quiet], FAILED, /not empty/);
    await refuses('dfs', ['mount', server], WRONG_USAGE, /missing/);
    await refuses('dfs', ['mount', server, local('mnt'), '--goal', '9'], WRONG_USAGE, /goal/);
    await refuses(
      'dfs',
      ['mount', server, local('mnt'), '--min-replicas', '0'],
      WRONG_USAGE,
      /number of replicas/,
    );
    await refuses('dfs', ['mount', server, local('mnt'), '--driver', 'none'], WRONG_USAGE, /driver/);
    for (const [option, reason] of [
      ['--cache-size=1000T', /--cache-size 1000T is more than this process can keep/],
      ['--cache-size=1M', /at least 4M/],
      ['--dirty=1', /--dirty has to be at least 4M/],
      ['--dirty=1000T', /more than this process can keep/],
      ['--read-ahead=1000T', /more than this process can keep/],
    ] as const) {
      await refuses('dfs', ['mount', server, local('mnt'), option], WRONG_USAGE, reason);
    }
    await refuses(
      'meta-data',
      ['0', '--cache-size', '1000T'],
      WRONG_USAGE,
      /more than this process can keep/,
    );
    await refuses('dfs', [], WRONG_USAGE, /command/);
    await refuses('dfs', ['frobnicate'], WRONG_USAGE, /frobnicate/);
  });

  await t.test('mount --background returns when the mount can be used, and umount ends it', async t => {
    const mountPoint = local('background');
    const outcome = await cluster.run('dfs', ['mount', server, mountPoint, '--background']);
    t.equal(outcome.code, DONE);
    const pid = Number(/process (\d+)/.exec(outcome.stdout)?.[1]);
    t.ok(pid > 0);
    t.equal(await shell(`cat ${mountPoint}/small | wc -c`), '1');
    const again = await cluster.run('dfs', ['mount', server, mountPoint, '--background']);
    t.equal(again.code, FAILED);
    t.match(again.stderr, /already the mount point/);
    await shell(`umount ${mountPoint}`);
    await waitUntil(async () => (await shell(`kill -0 ${pid} 2>/dev/null && echo yes || true`)) === '', {
      what: 'the process in the background has ended',
    });
  });

  await t.test('nodes shows every node, for people and for programs', async t => {
    const { stdout } = await cluster.run('dfs', ['nodes', server, '--json']);
    const nodes: unknown = JSON.parse(stdout);
    t.match(nodes, [{ state: 'live' }, { state: 'live' }, { state: 'live' }]);
    t.match((await cluster.run('dfs', ['nodes', server])).stdout, /live/);
  });

  await t.test('every executable explains itself, with examples, and tells its version', async t => {
    const { version } = JSON.parse(await readFile(inClone('package.json'), 'utf8')) as { version: string };
    for (const program of ['dfs', 'createdb', 'meta-data', 'data-node', 'copy', 'ls']) {
      const help = await cluster.run(program, ['--help']);
      t.equal(help.code, DONE);
      if (program !== 'dfs') t.match(help.stdout, /Examples:/, program);
      t.equal((await cluster.run(program, ['--version'])).stdout, `${version}\n`);
    }
  });
});
