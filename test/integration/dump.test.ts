/** Dumps and their secrets, with real processes. */
import { chmod, chown, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { shell, startCluster } from '../support/cluster.js';
import { inClone } from '../support/programs.js';
import { untilLive } from '../support/repair-status.js';

const STRANGER = 65_534;
const skip = process.getuid?.() === 0 ? false : 'only root can give a file to somebody else';

t.test(
  'secrets go into no file of somebody else, and a cluster goes on from a dump without them',
  { skip },
  async t => {
    const cluster = await startCluster(t, { dataNodes: 2, mounts: 1, goal: 2 });
    const mount = cluster.mounts[0]?.mountPoint ?? '';
    const db = join(cluster.directory, 'metadata', 'dfs.db');
    await shell(`head -c 3000000 /dev/urandom > ${cluster.directory}/bytes
    cp ${cluster.directory}/bytes ${mount}/kept && sync ${mount}/kept`);
    await cluster.mounts[0]?.stop();
    await cluster.metadata.stop();

    const into = async (file: string, option: string): Promise<string> =>
      await shell(`${inClone('bin/dfs')} dump --db ${db} ${option} 2>&1 >${file} || echo failed`);
    const foreign = join(cluster.directory, 'foreign');
    await writeFile(foreign, '');
    await chmod(foreign, 0o666);
    await chown(foreign, STRANGER, STRANGER);
    t.match(await into(foreign, '--with-secrets'), /belongs to user 65534.*\nfailed/);
    const { mode, size, uid } = await stat(foreign);
    t.same({ mode: mode & 0o777, size, uid }, { mode: 0o666, size: 0, uid: STRANGER }, 'left as it was');
    t.equal(await into(foreign, ''), '', 'without secrets it may go anywhere');
    t.equal((await stat(foreign)).mode & 0o777, 0o666, 'and nobody changes whose file it is');

    const own = join(cluster.directory, 'own');
    await writeFile(own, '', { mode: 0o644 });
    t.match(await into(own, '--with-secrets'), /readable by you alone/);
    t.equal((await stat(own)).mode & 0o777, 0o600);
    t.match(await readFile(own, 'utf8'), 'grant-key');
    t.notMatch(await readFile(foreign, 'utf8'), 'grant-key');

    await rm(db);
    const loaded = await cluster.run('dfs', ['load', foreign, '--db', db]);
    t.equal(loaded.code, 0);
    t.match(loaded.stderr, /new grant key/);
    // The data nodes have run all the time, with the old key.
    await cluster.metadata.restart();
    await untilLive(cluster);
    const again = (await cluster.addMount()).mountPoint;
    await shell(`cmp ${cluster.directory}/bytes ${again}/kept
    cp ${again}/kept ${again}/new && sync ${again}/new && cmp ${cluster.directory}/bytes ${again}/new`);
    t.pass('what was there is read, and what is new is stored under the new key');
  },
);
