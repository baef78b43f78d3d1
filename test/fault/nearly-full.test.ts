/** Disks that fill up: every file that was taken has its replicas, the rest is ENOSPC, and df(1) says so before. */
import { statfs } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type Cluster } from '../support/cluster.js';
import { mountLoopDevice } from '../support/loop-device.js';
import { untilSound } from '../support/repair-status.js';

const MIB = 2 ** 20;
const FILE_MIB = 4;
/** Segment heads, and what the file system of a small disk needs. */
const TOLERANCE_MIB = 24;

/** Nodes on disks of these sizes. */
async function started(t: Test, mebibytes: number[], mountOptions: string[] = []): Promise<Cluster> {
  const sizes = [...mebibytes];
  return await startCluster(t, {
    dataNodes: sizes.length,
    mounts: 1,
    mountOptions,
    prepareDirectory: async directory => await mountLoopDevice(directory, sizes.shift() ?? 0),
  });
}

async function freeMib(mountPoint: string): Promise<number> {
  const { bavail, bsize } = await statfs(mountPoint);
  return Math.floor((bavail * bsize) / MIB);
}

/** Writes and fsyncs files until one is refused; how many were taken. */
async function fill(mountPoint: string): Promise<number> {
  const script = `
    cd ${mountPoint}; i=0
    while head -c ${FILE_MIB * MIB} /dev/urandom | dd of=f$i bs=1M iflag=fullblock conv=fsync status=none 2>${mountPoint}.refused; do i=$((i+1)); done
    rm -f f$i; echo $i`;
  const [count = ''] = (await shell(script)).split('\n');
  return Number(count);
}

t.test('at goal 2 a small node bounds what is taken, and all of it has two replicas', async t => {
  const cluster = await started(t, [400, 170]);
  const mountPoint = cluster.mounts[0]?.mountPoint ?? '';
  const before = await freeMib(mountPoint);
  const count = await fill(mountPoint);
  const takenMib = count * FILE_MIB;
  t.match(await shell(`cat ${mountPoint}.refused`), /No space left on device/);
  t.ok(takenMib >= before - TOLERANCE_MIB, `${takenMib} MiB were taken, and df had said ${before}`);
  await waitUntil(async () => (await freeMib(mountPoint)) < 2 * FILE_MIB, {
    what: 'df says that nothing is left',
  });
  await untilSound(cluster);
});

t.test('with --min-replicas 1 the larger node goes on alone', async t => {
  const cluster = await started(t, [300, 120], ['--min-replicas', '1']);
  const mountPoint = cluster.mounts[0]?.mountPoint ?? '';
  const both = await freeMib(mountPoint);
  const count = await fill(mountPoint);
  t.ok(
    count * FILE_MIB > both + TOLERANCE_MIB,
    `${count * FILE_MIB} MiB were taken, of which ${both} by both`,
  );
});
