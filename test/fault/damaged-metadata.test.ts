/** Flipped bits in the metadata database are noticed, reported in one sentence, kept out of backups, and mended by recovery. */
import { copyFile, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import type { BackupStatus } from '../../src/protocol/backup-commands.js';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { inClone } from '../support/programs.js';
import { untilLive } from '../support/repair-status.js';

/** Overwrites the head of every page of a table that has rows; none is left in the log. */
async function damage(path: string, table: string): Promise<void> {
  const database = new Database(path);
  const pageBytes = Number(database.pragma('page_size', { simple: true }));
  const pages = database
    .prepare<[string], number>("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'")
    .pluck()
    .all(table);
  database.close();
  const file = await open(path, 'r+');
  for (const page of pages) await file.write(Buffer.alloc(8, 0xff), 0, 8, (page - 1) * pageBytes);
  await file.close();
  if (pages.length === 0) throw new Error(`${table} has no pages`);
}

t.test(
  'a damaged metadata database is noticed, takes the place of no backup, and is brought back',
  { timeout: 240_000 },
  async t => {
    const cluster = await startCluster(t, {
      dataNodes: 2,
      mounts: 1,
      metadataOptions: ['--backup-interval=100000'],
    });
    const [mount] = cluster.mounts;
    const path = mount?.mountPoint ?? '';
    await shell(`cp -r ${inClone('src')} ${path}/copy && find ${path}/copy -type f -exec sync {} +`);
    const server = cluster.metadata.address;
    const backUp = async () => await cluster.run('dfs', ['backup', 'now', server, '--json']);
    t.equal((await backUp()).code, 0);
    await mount?.stop();
    await cluster.metadata.stop();
    const db = join(cluster.metadata.directory, 'dfs.db');

    await copyFile(db, `${db}.sound`);
    await damage(db, 'sessions');
    const refused = await cluster.run('meta-data', ['0', '--db', db]);
    t.equal(refused.code, 1, 'what is needed to start is damaged');
    t.match(
      refused.stderr.split('\n').at(-2),
      /^meta-data: the metadata database .* is damaged: .*dfs recover/,
    );
    await rename(`${db}.sound`, db);
    await damage(db, 'extents');

    await cluster.metadata.start();
    await untilLive(cluster);
    const fsck = await cluster.run('dfs', ['fsck', server]);
    t.equal(fsck.code, 1);
    t.match(fsck.stdout, /^\(the metadata database\): is damaged: /);
    t.notMatch(fsck.stderr, /at .*\.js/, 'no stack trace');
    await waitUntil(
      async () => {
        const { stdout } = await cluster.run('dfs', ['backup', 'status', server, '--json']);
        return /is damaged: .*dfs recover/.test((JSON.parse(stdout) as BackupStatus).problem);
      },
      { what: 'the backup says why there is none' },
    );
    const failed = await backUp();
    t.match(`${failed.stdout}${failed.stderr}`, /is damaged: .*dfs recover/);

    await cluster.metadata.stop();
    await rename(db, `${db}.damaged`);
    await shell(`rm -f ${db}-wal ${db}-shm`);
    const from = cluster.nodes.flatMap(node => ['--from', node.address]);
    const recovered = await cluster.run('dfs', ['recover', ...from, '--db', db]);
    t.equal(recovered.code, 0, recovered.stderr);
    await cluster.metadata.start();
    await untilLive(cluster);
    const reader = await cluster.addMount();
    await shell(`diff -r ${inClone('src')} ${reader.mountPoint}/copy`);
    t.pass('everything compares equal');
    await waitUntil(async () => (await cluster.run('dfs', ['fsck', server])).code === 0, {
      what: 'fsck ends clean',
    });
  },
);
