/** Reading a data node's files without asking it (client/local/local-replicas.ts). */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type ServerProcess } from '../support/cluster.js';

const BLOCK = 4096;
const BLOCKS = 2048;
/** What a read by the node would outlast while it is stopped. */
const PATIENCE_SECONDS = 3;

/** A file of 8 MiB, its copy elsewhere, and a mount that has read nothing of it yet. */
async function prepare(t: Test, options: readonly string[], nodes = 1) {
  const cluster = await startCluster(t, { dataNodes: nodes, mounts: 1, goal: nodes });
  const source = join(cluster.directory, 'source');
  const path = cluster.mounts[0]?.mountPoint ?? '';
  await shell(
    `head -c ${BLOCK * BLOCKS} /dev/urandom > ${source} && cp ${source} ${path}/file && sync ${path}/file`,
  );
  const reader = await cluster.addMount(options);
  return { cluster, source, reader, file: join(reader.mountPoint, 'file') };
}

/** Whether one block, read past the kernel's cache, is what it should be; false when that takes too long. */
async function isRead(source: string, file: string, block: number): Promise<boolean> {
  const part = `bs=${BLOCK} skip=${block} count=1 status=none`;
  const reading = `timeout ${PATIENCE_SECONDS} dd if=${file} iflag=direct ${part}`;
  const command = `cmp <(${reading}) <(dd if=${source} ${part})`;
  return await shell(`bash -c '${command}'`).then(
    () => true,
    () => false,
  );
}

/** Reads blocks of both chunks, each another, until the client says that it reads the node's files. */
async function readUntilDirect(source: string, file: string, reader: ServerProcess): Promise<void> {
  let block = BLOCKS / 8;
  await waitUntil(
    async () => {
      block += 1;
      for (const each of [block, BLOCKS / 2 + block]) await isRead(source, file, each);
      return reader.logTail().includes('without asking it');
    },
    { what: 'the files are read directly', deadlineMs: 60_000 },
  );
}

/** Whether both chunks are read while the node is stopped, after one block of each has been read now. */
async function isReadWithoutNode(node: ServerProcess | undefined, source: string, file: string) {
  if (!node) throw new Error('a node was asked for');
  for (const block of [100, BLOCKS / 2 + 100]) await isRead(source, file, block);
  process.kill(node.pid, 'SIGSTOP');
  try {
    const first = await isRead(source, file, BLOCKS / 4);
    return first && (await isRead(source, file, BLOCKS - 100));
  } finally {
    process.kill(node.pid, 'SIGCONT');
  }
}

t.test('what is in the files of a node on this machine is read without the node', async t => {
  const { cluster, source, reader, file } = await prepare(t, []);
  await readUntilDirect(source, file, reader);
  t.ok(await isReadWithoutNode(cluster.nodes[0], source, file));
  await reader.stop();
});

t.test('with --no-short-circuit every byte comes from the node', async t => {
  const { cluster, source, reader, file } = await prepare(t, ['--no-short-circuit', '--timeout=5']);
  t.ok(await isRead(source, file, 7));
  t.notOk(await isReadWithoutNode(cluster.nodes[0], source, file));
  await reader.stop();
});

t.test('a damaged file is noticed, the other replica read, and the damage made good', async t => {
  const { cluster, source, reader, file } = await prepare(t, [], 2);
  await readUntilDirect(source, file, reader);
  for (const node of cluster.nodes.slice(0, 1)) {
    const segments = join(node.directory, 'segments');
    for (const name of await readdir(segments)) {
      const path = join(segments, name);
      const { size } = await stat(path);
      const segment = await open(path, 'r+');
      // One byte in each block of checksums, apart from the records' heads at the beginning.
      for (let at = 64 << 10; at < size; at += 16 << 10) await segment.write(Buffer.from([0x5a]), 0, 1, at);
      await segment.close();
    }
  }
  for (let block = 40; block < BLOCKS; block += 97) t.ok(await isRead(source, file, block), `block ${block}`);
  await waitUntil(
    async () => {
      const { code } = await cluster.run('dfs', ['fsck', cluster.metadata.address, '--deep'], {
        timeoutMs: 60_000,
      });
      return code === 0;
    },
    { what: 'both replicas are good again', deadlineMs: 90_000 },
  );
  await reader.stop();
});
