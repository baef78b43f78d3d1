/**
 * Each process is killed in turn under load and started again: nothing that was acknowledged is lost, and programs on
 * the mount see a pause rather than an error.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type Cluster, type ServerProcess } from '../support/cluster.js';

/**
 * Writes numbered files until told to stop, and notes each one whose close (or fsync, for every third) returned; the
 * content follows from the number, so that it can be checked afterwards.
 */
const WRITER = `
import os, sys, hashlib, time
root, acknowledged, stop = sys.argv[1:4]
number = 0
with open(acknowledged, 'a') as log:
    while not os.path.exists(stop) and number < 5000:
        number += 1
        data = hashlib.sha256(str(number).encode()).digest() * (1 + number * 37 % 4000)
        fd = os.open(os.path.join(root, 'file%d' % number), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, data)
        if number % 3 == 0:
            os.fsync(fd)
        os.close(fd)
        log.write('%d %f\\n' % (number, time.time()))
        log.flush()
`;

/** With a third parameter, a time in seconds: what was closed in the second before, and not fsynced, may be gone. */
const CHECKER = `
import os, sys, hashlib
root, acknowledged = sys.argv[1:3]
killed = float(sys.argv[3]) if len(sys.argv) > 3 else float('inf')
count = 0
for line in open(acknowledged):
    number, closed = int(line.split()[0]), float(line.split()[1])
    data = hashlib.sha256(str(number).encode()).digest() * (1 + number * 37 % 4000)
    path = os.path.join(root, 'file%d' % number)
    may_be_gone = number % 3 != 0 and closed > killed - 1
    if may_be_gone and not (os.path.exists(path) and os.path.getsize(path)):
        continue
    with open(path, 'rb') as f:
        if f.read() != data:
            sys.exit('file%d is not what was written' % number)
    count += 1
print(count)
`;

interface Load {
  readonly acknowledged: string;
  count(): Promise<number>;
  /** Ends the load and waits for it; the writer's exit code. */
  stop(): Promise<number | null>;
}

async function startLoad(t: Test, cluster: Cluster, root: string, name: string): Promise<Load> {
  const acknowledged = join(cluster.directory, `${name}.acknowledged`);
  const stopFile = join(cluster.directory, `${name}.stop`);
  await writeFile(acknowledged, '');
  await shell(`mkdir -p ${root}`);
  const child: ChildProcess = spawn('python3', ['-c', WRITER, root, acknowledged, stopFile], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: Buffer[] = [];
  child.stderr?.on('data', (data: Buffer) => said.push(data));
  const exited = new Promise<number | null>(resolve => {
    child.once('close', code => resolve(code));
  });
  t.teardown(() => child.kill('SIGKILL'));
  return {
    acknowledged,
    count: async () => (await readFile(acknowledged, 'utf8')).split('\n').length - 1,
    async stop() {
      await writeFile(stopFile, '');
      const code = await exited;
      if (said.length > 0) t.comment(Buffer.concat(said).toString());
      return code;
    },
  };
}

async function moreThan(load: Load, count: number): Promise<void> {
  await waitUntil(async () => (await load.count()) > count, {
    deadlineMs: 60_000,
    what: `more than ${count} files are written`,
  });
}

t.test('a server that is killed under load and started again is a pause, and loses nothing', async t => {
  const cluster = await startCluster(t, { dataNodes: 3, mounts: 1 });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('no mount');
  const victims: ServerProcess[] = [cluster.metadata, ...cluster.nodes];
  for (const victim of victims) {
    await t.test(`${victim.name} is killed`, async t => {
      const root = join(mount.mountPoint, victim.name);
      const load = await startLoad(t, cluster, root, victim.name);
      await moreThan(load, 20);
      await victim.kill9();
      const before = await load.count();
      await victim.restart();
      await moreThan(load, before + 20);
      t.equal(await load.stop(), 0, 'the program saw no error');
      const checked = await shell(`python3 -c "${CHECKER}" ${root} ${load.acknowledged}`);
      t.equal(Number(checked), await load.count());
    });
  }
  await t.test('everything is there after all of them were killed at once', async t => {
    for (const victim of victims) await victim.kill9();
    for (const victim of victims) await victim.restart();
    for (const victim of victims) {
      const acknowledged = join(cluster.directory, `${victim.name}.acknowledged`);
      const root = join(mount.mountPoint, victim.name);
      t.ok(Number(await shell(`python3 -c "${CHECKER}" ${root} ${acknowledged}`)) > 40);
    }
  });
});

t.test(
  'a mount that is killed loses what it closed in its last second at the most, and nothing fsynced',
  async t => {
    const cluster = await startCluster(t, { dataNodes: 3, mounts: 1 });
    const [mount] = cluster.mounts;
    if (!mount) throw new Error('no mount');
    const root = join(mount.mountPoint, 'files');
    const load = await startLoad(t, cluster, root, 'mount');
    await moreThan(load, 30);
    // What counts is what was closed more than a second before.
    const sinceMs = Date.now();
    await waitUntil(() => Date.now() > sinceMs + 1500, { what: 'those are older than a second' });
    const killedSeconds = Date.now() / 1000;
    await mount.kill9();
    await load.stop();
    await mount.restart();
    const checked = await shell(`python3 -c "${CHECKER}" ${root} ${load.acknowledged} ${killedSeconds}`);
    t.ok(Number(checked) > 30);
  },
);

t.test('with a node away, everything can be read and written; nothing hangs', async t => {
  const cluster = await startCluster(t, { dataNodes: 3, mounts: 1 });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('no mount');
  const root = join(mount.mountPoint, 'files');
  const load = await startLoad(t, cluster, root, 'away');
  await moreThan(load, 30);
  await cluster.nodes[0]?.kill9();
  const before = await load.count();
  await moreThan(load, before + 30);
  t.equal(await load.stop(), 0);
  const checked = await shell(`python3 -c "${CHECKER}" ${root} ${load.acknowledged}`);
  t.equal(Number(checked), await load.count());
});

t.test('a chunk that rotted on one node is read from the other', async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 1 });
  const [mount] = cluster.mounts;
  const [node] = cluster.nodes;
  if (!mount || !node) throw new Error('nothing started');
  const file = join(mount.mountPoint, 'precious');
  await shell(
    `head -c 5000000 /dev/urandom > ${cluster.directory}/original && cp ${cluster.directory}/original ${file}`,
  );
  await node.stop();
  // Every kilobyte of the node's segments gets a changed byte, heads excepted so that the chunks stay known.
  await shell(`python3 -c "
import glob
for path in glob.glob('${node.directory}/segments/*'):
    with open(path, 'r+b') as f:
        data = bytearray(f.read())
        for at in range(100000, len(data), 50000):
            data[at] ^= 0x40
        f.seek(0)
        f.write(data)
"`);
  await node.restart();
  await mount.stop();
  await mount.restart();
  await shell(`for i in 1 2 3; do cmp ${cluster.directory}/original ${file}; done`);
  t.pass();
});

t.test('without a metadata server calls fail with EIO in time, and work again when it is back', async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 1, mountOptions: ['--timeout', '3'] });
  const [mount] = cluster.mounts;
  if (!mount) throw new Error('no mount');
  await shell(`echo before > ${mount.mountPoint}/file`);
  await cluster.metadata.kill9();
  // A name that the kernel does not know: what it does may be answered under the lease.
  const said = await shell(`stat ${mount.mountPoint}/other 2>&1 || true`, { timeoutMs: 20_000 });
  t.match(said, /Input\/output error/);
  await cluster.metadata.restart();
  await waitUntil(
    async () =>
      (await shell(`cat ${mount.mountPoint}/file 2>&1 || true`, { timeoutMs: 20_000 })) === 'before',
    { deadlineMs: 20_000, what: 'the mount works again' },
  );
  await shell(`echo after > ${mount.mountPoint}/file`);
  t.equal(await shell(`cat ${mount.mountPoint}/file`), 'after');
});
