/** docs/decisions/01: files that random writes leave in pieces are rewritten whole, while they are used. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t from 'tap';
import { shell, startCluster, waitUntil } from '../support/cluster.js';

const LONG = { timeout: 200_000 };
const FILE_BYTES = 8 << 20;
const WRITES = 600;

/** Writes 4 KiB to random places of a file of random bytes, each committed by itself, on the mount and locally. */
const SCRATCH = `
import os, random, sys
random.seed(int(sys.argv[3]))
files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o644) for path in sys.argv[1:3]]
size, writes = ${FILE_BYTES}, ${WRITES}
if os.fstat(files[0]).st_size == 0:
    for file in files: os.pwrite(file, b'', 0)
    data = os.urandom(size)
    for file in files: os.pwrite(file, data, 0)
for _ in range(writes):
    data, at = os.urandom(4096), random.randrange(size - 4096)
    for file in files: os.pwrite(file, data, at)
    os.fdatasync(files[0])
for file in files: os.close(file)
`;

t.test('a file in many pieces is made whole, byte for byte, and goes on being written', LONG, async t => {
  const cluster = await startCluster(t, {
    dataNodes: 3,
    mounts: 2,
    goal: 2,
    metadataOptions: ['--defragment-after=1'],
  });
  const [mount, other] = cluster.mounts;
  if (!mount || !other) throw new Error('two mounts were asked for');
  const local = join(cluster.directory, 'local');
  const file = join(mount.mountPoint, 'file');
  const database = new Database(join(cluster.directory, 'metadata', 'dfs.db'), { readonly: true });
  t.teardown(() => database.close());
  const extents = (): number => Number(database.prepare('SELECT count(*) FROM extents').pluck().get());
  const write = async (seed: number): Promise<string> =>
    await shell(`python3 -c "$SCRIPT" ${file} ${local} ${seed}`, {
      timeoutMs: 100_000,
      env: { ...process.env, SCRIPT: SCRATCH },
    });
  await write(1);
  const pieces = extents();
  t.ok(pieces > WRITES, `${pieces} pieces`);
  await waitUntil(() => extents() < pieces / 10, { deadlineMs: 60_000, what: 'the file is in few pieces' });
  await shell(`cmp ${local} ${file} && cmp ${local} ${other.mountPoint}/file`);
  // While it is rewritten: the writer's bytes count.
  await write(2);
  await write(3);
  await shell(`cmp ${local} ${file} && cmp ${local} ${other.mountPoint}/file`);
  // Killed at any moment, neither is lost.
  const kept = extents();
  await waitUntil(() => extents() < kept, { deadlineMs: 60_000, what: 'it has begun' });
  await cluster.metadata.kill9();
  await cluster.nodes[0]?.kill9();
  await cluster.metadata.restart();
  await cluster.nodes[0]?.restart();
  await shell(`cmp ${local} ${file} && cmp ${local} ${other.mountPoint}/file`, { timeoutMs: 100_000 });
  await waitUntil(() => extents() < WRITES / 10, {
    deadlineMs: 90_000,
    what: 'the file is in few pieces again',
  });
  await shell(`cmp ${local} ${other.mountPoint}/file`);
  const { code, stdout } = await cluster.run('dfs', ['fsck', cluster.metadata.address, '--deep']);
  t.equal(code, 0, stdout);
});
