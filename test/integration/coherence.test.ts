import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { SILENT_CLIENT_MS } from '../../src/protocol/limits.js';
import { shell, startCluster } from '../support/cluster.js';
import { startProxy } from '../support/severable-proxy.js';
import { waitUntil } from '../support/wait-until.js';

// The longest waits for a lease to run out, and needs no processor meanwhile.
t.jobs = 2;

const program = new URL('../../../test/support/coherence.py', import.meta.url).pathname;
const fighting = new URL('../../../test/support/fighting.py', import.meta.url).pathname;
const FIGHT_ROUNDS = 100;

/** Inodes that the metadata server has, those without a name included. */
async function inodesOf(mountPoint: string): Promise<number> {
  const { files, ffree } = await statfs(mountPoint);
  return files - ffree;
}

const KERNEL = { mountOptions: ['--driver', 'kernel'] };

t.test(
  'a client that is cut off answers EIO, not what it knew, and what it wrote meanwhile is refused',
  async t => {
    const cluster = await startCluster(t, { dataNodes: 1, mounts: 1, ...KERNEL });
    const proxy = await startProxy(t, cluster.endpoint);
    const here = cluster.mounts[0]?.mountPoint ?? '';
    const away = (await cluster.addMount(['--timeout', '3'], undefined, proxy.address)).mountPoint;
    await writeFile(join(here, 'file'), 'before');
    t.equal(await readFile(join(away, 'file'), 'utf8'), 'before');

    const late = await open(join(away, 'file'), 'r+');
    proxy.cut();
    const beganMs = performance.now();
    t.equal(
      (await stat(join(away, 'file'))).size,
      6,
      'under its lease the client answers from what it knows',
    );
    await t.rejects(late.write('LATE', 0), { code: 'EIO' }, 'what nobody else could see is not acknowledged');
    // Waits for the other client to answer, which it does not, so for its lease to run out.
    await writeFile(join(here, 'file'), 'afterwards');
    t.ok(
      performance.now() - beganMs < SILENT_CLIENT_MS + 10_000,
      'a cut-off client holds nobody up for ever',
    );
    await t.rejects(stat(join(away, 'file')), { code: 'EIO' });
    await t.rejects(readFile(join(away, 'file')), { code: 'EIO' });

    proxy.mend();
    await late.close().catch(() => undefined);
    t.equal(await readFile(join(here, 'file'), 'utf8'), 'afterwards');
    t.equal(await readFile(join(away, 'file'), 'utf8'), 'afterwards', 'mended, the client goes on');
  },
);

t.test('two mounts of one cluster', async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 2, ...KERNEL });
  const [one = '', two = ''] = cluster.mounts.map(mount => mount.mountPoint);
  /** A directory of its own for each test, by both mounts. */
  const places = async (name: string): Promise<readonly [string, string]> => {
    await mkdir(join(one, name));
    return [join(one, name), join(two, name)];
  };

  await t.test('what one mount changes, the other sees at once, however warm its caches are', async t => {
    const [first, second] = await places('random');
    const seed = process.env['DFS_TEST_SEED'] ?? String(Math.floor(Math.random() * 1e9));
    const local = await mkdtemp(join(tmpdir(), 'dfs-coherence-'));
    t.teardown(async () => await rm(local, { recursive: true, force: true }));
    t.comment(`DFS_TEST_SEED=${seed}`);
    const command = `python3 ${program} ${first} ${second} ${local} ${seed} 500`;
    t.equal(await shell(command, { timeoutMs: 240_000 }), 'ok');
  });

  await t.test('who opens a file reads what another mount has closed, also while that goes on', async t => {
    const [first, second] = await places('closed');
    const appended = new URL('../../../test/support/appended.py', import.meta.url).pathname;
    t.equal(await shell(`python3 ${appended} ${first} ${second} 600`, { timeoutMs: 120_000 }), 'ok');
  });

  await t.test('a listing tells what another mount has made and removed, also when it is kept', async t => {
    const [here, away] = await places('listing');
    const names = Array.from({ length: 1500 }, (_, index) => `n${String(index).padStart(4, '0')}`);
    await mkdir(join(away, 'many'));
    for (const name of names) await writeFile(join(away, 'many', name), '');
    t.same((await readdir(join(here, 'many'))).sort(), names);
    await Promise.all([rm(join(away, 'many', 'n0007')), writeFile(join(away, 'many', 'zz'), '')]);
    const expected = [...names.filter(name => name !== 'n0007'), 'zz'];
    t.same((await readdir(join(here, 'many'))).sort(), expected);
    await t.rejects(stat(join(here, 'many', 'n0007')), { code: 'ENOENT' });
    t.equal((await stat(join(here, 'many', 'zz'))).size, 0);
    // Attributes that were listed as absent.
    await shell(`setfattr -n user.mark -v yes ${join(away, 'many', 'n0001')}`);
    t.equal(await shell(`getfattr -n user.mark --only-values ${join(here, 'many', 'n0001')}`), 'yes');
  });

  await t.test('two mounts that fight over the same names never wait for each other for ever', async t => {
    const [first, second] = await places('fight');
    const fight = async (root: string, seed: number): Promise<void> => {
      const done = await shell(`python3 ${fighting} ${root} ${seed} ${FIGHT_ROUNDS}`, { timeoutMs: 200_000 });
      t.ok(Number(done) > FIGHT_ROUNDS, 'more than a step of each round was done');
    };
    await Promise.all([first, second, first, second].map(fight));
    const list = async (root: string): Promise<string> =>
      await shell(`cd ${root} && find . -printf '%p %y %m %s %n\\n' | sort`);
    t.equal(await list(second), await list(first));
  });
});

t.test(
  'a file that one mount has open lives on when another removes it, for as long as it is open',
  async t => {
    const cluster = await startCluster(t, { dataNodes: 1, mounts: 2, ...KERNEL });
    const [here = '', away = ''] = cluster.mounts.map(mount => mount.mountPoint);
    await writeFile(join(away, 'file'), 'kept');
    // Looked at first, so that it is then opened under the lease, without asking the server.
    t.equal((await stat(join(here, 'file'))).size, 4);
    const file = await open(join(here, 'file'), 'r');
    const removedHere = await open(join(here, 'file'), 'r');
    t.teardown(async () => {
      await file.close();
      await removedHere.close();
    });
    await writeFile(join(away, 'sentinel'), '');
    const before = await inodesOf(away);
    await rm(join(away, 'file'));
    await rm(join(away, 'sentinel'));
    await writeFile(join(away, 'file'), 'another one');
    // The sentinel was removed later than the file, and is gone for good: the file would be too.
    await waitUntil(async () => (await inodesOf(away)) <= before, { what: 'the sentinel is collected' });
    t.equal(await inodesOf(away), before, 'only the sentinel is gone');
    t.equal((await file.readFile()).toString(), 'kept');
    t.equal((await removedHere.readFile()).toString(), 'kept');
    t.equal(await readFile(join(here, 'file'), 'utf8'), 'another one');
  },
);

t.test('times and owners that are given to a file before its bytes are stored are kept', async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 1, ...KERNEL });
  const [here = ''] = cluster.mounts.map(mount => mount.mountPoint);
  const source = join(cluster.directory, 'source');
  await shell(`mkdir ${source}`);
  await shell(
    `cd ${source} && for i in $(seq 60); do head -c $((i * 100)) /dev/urandom > f$i && chown $i:$((i + 1)) f$i && ` +
      `chmod $([ $((i % 3)) = 0 ] && echo 4755 || echo 640) f$i && touch -d "2001-02-03 04:05:06.$((100000000 + i))" f$i; done`,
  );
  await shell(`tar cf - -C ${cluster.directory} source | tar xpf - -C ${here}`);
  await shell(`cp -rp ${source} ${here}/copied`);
  const list = async (directory: string): Promise<string> =>
    await shell(`cd ${directory} && stat -c '%n %U %G %a %s %.9Y' f* && sha256sum f*`);
  const expected = await list(source);
  t.equal(await list(join(here, 'copied')), expected);
  const inSeconds = (text: string): string => text.replace(/[.][0-9]{9}$/gm, '');
  t.equal(inSeconds(await list(join(here, 'source'))), inSeconds(expected), 'tar keeps whole seconds');
  const other = await cluster.addMount();
  t.equal(await list(join(other.mountPoint, 'copied')), expected, 'as the server has it');
  t.equal(await list(join(here, 'copied')), expected);
});
