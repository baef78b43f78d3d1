/** The metadata survives the metadata server's disk (issue 4): what was backed up comes back from data nodes alone. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Recovered } from '../../src/metadata/recovery/recover.js';
import type { BackupStatus } from '../../src/protocol/backup-commands.js';
import { shell, startCluster, waitUntil, type Cluster } from '../support/cluster.js';
import { untilLive } from '../support/repair-status.js';
import { inClone } from '../support/programs.js';

const LONG = { timeout: 240_000 };
/** Backups only when the test says so, besides the first one. */
const WHEN_ASKED = '--backup-interval=100000';

async function backUp(cluster: Cluster): Promise<BackupStatus> {
  const { code, stdout, stderr } = await cluster.run('dfs', [
    'backup',
    'now',
    cluster.metadata.address,
    '--json',
  ]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as BackupStatus;
}

/** The metadata server dies with its directory; returns where its database was. */
async function loseMetadata(cluster: Cluster): Promise<string> {
  await cluster.metadata.kill9();
  await rm(cluster.metadata.directory, { recursive: true });
  return join(cluster.metadata.directory, 'dfs.db');
}

async function recover(cluster: Cluster, db: string, options: readonly string[] = []): Promise<Recovered> {
  const from = cluster.nodes.flatMap(node => ['--from', node.address]);
  const { code, stdout, stderr } = await cluster.run('dfs', [
    'recover',
    ...from,
    '--db',
    db,
    '--json',
    ...options,
  ]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Recovered;
}

/** Recovers after the last file of the newest backup was damaged on every node. */
async function recoverFromDamaged(cluster: Cluster, db: string): Promise<Recovered> {
  for (const { directory } of cluster.nodes) {
    const damaged = (await newestBackup(directory)).at(-1) ?? '';
    const bytes = await readFile(damaged);
    const at = bytes.length - 100;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
    await writeFile(damaged, bytes);
  }
  return await recover(cluster, db);
}

/** Starts the metadata server on the new database; resolves when every data node has registered. */
async function goOn(cluster: Cluster): Promise<void> {
  await cluster.metadata.restart();
  await untilLive(cluster);
}

/** The files of the newest backup on a node, in order. */
async function newestBackup(directory: string): Promise<string[]> {
  const generations = await readdir(join(directory, 'backup'));
  const newest = generations.sort((a, b) => Number(a) - Number(b)).at(-1) ?? '';
  const names = await readdir(join(directory, 'backup', newest));
  return names.sort().map(name => join(directory, 'backup', newest, name));
}

t.test('everything from before the backup comes back, and what is newer is said exactly', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 3, mounts: 1, goal: 2, metadataOptions: [WHEN_ASKED] });
  const mount = cluster.mounts[0]?.mountPoint ?? '';
  const source = join(cluster.directory, 'source');
  await shell(`
    mkdir ${source} && cp -r ${inClone('src/metadata')} ${source}/tree
    head -c 6000000 /dev/urandom > ${source}/large
    ln -s large ${source}/link; printf x > ${source}/$'\\377\\001name'
    cp -r ${source} ${mount}/copy && find ${mount}/copy -type f -exec sync {} +
    setfattr -n user.test -v value ${mount}/copy/large`);
  const earlier = await backUp(cluster);
  await shell(`mkdir ${mount}/late`);
  const status = await backUp(cluster);
  t.equal(status.nodes.length, 3, 'every live node has the backup');
  t.equal(status.problem, '');

  await shell(`
    head -c 5000000 /dev/urandom > ${source}/newer && cat ${source}/newer > ${mount}/copy/newer
    printf more >> ${source}/large && printf more >> ${mount}/copy/large
    sync ${mount}/copy/newer ${mount}/copy/large`);
  const newer = (await shell(`stat -c %i ${mount}/copy/newer`)).trim();
  await cluster.mounts[0]?.stop();
  const db = await loseMetadata(cluster);

  const missing = await cluster.run('dfs', [
    'recover',
    '--from',
    cluster.nodes[0]?.address ?? '',
    '--db',
    db,
  ]);
  t.equal(missing.code, 1, 'not without the nodes that the backup knows');
  t.match(missing.stderr, /--partial/);

  const recovered = await recover(cluster, db);
  t.same(recovered.lost, { chunks: 0, files: 0, paths: [] });
  t.match(recovered.salvaged.placed, { chunks: 1, files: 1, bytes: 4 }, 'what was appended to a known file');
  t.match(recovered.salvaged.lostAndFound, { files: 1, bytes: 5_000_000 }, 'what was written to a new file');
  t.same(recovered.backup.troubles, []);
  const again = await cluster.run('dfs', ['recover', '--from', cluster.nodes[0]?.address ?? '', '--db', db]);
  t.equal(again.code, 1, 'an existing database is not overwritten');

  const older = await recoverFromDamaged(cluster, join(cluster.directory, 'older.db'));
  const damaged = older.backup.troubles.filter(trouble => trouble.startsWith('a copy of file'));
  t.equal(damaged.length, 3, 'the damaged copies are told');
  t.ok(older.backup.madeMs <= status.newestMs && older.backup.madeMs >= earlier.newestMs);
  const { stdout } = await cluster.run('dfs', ['dump', '--db', join(cluster.directory, 'older.db')]);
  t.match(stdout, '"name":"large"', 'the backup before was taken');
  t.notMatch(stdout, '"name":"late"');

  await goOn(cluster);
  const after = (await cluster.addMount()).mountPoint;
  await shell(`cmp ${source}/newer ${after}/lost+found/inode-${newer} && rm ${source}/newer
    diff -r --no-dereference ${source} ${after}/copy
    test "$(getfattr --only-values -n user.test ${after}/copy/large)" = value`);
  t.pass('all compares equal');
  await shell(`cp ${source}/large ${after}/fresh && sync ${after}/fresh && cmp ${source}/large ${after}/fresh
    cd ${after} && rm -r copy fresh lost+found`);
  t.pass('and the file system goes on');
});

t.test('backups follow changes by themselves, and three copies are kept', LONG, async t => {
  const cluster = await startCluster(t, {
    dataNodes: 1,
    mounts: 1,
    metadataOptions: ['--backup-interval=1'],
  });
  const [node] = cluster.nodes;
  const mount = cluster.mounts[0]?.mountPoint ?? '';
  const generations = async (): Promise<string[]> => await readdir(join(node?.directory ?? '', 'backup'));
  const seen = new Set<string>();
  let count = 0;
  await waitUntil(
    async () => {
      await shell(`mkdir ${mount}/directory${(count += 1)}`);
      for (const generation of await generations()) seen.add(generation);
      return seen.size >= 4;
    },
    { what: 'four copies were begun' },
  );
  await waitUntil(async () => (await generations()).filter(name => /^\d+$/.test(name)).length <= 3, {
    what: 'three are kept',
  });
  const dumped = join(cluster.directory, 'dump.jsonl');
  const { code } = await cluster.run('dfs', ['backup', 'status', cluster.metadata.address]);
  t.equal(code, 0);
  await shell(`${inClone('bin/dfs')} dump ${cluster.metadata.address} --with-secrets > ${dumped}`, {
    env: cluster.environment,
  });
  t.match(
    await readFile(dumped, 'utf8'),
    `"name":"directory${count}"`,
    'a dump of a running server is of now',
  );
  t.equal((await shell(`stat -c %a ${dumped}`)).trim(), '600');
});
