import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { shell, startCluster, waitUntil, type MountProcess } from '../support/cluster.js';
import { LOST_CONNECTION_MS, LOCK_POLL_MS } from '../../src/protocol/limits.js';

const program = new URL('../../../test/support/locking.py', import.meta.url).pathname;
const KINDS = ['flock', 'fcntl'];
const LONG = { timeoutMs: 150_000 };

async function locking(...parameters: string[]): Promise<string> {
  return await shell(`python3 ${program} ${parameters.join(' ')}`, LONG);
}

/** The file `name`, new, and its path on each of two mounts. */
async function fileOn(mounts: readonly MountProcess[], name: string): Promise<[string, string]> {
  const [first, second] = mounts.map(mount => join(mount.mountPoint, name));
  if (first === undefined || second === undefined) throw new Error('two mounts were asked for');
  await writeFile(first, '0'.repeat(200));
  return [first, second];
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

t.test('locks hold over all mounts of a cluster', async t => {
  const cluster = await startCluster(t, { dataNodes: 2, mounts: 2, mountOptions: ['--driver', 'kernel'] });
  const [first] = cluster.mounts;
  const mounts = [...cluster.mounts];

  for (const cacheOptions of [[], ['--attr-timeout', '30', '--entry-timeout', '30']]) {
    await t.test(
      `a counter under a lock loses nothing (${cacheOptions.join(' ') || 'no kernel caches'})`,
      async t => {
        const isOther = cacheOptions.length > 0;
        const pair = isOther
          ? [await cluster.addMount(cacheOptions), await cluster.addMount(cacheOptions)]
          : mounts;
        const [ours, theirs] = await fileOn(pair, `counter${cacheOptions.length}`);
        for (const kind of KINDS) {
          await writeFile(ours, '00000000');
          await Promise.all([locking('count', kind, ours, '60'), locking('count', kind, theirs, '60')]);
          t.equal(await shell(`flock ${theirs} cat ${theirs}`), '00000120', kind);
        }
        if (isOther) for (const mount of pair) await mount.stop();
      },
    );
  }

  await t.test('ranges are split, and are read or write locks', async t => {
    const [ours, theirs] = await fileOn(mounts, 'ranges');
    t.equal(
      await locking('ranges', ours, theirs),
      'EAGAIN, free, free, EAGAIN, free, EAGAIN, EAGAIN, free, write 50+10',
    );
  });

  await t.test('closing any descriptor releases POSIX locks, closing the last one the flock', async t => {
    const [ours, theirs] = await fileOn(mounts, 'closing');
    t.equal(await locking('closing', ours, theirs), 'got it\nEAGAIN');
    t.equal(await locking('attempt', 'flock', theirs), 'got it');
  });

  await t.test('a deadlock of two clients is told to one of them', async t => {
    const [ours, theirs] = await fileOn(mounts, 'deadlock');
    t.same((await locking('deadlock', ours, theirs)).split('\n').sort(), ['EDEADLK', 'got it']);
  });

  await t.test('who waits gets the lock when its holder dies, and not before', async t => {
    const check = async (kind: string): Promise<void> => {
      const [ours, theirs] = await fileOn(mounts, `waiting-${kind}`);
      const release = await holder(t, kind, ours);
      t.equal(await locking('attempt', kind, theirs), 'EAGAIN', kind);
      t.equal(await locking('interrupted', kind, theirs), 'interrupted', kind);
      const waiting = locking('wait', kind, theirs);
      // Longer than the server keeps a request, with what it takes to start the program.
      await shell('sleep 9');
      await release('KILL');
      const waitedMs = Number(await waiting) * 1000;
      t.ok(
        waitedMs > LOCK_POLL_MS && waitedMs < 20_000,
        `${kind}: waited ${waitedMs} ms, over a poll of the server`,
      );
      t.equal(
        await locking('attempt', kind, ours),
        'got it',
        `${kind}: the interrupted one does not have it`,
      );
    };
    await Promise.all(KINDS.map(check));
  });

  await t.test('locks outlive the metadata server', async t => {
    const [ours, theirs] = await fileOn(mounts, 'outliving');
    const release = await holder(t, 'fcntl', ours);
    const releaseOther = await holder(t, 'flock', ours);
    const waiting = locking('wait', 'fcntl', theirs);
    await cluster.metadata.kill9();
    await cluster.metadata.start();
    t.equal(await locking('attempt', 'flock', theirs), 'EAGAIN');
    t.equal(await locking('attempt', 'fcntl', theirs), 'EAGAIN');
    await release();
    t.match(await waiting, /^\d/);
    t.equal(await locking('attempt', 'fcntl', ours), 'got it');
    await releaseOther();
  });

  await t.test('locks of a mount that is killed are free soon after', async t => {
    const [ours, theirs] = await fileOn(mounts, 'killed');
    await holder(t, 'flock', ours);
    await holder(t, 'fcntl', ours);
    t.equal(await locking('attempt', 'flock', theirs), 'EAGAIN');
    const start = performance.now();
    await first?.kill9();
    await Promise.all([locking('wait', 'flock', theirs), locking('wait', 'fcntl', theirs)]);
    t.ok(performance.now() - start < LOST_CONNECTION_MS + 10_000, 'long before the session would expire');
  });
});
