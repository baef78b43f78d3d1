/** Each invariant of the metadata is broken by hand: the check names it, repairs what can be, and is clean afterwards. */
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import type { FsckStatus } from '../../../src/protocol/cluster-commands.js';
import { refusal, startHarness, type Harness, type TestClient } from './support/harness.js';

// Most of each is waiting.
t.jobs = 6;

interface Fixture {
  readonly harness: Harness;
  readonly client: TestClient;
  /** `/directory/file` with one chunk. */
  readonly file: number;
  readonly directory: number;
}

async function start(t: Test): Promise<Fixture> {
  const harness = await startHarness(t);
  for (const name of ['one', 'two']) await harness.node(name);
  const client = await harness.client();
  const { inode: directory } = await client.mkdir('directory');
  const { inode: file } = await client.file('file', directory);
  await client.write(file, 0, 4096);
  return { harness, client, file, directory };
}

/** Runs a check to its end. The test's nodes hold nothing and say nothing: what is told of replicas is left out. */
async function check(harness: Harness, isRepairing: boolean): Promise<FsckStatus['findings']> {
  // Silent nodes are not asked what they hold.
  await harness.pass(4000);
  harness.service.startFsck(false, isRepairing);
  await harness.until('the check is over', () => !harness.service.fsckStatus(0).isRunning);
  const { findings } = harness.service.fsckStatus(0);
  return findings.filter(({ kind }) => !['lost', 'endangered', 'unchecked'].includes(kind));
}

function damage(harness: Harness, sql: string): void {
  const database = new Database(harness.path);
  database.exec(sql);
  database.close();
}

t.test('a file system in order is clean, and files without names are in order', async t => {
  const { harness, client, directory } = await start(t);
  const open = await client.file('open', directory, true);
  await client.write(open.inode, 0, 100);
  t.same(await check(harness, false), []);
});

const BREAKAGES: readonly {
  readonly what: string;
  readonly sql: (fixture: Fixture) => string;
  readonly kind: string;
  readonly path: RegExp;
  /** Left to a person. */
  readonly stays?: boolean;
}[] = [
  {
    what: 'a wrong link count of a file',
    sql: ({ file }) => `UPDATE inodes SET nlink = 7 WHERE inode = ${file}`,
    kind: 'links',
    path: /^\/directory\/file$/,
  },
  {
    what: 'a wrong link count of a directory',
    sql: () => `UPDATE inodes SET nlink = 9 WHERE inode = ${ROOT_INODE}`,
    kind: 'links',
    path: /^\/$/,
  },
  {
    what: 'a name that leads nowhere',
    sql: ({ directory }) => `INSERT INTO dentries VALUES (${directory}, CAST('ghost' AS BLOB), 987654)`,
    kind: 'dangling',
    path: /^\/directory\/ghost$/,
  },
  {
    what: 'a file without its name',
    sql: ({ file }) => `DELETE FROM dentries WHERE inode = ${file}`,
    kind: 'unreachable',
    path: /^\(inode \d+\)$/,
  },
  {
    what: 'a file without links that would never be collected',
    sql: ({ file }) =>
      `DELETE FROM dentries WHERE inode = ${file}; UPDATE inodes SET nlink = 0 WHERE inode = ${file}`,
    kind: 'orphan',
    path: /^\(inode \d+\)$/,
  },
  {
    what: 'a wrong count of allocated bytes',
    sql: ({ file }) => `UPDATE inodes SET allocated = 1 WHERE inode = ${file}`,
    kind: 'allocated',
    path: /^\/directory\/file$/,
  },
  {
    what: 'a wrong count of references',
    sql: () => 'UPDATE chunks SET refs = 5',
    kind: 'references',
    path: /^\/directory\/file$/,
  },
  {
    what: 'a chunk that would be collected although it is wanted',
    sql: () => 'INSERT INTO doomed SELECT chunk, 9e15 FROM chunks',
    kind: 'collection',
    path: /^\/directory\/file$/,
  },
  {
    what: 'attributes of nothing',
    sql: () => "INSERT INTO xattrs VALUES (987654, CAST('user.x' AS BLOB), CAST('v' AS BLOB))",
    kind: 'stray',
    path: /^\(inode 987654\)$/,
  },
  {
    what: 'an extent whose chunk is not there',
    sql: ({ file }) => `INSERT INTO extents VALUES (${file}, 8192, 10, 987654, 0);
      UPDATE inodes SET size = 9000, allocated = allocated + 10 WHERE inode = ${file}`,
    kind: 'extent',
    path: /^\/directory\/file$/,
    stays: true,
  },
  {
    what: 'extents that overlap',
    sql: ({ file }) => `INSERT INTO extents SELECT ${file}, 10, 5, chunk, 0 FROM chunks;
      UPDATE inodes SET allocated = allocated + 5 WHERE inode = ${file}; UPDATE chunks SET refs = refs + 1`,
    kind: 'extent',
    path: /^\/directory\/file$/,
    stays: true,
  },
  {
    what: 'an extent beyond the end of its file',
    sql: ({ file }) => `UPDATE inodes SET size = 100 WHERE inode = ${file}`,
    kind: 'extent',
    path: /^\/directory\/file$/,
    stays: true,
  },
  {
    what: 'a directory whose .. leads elsewhere',
    sql: ({ directory, file }) => `UPDATE inodes SET parent = ${file} WHERE inode = ${directory}`,
    kind: 'parent',
    path: /^\/directory$/,
  },
  {
    what: 'a directory with two names',
    sql: ({ directory }) => `INSERT INTO dentries VALUES (${ROOT_INODE}, CAST('twin' AS BLOB), ${directory});
      UPDATE inodes SET nlink = nlink + 1 WHERE inode = ${ROOT_INODE}`,
    kind: 'directory',
    path: /^\/twin$/,
  },
  {
    what: 'a directory that counts no links although it has a name',
    sql: ({ directory }) => `UPDATE inodes SET nlink = 0 WHERE inode = ${directory}`,
    kind: 'links',
    path: /^\/directory$/,
  },
  {
    what: 'a file that is noted for collection although it has a name',
    sql: ({ file }) => `INSERT INTO orphans VALUES (${file})`,
    kind: 'stray',
    path: /^\/directory\/file$/,
  },
  {
    what: 'a name in something that is no directory',
    sql: ({ file }) =>
      `INSERT INTO dentries VALUES (${file}, CAST('below' AS BLOB), ${file}); UPDATE inodes SET nlink = 2 WHERE inode = ${file}`,
    kind: 'dangling',
    path: /below$/,
  },
  {
    what: 'a chunk that would never be collected',
    sql: ({ file }) =>
      `DELETE FROM extents; UPDATE chunks SET refs = 0; UPDATE inodes SET allocated = 0 WHERE inode = ${file}`,
    kind: 'collection',
    path: /^\(chunk \d+\)$/,
  },
  {
    what: 'extents of nothing',
    sql: () =>
      'INSERT INTO extents SELECT 987654, 0, 10, chunk, 0 FROM chunks; UPDATE chunks SET refs = refs + 1',
    kind: 'extent',
    path: /^\(inode 987654\)$/,
  },
];

for (const { what, sql, kind, path, stays = false } of BREAKAGES) {
  t.test(`${what} is found${stays ? ', and left to a person' : ' and put right'}`, async t => {
    const fixture = await start(t);
    const { harness } = fixture;
    damage(harness, sql(fixture));
    const found = await check(harness, false);
    t.same(
      found.map(finding => finding.kind),
      [kind],
    );
    t.match(Buffer.from(found[0]?.path ?? []).toString(), path);
    t.equal(found[0]?.isRepaired, false, 'a check alone changes nothing');
    const repaired = await check(harness, true);
    t.same(
      repaired.map(finding => [finding.kind, finding.isRepaired]),
      [[kind, !stays]],
    );
    t.same(
      (await check(harness, false)).map(finding => finding.kind),
      stays ? [kind] : [],
    );
  });
}

t.test('an unreachable file is found in /lost+found, with its content', async t => {
  const { harness, client, file } = await start(t);
  damage(harness, `DELETE FROM dentries WHERE inode = ${file}`);
  await check(harness, true);
  const { inode: lostAndFound } = await client.lookup('lost+found');
  const found = await client.lookup(`inode-${file}`, lostAndFound);
  t.match(found, { inode: file, nlink: 1, size: 4096 });
});

t.test('what changes during a check is no finding', async t => {
  const { harness, client, directory, file } = await start(t);
  damage(harness, `UPDATE inodes SET nlink = 3 WHERE inode = ${file}`);
  await harness.pass(4000);
  harness.service.startFsck(false, true);
  // The check sees the moment before; its correction is added to whatever came after.
  await Promise.all([1, 2, 3].map(async number => await client.file(`other${number}`, directory)));
  await harness.until('the check is over', () => !harness.service.fsckStatus(0).isRunning);
  t.equal((await client.stat(file)).nlink, 1);
  t.same(await check(harness, false), []);
});

t.test('one check at a time, and none to tell of before the first', async t => {
  const { harness } = await start(t);
  t.equal(await refusal((async () => harness.service.fsckStatus(0))()), 'ENOENT');
  await harness.pass(4000);
  harness.service.startFsck(false, false);
  t.equal(await refusal((async () => harness.service.startFsck(false, false))()), 'EBUSY');
  await harness.until('the check is over', () => !harness.service.fsckStatus(0).isRunning);
});
