/** Users other than root mount by fusermount3 and the kernel driver. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { findMount } from '../../src/fuse/mount-table.js';
import { inSharedClone } from '../support/programs.js';
import { shell, startCluster } from '../support/cluster.js';
import { nextOutput } from '../support/next-output.js';
import { withOpenFuseDevice } from '../support/open-fuse-device.js';

/** nobody: fusermount3 asks that the user has a name. */
const USER = 65_534;
const LONG = { timeout: 120_000 };
/** Without tap, which would fail there for want of permission before the program does. */
const AS_USER = `setpriv --reuid=${USER} --regid=${USER} --clear-groups -- /usr/bin/env`;
const tree = inSharedClone('src');

if (withOpenFuseDevice(fileURLToPath(import.meta.url))) defineTests();

function defineTests(): void {
  t.test('a user other than root mounts, works there and unmounts', LONG, async t => {
    const cluster = await startCluster(t, { dataNodes: 1, mounts: 1 });
    const [rootMount] = cluster.mounts;
    if (!rootMount) throw new Error('a mount was asked for');
    await shell(`mkdir -m 777 ${rootMount.mountPoint}/home && chmod 755 ${cluster.directory}`);
    const scratch = join(cluster.directory, 'scratch');
    await mkdir(scratch, { mode: 0o777 });
    await shell(`chmod 777 ${scratch}`);
    let mount = await cluster.addMount([], USER);
    const first = mount;
    const { mountPoint } = mount;
    const withKey = `${AS_USER} DFS_KEY_FILE=${await cluster.roleKey('client', USER)}`;

    await t.test('auto takes the kernel driver', async t => {
      t.match(await readFile(mount.logPath, 'utf8'), /"driver":"kernel"/);
      const entry = await findMount(mountPoint);
      t.equal(entry?.type, 'fuse.dfs');
      t.equal(entry?.source, `dfs@${cluster.metadata.address}`);
      t.match(await shell(`grep ' ${mountPoint} ' /proc/mounts`), /nosuid,nodev.*default_permissions/);
    });

    await t.test('files go in and out as the user, and others are kept out', async t => {
      await shell(`
      ${AS_USER} cp -r ${tree} ${mountPoint}/home/tree
      ${AS_USER} cp -r ${mountPoint}/home/tree ${scratch}/tree
      diff -r ${tree} ${scratch}/tree
      diff -r ${tree} ${rootMount.mountPoint}/home/tree`);
      t.equal(await shell(`stat -c '%u %g' ${rootMount.mountPoint}/home/tree`), `${USER} ${USER}`);
      await t.rejects(shell(`${AS_USER} touch ${mountPoint}/forbidden`), /Permission denied/);
      await t.rejects(readdir(mountPoint), { code: 'EACCES' }, 'no allow_other: not even root looks in');
    });

    await t.test('another process of the user takes the mount over', async t => {
      mount = await cluster.takeOver(first, [], USER);
      t.equal(await first.exited(), 0);
      t.equal(
        await shell(`${AS_USER} sh -c 'echo on > ${mountPoint}/home/on && cat ${mountPoint}/home/on'`),
        'on',
      );
    });

    await t.test('without a mount the servers refuse what a kernel would refuse', async t => {
      const { address } = cluster.metadata;
      const [ls, copy] = [inSharedClone('bin/ls'), inSharedClone('bin/copy')];
      await shell(`
      mkdir -m 700 ${rootMount.mountPoint}/private
      echo secret > ${rootMount.mountPoint}/private/file
      echo open > ${rootMount.mountPoint}/readable && chmod 644 ${rootMount.mountPoint}/readable`);
      const refused = async (command: string): Promise<void> =>
        void (await t.rejects(shell(`${withKey} ${command}`), /may not do this/, command));
      await refused(`${ls} ${address} /private`);
      await refused(`${ls} ${address} /private/file`);
      await refused(`${ls} ${address}`);
      await refused(`${copy} ${address}:/private/file -`);
      await refused(`${copy} ${tree}/cli/main.ts ${address}:/forbidden`);
      await refused(`${copy} -f ${tree}/cli/main.ts ${address}:/readable`);
      t.equal(await shell(`${withKey} ${copy} ${address}:/readable -`), 'open');
      await shell(`${withKey} ${copy} ${tree}/cli/main.ts ${address}:/home/main.ts`);
      t.equal(await shell(`stat -c '%u' ${rootMount.mountPoint}/home/main.ts`), String(USER));
    });

    await t.test('the user unmounts, and the daemon ends with everything stored', async t => {
      await shell(
        `${AS_USER} sh -c 'echo last > ${mountPoint}/home/last' && ${AS_USER} fusermount3 -u ${mountPoint}`,
      );
      t.equal(await mount.exited(), 0);
      t.equal(await shell(`cat ${rootMount.mountPoint}/home/last`), 'last');
    });

    await t.test('SIGTERM ends it too, even while somebody stands in the mount', async t => {
      mount = first;
      await mount.start();
      const standing = spawn('sh', ['-c', 'cd "$1" && echo here && exec sleep 60', 'sh', mountPoint], {
        stdio: ['ignore', 'pipe', 'ignore'],
        cwd: '/',
        uid: USER,
        gid: USER,
      });
      t.teardown(() => standing.kill('SIGKILL'));
      await nextOutput(standing);
      t.equal(await mount.stop(), 0);
      t.equal(await findMount(mountPoint), undefined);
    });

    await t.test('--allow-other without leave in /etc/fuse.conf is refused with a sentence', async t => {
      if (/^user_allow_other/m.test(await shell('cat /etc/fuse.conf || true'))) {
        t.pass('this machine gives leave');
        return;
      }
      const failure = await cluster.addMount(['--allow-other'], USER).catch((error: unknown) => error);
      t.match(String(failure), /user_allow_other/);
    });

    await t.test('without fusermount3 the sentence names the package', async t => {
      const program = new URL('../../../bin/dfs', import.meta.url).pathname;
      const place = join(scratch, 'place');
      await shell(`${AS_USER} mkdir ${place}`);
      const command = `${process.execPath} ${program} mount ${cluster.metadata.address} ${place} --driver kernel`;
      const said = await shell(
        `PATH=${scratch} $(command -v setpriv) ${withKey.slice(8)} ${command} 2>&1 || true`,
      );
      t.match(said, /no fusermount3.*install the package fuse3/);
    });
  });
}
