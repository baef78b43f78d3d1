/** What a power loss leaves, in scenarios that random runs meet rarely. */
import { constants } from 'node:fs';
import t from 'tap';
import { sleep } from '../../src/platform/clock.js';
import { hasCode } from '../../src/protocol/errors.js';
import { ROOT_INODE } from '../../src/protocol/file-mode.js';
import { readAll, scene } from './scene.js';

const SEEDS = 8;
const OWNER = { mode: 0o644, uid: 0, gid: 0 };
/** Bytes of a chunk in a simulated cluster. */
const CHUNK_BYTES = 8 << 10;

t.test('fsync by another mount stores anew what a node has lost, so that the other node may go', async t => {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { cluster, random, until, freshClient } = await scene(seed, 2);
    const [first, second] = cluster.nodes;
    const writer = await freshClient();
    const other = await freshClient();
    if (!first || !second) return;
    const content = random.bytes(3 * CHUNK_BYTES);
    const { inode } = await until(async () => {
      const name = Buffer.from('file');
      const { handle, attributes } = await writer.vfs.create(ROOT_INODE, name, OWNER, true, constants.O_RDWR);
      await writer.vfs.write(handle, 0, content);
      await writer.vfs.flush(handle);
      // Sees that it is written.
      await other.vfs.getattr(attributes.inode);
      return attributes;
    });
    cluster.kill(first, true);
    await until(async () => {
      await cluster.start(first);
      const handle = await other.vfs.open(inode, constants.O_RDWR);
      await other.vfs.fsync(handle);
    });
    cluster.kill(second, true);
    const fresh = await freshClient();
    const found = await until(async () => await readAll(fresh, inode)).catch((error: unknown) => error);
    t.same(found, content, `seed ${seed}`);
  }
});

t.test('after a power loss of everything no name leads to bytes that no node has', async t => {
  let files = 0;
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { cluster, random, until, freshClient } = await scene(seed, 3);
    cluster.metadata.disk.faults.keptDatabaseChance = 0;
    const writers = [await freshClient(), await freshClient()];
    const lastsMs = random.between(300, 2000);
    // With an fsync now and then the metadata of all other files goes to the disk at once.
    const fsyncChance = random.pick([0, 0, 0.02]);
    for (const [index, { vfs, clock }] of writers.entries()) {
      // Ends with its process.
      const write = async (): Promise<void> => {
        for (let count = 0; ; count += 1) {
          const name = Buffer.from(`${index}-${count}`);
          const { handle } = await vfs.create(ROOT_INODE, name, OWNER, true, constants.O_RDWR);
          await vfs.write(handle, 0, Buffer.alloc(1000, 1 + (count % 255)));
          if (random.isChance(fsyncChance)) await vfs.fsync(handle);
          await vfs.release(handle);
          await sleep(clock, 10);
        }
      };
      void write().catch(() => undefined);
    }
    await cluster.scheduler.run(() => false, cluster.scheduler.nowMs + lastsMs);
    for (const { machine } of writers) cluster.kill(machine, true);
    for (const server of cluster.servers) cluster.kill(server, true);
    await until(async () => {
      await Promise.all(cluster.servers.map(async server => await cluster.start(server)));
    });
    const fresh = await freshClient();
    const found = await until(async () => {
      const inodes: number[] = [];
      for await (const { attributes } of fresh.vfs.readdir(ROOT_INODE)) inodes.push(attributes.inode);
      const lost: number[] = [];
      for (const inode of inodes) {
        try {
          await readAll(fresh, inode);
        } catch (error) {
          if (!hasCode(error, 'EIO')) throw error;
          lost.push(inode);
        }
      }
      return { lost, count: inodes.length };
    });
    files += found.count;
    t.same(found.lost, [], `seed ${seed}: ${found.count} files were found`);
  }
  t.ok(files > SEEDS * 10, `${files} files were found`);
});
