/** Flipped bits on a data node's disk are never read by users; they are reported, put aside, and the replicas made again. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { inClone } from '../support/programs.js';

const LONG = { timeout: 200_000 };
const FLIPS = 100;
const FIRST_BYTE = 4096;

/** Flips one bit at each of many places of a data node's segments, spread evenly. */
async function flipBits(directory: string): Promise<void> {
  const segments = join(directory, 'segments');
  for (const name of await readdir(segments)) {
    const path = join(segments, name);
    const { size } = await stat(path);
    if (size <= FIRST_BYTE) continue;
    const file = await open(path, 'r+');
    const byte = Buffer.alloc(1);
    for (let flip = 0; flip < FLIPS; flip += 1) {
      const at = FIRST_BYTE + Math.floor(((size - FIRST_BYTE) * (flip + 0.5)) / FLIPS);
      await file.read(byte, 0, 1, at);
      byte.writeUInt8(byte.readUInt8(0) ^ 1, 0);
      await file.write(byte, 0, 1, at);
    }
    await file.close();
  }
}

t.test(
  'bits flip in a hundred places of one node: every file reads right, and fsck names and mends them',
  LONG,
  async t => {
    const cluster = await startCluster(t, { dataNodes: 3, mounts: 1, goal: 2 });
    const path = cluster.mounts[0]?.mountPoint ?? '';
    const fsck = async (...options: string[]) =>
      await cluster.run('dfs', ['fsck', cluster.metadata.address, ...options], { timeoutMs: 120_000 });
    const source = join(cluster.directory, 'source');
    await shell(`
    mkdir ${source} && cp -r ${inClone('src')} ${source}/small
    for file in $(seq 100); do head -c 300000 /dev/urandom > ${source}/large$file; done
    cp -r ${source} ${path}/copy && sync -f ${path}`);
    t.match(await fsck(), { code: 0, stdout: 'Nothing is wrong.\n' });
    const [, node] = cluster.nodes;
    if (!node) throw new Error('three nodes were asked for');
    await flipBits(node.directory);

    const reader = await cluster.addMount();
    await shell(`diff -r ${source} ${reader.mountPoint}/copy`, { timeoutMs: 120_000 });
    const found = await fsck('--deep', '--json');
    t.equal(found.code, 1);
    const findings = JSON.parse(found.stdout) as { kind: string; path: string; isRepaired: boolean }[];
    t.ok(findings.length > 0, 'what nobody had read is found');
    for (const { kind, path: where } of findings) {
      t.ok(['damaged', 'endangered'].includes(kind), kind);
      t.match(where, /^\/copy\//, 'by its path');
    }
    const aside = await readdir(join(node.directory, 'quarantine'));
    t.ok(aside.length > 20, `${aside.length} chunks are kept for inspection`);
    await waitUntil(async () => (await fsck('--deep')).code === 0, {
      deadlineMs: 90_000,
      what: 'every replica is good again',
    });

    await reader.stop();
  },
);
