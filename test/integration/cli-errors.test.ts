/** Commands that cannot do what they are asked to: one sentence on standard error, the right exit code, nothing left. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startCluster } from '../support/cluster.js';
import { environmentFor, shell } from '../support/programs.js';
import { failed, refuse } from '../support/refusals.js';

/** Nothing listens there. */
const NOBODY = '127.0.0.1:1';

async function scratchDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dfs-cli-errors-'));
  t.teardown(async () => await rm(directory, { recursive: true, force: true }));
  await mkdir(join(directory, 'home'));
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
    echo x > x && mkfifo fifo && ln -s /dev/null null && ln -s fifo to-fifo && ln -s nowhere dangling
    mkdir -p tree/sub directory && mkfifo tree/sub/fifo && echo y > tree/sub/y
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
    cd ${mounted}
    echo x > x && mkfifo fifo && ln -s fifo to-fifo && mkdir directory && ln -s loop loop && ln -s directory to-directory`);
    const before = await shell(`ls -l ${scratch} ${mounted}`);
    const here = (name: string): string => `${scratch}/${name}`;
    const there = (name: string): string => `${server}:/${name}`;
    const not = /is a FIFO, which a copy does not replace; - is standard output/;
    const missing = new RegExp(`there is no directory ${scratch}/no(/such)?$`, 'm');

    await refuse(
      t,
      [
        failed(`copy ${there('x')} ${here('fifo')} --force`, not),
        failed(`copy ${there('x')} ${here('fifo')}`, not),
        failed(`copy ${there('x')} ${here('socket')} --force`, /is a socket, which a copy does not replace/),
        failed(`copy ${there('x')} ${here('null')} --force`, /null leads to a device, which a copy does not/),
        failed(
          `copy ${there('x')} ${here('to-fifo')} --force`,
          /to-fifo leads to a FIFO, which a copy does not/,
        ),
        failed(`copy ${there('x')} /dev/null --force`, /\/dev\/null is a device/),
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
        failed(`copy ${here('x')} ${there(`${'n'.repeat(256)}`)}`, /a name in \S+:\/n+ is too long/),
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
