/** Commands that cannot do what they are asked to: one sentence on standard error, the right exit code, nothing left. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCluster, waitUntil } from '../support/cluster.js';
import { environmentFor, inClone, runFile, shell } from '../support/programs.js';
import { OTHER_USER, whyNotOtherUser } from '../support/other-user.js';
import { failed, misused, refuse } from '../support/refusals.js';

/** Nothing listens there. */
const NOBODY = '127.0.0.1:1';
const isRoot = process.getuid?.() === 0;

async function scratchDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-cli-errors-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, 'home'));
  await writeFile(join(directory, 'home', 'key'), 'a key that is long enough', { mode: 0o600 });
  return directory;
}

t.test('no command tries for ever to make a directory where there can be none', async t => {
  const scratch = await scratchDirectory(t);
  const cannot = /cannot make the directory \/proc\/\S+: \/proc is there, but nothing can be made in it/;
  await refuse(
    t,
    [
      failed('createdb --db /proc/a/b/c', cannot),
      failed('data-node 127.0.0.1 0 /proc/d 1 --log-level silent', cannot),
      failed(`dfs mount ${NOBODY} /proc/foo --log-level silent`, cannot),
      failed(`dfs mount ${NOBODY} ${scratch}/mnt --background --log-file /proc/a/b`, cannot),
      failed('dfs load /etc/passwd --db /proc/x/y', cannot),
      failed(`dfs recover --from ${NOBODY} --db /proc/x/y`, cannot),
    ],
    { env: environmentFor(join(scratch, 'home')) },
  );
});

t.test('dfs join --token - reads the token from standard input', async t => {
  const scratch = await scratchDirectory(t);
  const script = `"$1" join ${NOBODY} --token - < /dev/null`;
  const env = environmentFor(join(scratch, 'home'));
  const { code, stderr } = await runFile('bash', ['-c', script, 'bash', inClone('bin/dfs')], { env });
  t.equal(code, 2);
  t.match(stderr, /give --token, which dfs token create prints/, 'there is none in it');
});

t.test('a command that is called wrongly says what is wrong with which argument', async t => {
  const scratch = await scratchDirectory(t);
  const env = environmentFor(join(scratch, 'home'));
  await refuse(
    t,
    [
      misused("createdb --db ''", /--db is empty/),
      misused('meta-data 0 --host=', /--host is empty/),
      misused("ls --key-file ''", /--key-file is empty/),
      misused(`copy '' ${NOBODY}:/x`, /argument 1 is empty/),
      misused("data-node 127.0.0.1 0 ''", /argument 3 is empty/),
      misused("dfs mount ''", /argument 2 is empty/),
      misused('dfs nosuch', /there is no command 'nosuch'; the commands are create, createdb, /),
      misused('dfs no\u001b[2Jsuch', /there is no command 'no\?\[2Jsuch'/),
      misused('dfs stats', /there is no command 'stats'; did you mean 'dfs status'\?/),
      misused('dfs reb', /did you mean 'dfs rebalance'\?/),
      misused('dfs status --nosuch', /there is no such option or further argument: nosuch/),
      misused(`ls ${NOBODY} /a /b`, /there is no such option or further argument: \/b/),
      misused('dfs mount', /the mount point is missing\n/),
      misused('dfs mount mnt', /the mount point is missing; for the directory mnt, write \.\/mnt/),
      misused(`dfs dump ${NOBODY} --db x`, /give either a server or --db/),
      misused('dfs recover --from x --db y', /'x' has no port/),
    ],
    { env },
  );
  await refuse(t, [misused('dfs status', /DFS_SERVER: 'x' is not a port/)], {
    env: { ...env, DFS_SERVER: 'a:x' },
  });
  await refuse(t, [misused('dfs status', /DFS_PORT: '0' is not a port/)], { env: { ...env, DFS_PORT: '0' } });
});

t.test('files that are missing, of another kind or no dumps are named', async t => {
  const scratch = await scratchDirectory(t);
  await shell(`cd ${scratch} && echo text > text && chmod 600 text && mkdir directory`);
  const at = (name: string): string => `${scratch}/${name}`;
  const quiet = '--log-level silent';
  await refuse(
    t,
    [
      failed(`dfs load ${at('none')} --db ${at('new')}`, /cannot read \S+: there is no \S+\/none$/m),
      failed(`dfs load ${at('directory')} --db ${at('new')}`, /cannot read \S+\/directory: .*directory/),
      failed(`dfs load ${at('text')} --db ${at('new')}`, /line 1 of the dump is not JSON/),
      failed(`dfs load ${at('text')} --db ${at('text/new')}`, /cannot make the directory .*something else/),
      failed(`createdb --db ${at('directory')}`, /exists already/),
      failed(`dfs dump --db ${at('none')}`, /there is no metadata database at/),
      failed(`dfs dump --db ${at('text')}`, /is not a DFS metadata database/),
      failed(`meta-data 0 --db ${at('directory')} ${quiet}`, /cannot be opened|is not/),
      failed(`data-node 127.0.0.1 0 ${at('text')} 1 ${quiet}`, /cannot make the directory .*something else/),
      failed(
        `dfs mount ${NOBODY} ${at('mnt')} --background --log-file ${at('text/log')}`,
        /cannot write the log/,
      ),
      failed(`ls ${NOBODY} --key-file ${at('directory')}`, /not a file/),
      failed(`dfs bench ${at('none')} --quick`, /there is no directory/),
      failed(`dfs bench ${at('text')} --quick`, /is no directory/),
      failed(`dfs goal get ${at('text')}`, /is not in a mounted DFS/),
      failed(`dfs goal get ${at('none')}`, /there is no \S+\/none$/m),
    ],
    { env: environmentFor(join(scratch, 'home')) },
  );
  t.notOk(
    (await readdir(scratch)).some(name => name.startsWith('new')),
    'nothing is left',
  );
});

const skip = isRoot ? false : 'only root mounts';
t.test('a disk that is full or read-only is called so, and nothing is left on it', { skip }, async t => {
  const scratch = await scratchDirectory(t);
  const disk = join(scratch, 'disk');
  const env = environmentFor(join(scratch, 'home'));
  const at = (name: string): string => `${disk}/${name}`;
  const quiet = '--log-level silent';
  await shell(`mkdir ${disk} && mount -t tmpfs -o size=400k none ${disk}`);
  t.teardown(async () => await shell(`umount -l ${disk}`));
  /** Takes all room but so many KiB. */
  const fill = async (roomKiB: number): Promise<void> => {
    await shell(
      `cd ${disk}; head -c ${roomKiB}K /dev/zero > room; cat /dev/zero 2>&1 > filled || true; rm room`,
    );
  };
  await shell(
    `
    ${inClone('bin/createdb')} --db ${at('db')} && ${inClone('bin/dfs')} dump --db ${at('db')} > ${scratch}/dump
    rm ${at('db')}.lock && cp ${at('db')} ${scratch}/db`,
    { env },
  );
  await fill(0);
  const before = await readdir(disk);
  const full = /no space is left on the disk of|the disk of the metadata database \S+ is full/;
  await refuse(
    t,
    [
      failed(`createdb --db ${at('new')}`, full),
      failed(`dfs load ${scratch}/dump --db ${at('loaded')}`, full),
      failed(`meta-data 0 --db ${at('db')} ${quiet}`, full),
      failed(`data-node 127.0.0.1 0 ${at('node')} 1 ${quiet}`, full),
      failed(`dfs bench ${disk} --quick`, /are needed; free some space\n/),
      failed(`dfs bench ${disk}`, /free some space, or try --quick/),
    ],
    { env },
  );
  const made = (await readdir(disk)).filter(name => !before.includes(name));
  t.same(made.toSorted(), ['db.lock', 'node'], 'but empty ones that the next start uses');

  // Room for the lock and a few pages, wherever the rest runs out.
  for (const roomKiB of [8, 16, 40]) {
    await shell(`rm -rf ${disk}/* && cp ${scratch}/db ${at('db')}`);
    await fill(roomKiB);
    await refuse(t, [failed(`meta-data 0 --db ${at('db')} ${quiet}`, full)], { env });
  }

  await shell(`mount -o remount,ro ${disk}`);
  const readOnly = /is on a file system that is mounted read-only/;
  await refuse(
    t,
    [
      failed(`createdb --db ${at('new')}`, readOnly),
      failed(`createdb --db ${at('new/new')}`, readOnly),
      failed(`dfs load ${scratch}/dump --db ${at('loaded')}`, readOnly),
      failed(`dfs recover --from ${NOBODY} --db ${at('recovered')}`, readOnly),
      failed(`meta-data 0 --db ${at('db')} ${quiet}`, readOnly),
      failed(`data-node 127.0.0.1 0 ${at('other')} 1 ${quiet}`, readOnly),
      failed(`dfs mount ${NOBODY} ${at('mnt')} ${quiet}`, readOnly),
      failed(`dfs mount ${NOBODY} ${scratch}/mnt --background --log-file ${at('log')}`, readOnly),
    ],
    { env },
  );
});

t.test('output that cannot be written fails the command, and a reader that has gone does not', async t => {
  const scratch = await scratchDirectory(t);
  const env = environmentFor(join(scratch, 'home'));
  const sh = async (script: string) => await runFile('bash', ['-c', script], { env });
  const full = await sh(`${inClone('bin/dfs')} --help > /dev/full`);
  t.equal(full.code, 1);
  t.equal(full.stderr, 'dfs: no space is left on the disk of standard output\n');
  const created = await sh(`${inClone('bin/createdb')} --db ${scratch}/db > /dev/full`);
  t.equal(created.code, 1);
  t.equal(created.stderr, 'createdb: no space is left on the disk of standard output\n');
  const piped = await sh(`set -o pipefail; ${inClone('bin/dfs')} dump --db ${scratch}/db | true`);
  t.same([piped.code, piped.stderr], [0, '']);
  t.equal((await sh(`${inClone('bin/dfs')} nosuch 2>&-`)).code, 2, 'nobody hears of it');
});

t.test(
  'copy neither replaces nor reads a special file, and says in terms of paths what it cannot do',
  async t => {
    const cluster = await startCluster(t, { dataNodes: 1, goal: 1, mounts: 1 });
    const scratch = await scratchDirectory(t);
    const server = cluster.metadata.address;
    const mounted = cluster.mounts[0]?.mountPoint ?? '';
    const env = environmentFor(join(cluster.directory, 'home'));
    await shell(`
    cd ${scratch}
    echo x > x && mkfifo fifo && ln -s fifo to-fifo && ln -s nowhere dangling
    mkdir -p tree/sub directory && mkfifo tree/sub/fifo && echo y > tree/sub/y
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    cd ${mounted}
    echo x > x && mkfifo fifo && ln -s fifo to-fifo && mkdir directory && ln -s loop loop && ln -s directory to-directory`);
    // Never one of the system's: a copy that went wrong would replace it for everybody.
    if (isRoot) await shell(`cd ${scratch} && mknod device c 1 3 && ln -s device to-device`);
    const devices = [
      failed(`copy ${server}:/x ${scratch}/device --force`, /device is a device, which a copy does not/),
      failed(`copy ${server}:/x ${scratch}/to-device --force`, /to-device leads to a device, which a copy/),
    ];
    const before = await shell(`ls -l ${scratch} ${mounted}`);
    const here = (name: string): string => `${scratch}/${name}`;
    const there = (name: string): string => `${server}:/${name}`;
    const not = /is a FIFO, which a copy does not replace; - is standard output/;
    const missing = new RegExp(`there is no directory ${scratch}/no(/such)?$`, 'm');

    await refuse(
      t,
      [
        ...(isRoot ? devices : []),
        failed(`copy ${there('x')} ${here('fifo')} --force`, not),
        failed(`copy ${there('x')} ${here('fifo')}`, not),
        failed(`copy ${there('x')} ${here('socket')} --force`, /is a socket, which a copy does not replace/),
        failed(
          `copy ${there('x')} ${here('to-fifo')} --force`,
          /to-fifo leads to a FIFO, which a copy does not/,
        ),
        failed(`copy ${here('x')} ${there('fifo')} --force`, not),
        failed(`copy ${here('x')} ${there('to-fifo')} --force`, /leads to a FIFO/),
        failed(
          `copy ${here('fifo')} ${there('new')}`,
          /fifo is a FIFO, which is not copied; - is standard input/,
        ),
        failed(`copy ${here('to-fifo')} ${there('new')}`, /is a FIFO, which is not copied/),
        failed(`copy /dev/zero ${there('new')}`, /\/dev\/zero is a device, which is not copied/),
        failed(`copy ${there('fifo')} ${here('new')}`, /is a FIFO, which is not copied/),
        failed(`copy ${there('fifo')} -`, /is a FIFO, which is not copied/),
        failed(`copy ${there('x')} ${here('no/such/x')}`, missing),
        failed(`copy ${there('x')} ${here('no/x')}`, missing),
        failed(`copy ${there('x')} ${here('x/below')}`, /\/x\/below is no directory/),
        failed(`copy ${there('x')} ${here('dangling/')}`, /there is no directory .*dangling/),
        failed(`copy ${here('x')} ${there('x/below')}`, /\/x\/below is no directory/),
        failed(
          `copy ${here('x')} ${there('x/below/new')}`,
          /a name in the middle of \S+:\/x\/below\/new is no directory/,
        ),
        failed(`copy ${here('x')} ${there('loop')}`, /too many symbolic links on the way to \S+:\/loop/),
        failed(`copy ${here('x')} ${there('n'.repeat(256))}`, /a name in \S+:\/n+ is too long/),
        failed(`copy ${there('x')} ${here('n'.repeat(256))}`, /the name \S+n is too long/),
        failed(`copy ${here('directory')} ${there('new')}`, /is a directory; -r copies it/),
        failed(`copy -r ${here('directory')} ${there('x')} --force`, /exists already/),
        failed(`copy -r ${there('directory')} ${here('x')} --force`, /exists already/),
      ],
      { env },
    );
    t.equal(await shell(`ls -l ${scratch} ${mounted}`), before, 'and everything is as it was');

    t.equal((await cluster.run('copy', [here('x'), there('to-directory/new')])).code, 0);
    t.equal(await shell(`cat ${mounted}/directory/new`), 'x', 'through a symbolic link');

    const tree = await cluster.run('copy', ['-r', here('tree'), there('tree')]);
    t.equal(tree.code, 1);
    t.match(
      tree.stderr,
      /left out \S+\/tree\/sub\/fifo: it is a FIFO\n.*everything was copied but the 1 left out/,
    );
    t.equal(await shell(`cat ${mounted}/tree/sub/y`), 'y');

    t.equal((await cluster.run('copy', [there('x'), here('dangling'), '--force'])).code, 0);
    t.equal(await shell(`cd ${scratch}; test ! -L dangling && test ! -e nowhere && cat dangling`), 'x');
  },
);

t.test('what a user may not do is said of the path, and never of an inode', async t => {
  const whyNot = await whyNotOtherUser();
  if (whyNot !== undefined) {
    t.comment(`skipped: ${whyNot}`);
    return;
  }
  const cluster = await startCluster(t, { dataNodes: 1, goal: 1, mounts: 1 });
  const scratch = await scratchDirectory(t);
  const home = join(cluster.directory, 'home');
  const mounted = cluster.mounts[0]?.mountPoint ?? '';
  const there = (path: string): string => `${cluster.metadata.address}:${path}`;
  const key = join(scratch, 'key');
  await shell(`
    chown ${OTHER_USER}:${OTHER_USER} ${scratch} && cd ${mounted} && mkdir -p closed/below open/closed && echo x > x
    chmod 700 closed open/closed && chmod 600 x && echo y > ${scratch}/y && chmod 644 ${scratch}/y
    if test -e ${home}/key; then cp ${home}/key ${key} && chown ${OTHER_USER} ${key}; fi`);
  const own = { ...environmentFor(scratch), ...(existsSync(key) ? { DFS_KEY_FILE: key } : {}) };
  const denied = (path: string): RegExp =>
    new RegExp(`you may not do this with \\S*${path}[ ;].*permissions`);
  await refuse(
    t,
    [
      failed(`copy ${there('/x')} ${scratch}/new`, denied('/x')),
      failed(`copy ${there('/x')} -`, denied('/x')),
      failed(`copy ${scratch}/y ${there('/new')}`, denied('/new')),
      failed(`copy ${scratch}/y ${there('/closed/new')}`, denied('/closed/new')),
      failed(`copy ${scratch}/y ${there('/open/made/new')}`, denied('/open/made')),
      failed(`copy -r ${there('/closed')} ${scratch}/new`, denied('/closed')),
      failed(`copy -r ${there('/open')} ${scratch}/new`, denied('/open/closed')),
      failed(`ls ${cluster.metadata.address} /closed`, denied('/closed')),
      failed(`ls ${cluster.metadata.address} /closed/below`, denied('/closed/below')),
      failed(
        `dfs goal set 1 ${there('/x')}`,
        /\/x belongs to user 0, not 65534|you may not do this with \S+\/x/,
      ),
      failed(
        `dfs goal set 1 ${there('/open')} -r`,
        /\/open belongs to user 0|you may not do this with \S+\/open/,
      ),
      failed(`dfs goal get ${there('/closed/below')}`, denied('/closed/below')),
    ],
    { env: own, isOtherUser: true },
  );
  t.same(
    (await readdir(scratch)).filter(name => name !== 'key'),
    ['home', 'y'],
    'and nothing is left',
  );
});

t.test('Ctrl-C ends a command with a sentence in every phase, and nothing is left', async t => {
  const scratch = await scratchDirectory(t);
  const env = environmentFor(join(scratch, 'home'));
  /** A server that takes connections and never answers. */
  const silent = createServer();
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const address = silent.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  t.teardown(() => silent.close());

  const interrupt = async (call: string, isReady: () => Promise<unknown>, says: RegExp): Promise<void> => {
    const [program = '', ...parameters] = call.split(' ');
    const command = ['--unset=NODE_OPTIONS', process.execPath, inClone(`bin/${program}`), ...parameters];
    const child = spawn('env', command, { env, stdio: ['pipe', 'ignore', 'pipe'] });
    t.teardown(() => child.kill('SIGKILL'));
    const ended = once(child, 'close');
    let stderr = '';
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
    await isReady();
    child.kill('SIGINT');
    const [code] = (await ended) as [number | null];
    t.equal(code, 1, call);
    t.match(stderr, says, call);
  };
  const isConnected = async (): Promise<void> => {
    const [socket] = (await once(silent, 'connection')) as [Socket];
    // What the process sends when it is killed is not read.
    socket.on('error', () => undefined);
  };
  const server = `127.0.0.1:${port}`;
  const only = (sentence: string): RegExp => new RegExp(`^${sentence}\\n$`);
  await interrupt(`ls ${server}`, isConnected, only('ls: interrupted'));
  await interrupt(`dfs fsck ${server}`, isConnected, only('dfs fsck: interrupted'));
  await interrupt(`copy - ${server}:/x`, isConnected, only('copy: interrupted'));
  await interrupt(
    `dfs mount ${server} ${scratch}/mnt --log-level silent`,
    isConnected,
    only('dfs mount: interrupted before anything was mounted'),
  );
  const isLoading = async (): Promise<void> =>
    await waitUntil(async () => (await readdir(scratch)).some(name => name.startsWith('new.')), {
      what: 'the database is being made',
    });
  await interrupt(`dfs load - --db ${scratch}/new`, isLoading, only('dfs load: interrupted'));
  t.notOk(
    (await readdir(scratch)).some(name => name.startsWith('new')),
    'the half database is gone',
  );
});
