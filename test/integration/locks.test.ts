import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type Cluster } from '../support/cluster.js';
import { LOST_CONNECTION_MS, LOCK_POLL_MS } from '../../src/protocol/limits.js';

const program = new URL('../../../test/support/locking.py', import.meta.url).pathname;
const LONG = { timeoutMs: 150_000 };

async function locking(...parameters: string[]): Promise<string> {
  return await shell(`python3 ${program} ${parameters.join(' ')}`, LONG);
}

/** A file on a cluster with two mounts by the kernel driver, and its path on each. */
async function twoMounts(t: Test, options: readonly string[] = []): Promise<[Cluster, string, string]> {
  const mountOptions = ['--driver', 'kernel', ...options];
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 2, mountOptions });
  const [first, second] = cluster.mounts.map(mount => mount.mountPoint);
  if (first === undefined || second === undefined) throw new Error('two mounts were asked for');
  await writeFile(join(first, 'file'), '0'.repeat(200));
  return [cluster, join(first, 'file'), join(second, 'file')];
}

/** A process that holds a lock, until the function that is returned is called, or the test ends. */
async function holder(t: Test, kind: string, path: string): Promise<(signal?: string) => Promise<void>> {
  const output = `$(mktemp)`;
  const [pid, said] = (
    await shell(`out=${output}; python3 ${program} hold ${kind} ${path} > $out 2>&1 & echo $! $out`)
  ).split(' ');
  if (pid === undefined || said === undefined) throw new Error('the holder did not start');
  const release = async (signal = 'TERM'): Promise<void> => {
    await shell(`kill -${signal} ${pid} 2>/dev/null || true; rm -f ${said}`);
  };
  t.teardown(release);
  await waitUntil(async () => (await shell(`cat ${said}`)) === 'held', { what: `${path} is locked` });
  return release;
}

for (const cacheOptions of [[], ['--attr-timeout', '30', '--entry-timeout', '30']]) {
  t.test(
    `a counter under a lock loses nothing (${cacheOptions.join(' ') || 'no kernel caches'})`,
    async t => {
      const [, ours, theirs] = await twoMounts(t, cacheOptions);
      for (const kind of ['flock', 'fcntl']) {
        await writeFile(ours, '00000000');
        await Promise.all([locking('count', kind, ours, '60'), locking('count', kind, theirs, '60')]);
        t.equal(await shell(`flock ${theirs} cat ${theirs}`), '00000120', kind);
      }
    },
  );
}

t.test('locks hold over two mounts as fcntl(2) and flock(2) say', async t => {
  const [, ours, theirs] = await twoMounts(t);

  await t.test('ranges are split, and are read or write locks', async t => {
    t.equal(
      await locking('ranges', ours, theirs),
      'EAGAIN, free, free, EAGAIN, free, EAGAIN, EAGAIN, free, write 50+10',
    );
  });

  await t.test('closing any descriptor releases POSIX locks, closing the last one the flock', async t => {
    t.equal(await locking('closing', ours, theirs), 'got it\nEAGAIN');
    t.equal(await locking('attempt', 'flock', theirs), 'got it');
  });

  await t.test('a deadlock of two clients is told to one of them', async t => {
    t.same((await locking('deadlock', ours, theirs)).split('\n').sort(), ['EDEADLK', 'got it']);
  });

  for (const kind of ['flock', 'fcntl']) {
    await t.test(`${kind}: who waits gets the lock when its holder dies, and not before`, async t => {
      const release = await holder(t, kind, ours);
      t.equal(await locking('attempt', kind, theirs), 'EAGAIN');
      t.equal(await locking('interrupted', kind, theirs), 'interrupted');
      const waiting = locking('wait', kind, theirs);
      // Longer than the server keeps a request, with what it takes to start the program.
      await shell('sleep 9');
      await release('KILL');
      const waitedMs = Number(await waiting) * 1000;
      t.ok(waitedMs > LOCK_POLL_MS && waitedMs < 20_000, `waited ${waitedMs} ms, over a poll of the server`);
      t.equal(await locking('attempt', kind, ours), 'got it', 'the one who was interrupted does not have it');
    });
  }
});

t.test('locks of a mount that is killed are free soon after', async t => {
  const [cluster, ours, theirs] = await twoMounts(t);
  await holder(t, 'flock', ours);
  await holder(t, 'fcntl', ours);
  t.equal(await locking('attempt', 'flock', theirs), 'EAGAIN');
  const start = performance.now();
  await cluster.mounts[0]?.kill9();
  await Promise.all([locking('wait', 'flock', theirs), locking('wait', 'fcntl', theirs)]);
  t.ok(performance.now() - start < LOST_CONNECTION_MS + 10_000, 'long before the session would expire');
});

t.test('locks outlive the metadata server', async t => {
  const [cluster, ours, theirs] = await twoMounts(t);
  const release = await holder(t, 'fcntl', ours);
  await holder(t, 'flock', ours);
  const waiting = locking('wait', 'fcntl', theirs);
  await cluster.metadata.kill9();
  await cluster.metadata.start();
  t.equal(await locking('attempt', 'flock', theirs), 'EAGAIN');
  t.equal(await locking('attempt', 'fcntl', theirs), 'EAGAIN');
  await release();
  t.match(await waiting, /^\d/);
  t.equal(await locking('attempt', 'fcntl', ours), 'got it');
});
