/**
 * Segments are compacted and fragmented files made whole under load, while servers are killed at any moment: writers and
 * readers with open files do not notice, and what is garbage goes (docs/decisions/01 and 06).
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { inClone } from '../support/programs.js';
import { untilSound } from '../support/repair-status.js';
import { recordedChunks } from '../support/replica-records.js';

const LONG = { timeout: 200_000 };
const BLOCKS = inClone('test/support/stamped-blocks.py');
const KILLS = 6;
const LONGEST_PAUSE_MS = 1200;
/** Of four files of 192 blocks; fewer than eight small pieces beside large ones are not worth the rewriting. */
const FEW_CHUNKS = 90;

t.test('garbage is collected, compacted and made whole while everybody is killed in turn', LONG, async t => {
  const cluster = await startCluster(t, {
    dataNodes: 0,
    metadataOptions: [
      '--defragment-after=0.2',
      '--collect-after=1',
      '--backup-interval=0',
      '--log-level=debug',
    ],
  });
  for (let node = 0; node < 2; node += 1) await cluster.addNode(['--segment-size=1M']);
  const mount = await cluster.addMount(['--goal=2', '--min-replicas=1']);
  const other = await cluster.addMount();
  const state = join(cluster.directory, 'state');
  const stop = join(cluster.directory, 'stop');
  const run = async (...parameters: string[]): Promise<string> =>
    await shell(`python3 ${BLOCKS} ${parameters.join(' ')}`, { timeoutMs: 120_000 });
  const said = (message: string): number =>
    [cluster.metadata, ...cluster.nodes]
      .map(({ logPath }) => readFileSync(logPath, 'utf8').split(message).length - 1)
      .reduce((sum, count) => sum + count, 0);
  const rewritten = (): number => said('"isDone":true');
  const compacted = (): number => said('removed a segment');

  const seed = Math.floor(Math.random() * 1e6);
  t.comment(`seed ${seed}`);
  const writing = run('write', mount.mountPoint, state, stop, String(seed));
  writing.catch(() => undefined);
  await waitUntil(() => compacted() > 0 && rewritten() > 0, { deadlineMs: 60_000, what: 'there is garbage' });
  const reading = run('read', other.mountPoint, stop);
  reading.catch(() => undefined);
  const [firstCompacted, firstRewritten] = [compacted(), rewritten()];
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = compacted() + rewritten();
    await waitUntil(() => compacted() + rewritten() > before, {
      what: 'there was something to do since the last kill',
    });
    await new Promise(resolve => setTimeout(resolve, Math.random() * LONGEST_PAUSE_MS));
    const victims = [cluster.metadata, ...cluster.nodes];
    const victim = victims[kill % victims.length];
    await victim?.kill9();
    await victim?.restart();
  }
  await waitUntil(() => compacted() > firstCompacted && rewritten() > firstRewritten, {
    what: 'segments were compacted, and files made whole, between the kills',
  });
  await writeFile(stop, '');
  const [writes, reads] = [Number((await writing).split('\n').at(-1)), Number(await reading)];
  t.ok(writes > 200 && reads > 10, `${writes} writes, everything read ${reads} times`);
  t.comment(`${rewritten()} pieces of files rewritten, ${compacted()} segments removed`);

  await waitUntil(() => recordedChunks(cluster).length <= FEW_CHUNKS, {
    deadlineMs: 60_000,
    what: 'every file is in few pieces',
  });
  await run('check', mount.mountPoint, state);
  const fresh = await cluster.addMount();
  await run('check', fresh.mountPoint, state);
  await fresh.stop();
  // What was written while a node was down has fewer replicas until repair has made them.
  await untilSound(cluster);
  const { code, stdout } = await cluster.run('dfs', ['fsck', cluster.metadata.address, '--deep']);
  t.equal(code, 0, stdout);
});
