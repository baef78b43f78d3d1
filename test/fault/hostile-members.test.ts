/**
 * A member that means no good, or a program gone mad with the cluster's key: half of very large requests, replies that it
 * does not read. The server's memory is bounded, others have their answers, and what it asked is forgotten when it is gone
 * (#17.6, #17.8).
 */
import t from 'tap';
import { encodeMessage } from '../../src/protocol/message.js';
import { shell, startCluster, waitUntil } from '../support/cluster.js';
import { halfWrites, unreadLists } from '../support/hostile/attacks.js';
import type { HostilePeer } from '../support/hostile/hostile-peer.js';
import { hostileMember } from '../support/hostile/member.js';
import { measureAttack } from '../support/hostile/measured-attack.js';
import { ProcessUsage } from '../support/hostile/process-usage.js';

const MIB = 1 << 20;
const LONG = { timeout: 180_000 };
const FILES = 3000;
/** What memory for half requests and replies may be, and what a garbage collector leaves of it for a while. */
const MAX_GROWTH_MIB = 350;
const MAX_ANSWER_MS = 5000;
const HALF_WRITES = { connections: 40, bytes: 60 * MIB };

t.test('half requests count as they arrive, and who stops in one is closed', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 1 });
  const [node] = cluster.nodes;
  if (!node) throw new Error('there is no node');
  const measured = await measureAttack(t, node, '40 half writes of 60 MiB', cluster.keyPath, async () => {
    const peers = await halfWrites(
      node.endpoint,
      async to => await hostileMember(to, 'data', cluster.keyPath),
      HALF_WRITES,
    );
    await waitUntil(() => peers.filter(({ isClosed }) => isClosed).length > 1, {
      what: 'the server gave up waiting for some of them, so that others have their turn',
    });
    for (const peer of peers) peer.close();
  });
  t.ok(measured.peakMib - measured.beforeMib < MAX_GROWTH_MIB, `grew to ${measured.peakMib} MiB`);
  t.ok(measured.maxMs < MAX_ANSWER_MS, `an answer took ${measured.maxMs.toFixed(1)} ms`);
});

t.test('replies that nobody reads are not made, and not at all when their client is gone', LONG, async t => {
  const cluster = await startCluster(t, { dataNodes: 1, mounts: 1 });
  const { metadata } = cluster;
  await shell(`cd "$DIRECTORY" && seq -f 'a-file-with-a-name-%g' ${FILES} | xargs touch && sync`, {
    env: { ...process.env, DIRECTORY: cluster.mounts[0]?.mountPoint ?? '' },
  });
  const request = encodeMessage({ root: 1, after: [], limit: 1024, recursive: true });
  const ask = { connections: 8, each: 250, request };
  let peers: HostilePeer[] = [];
  const measured = await measureAttack(
    t,
    metadata,
    '2000 lists that are not read',
    cluster.keyPath,
    async () => {
      peers = await unreadLists(
        metadata.endpoint,
        async to => await hostileMember(to, 'metadata', cluster.keyPath),
        ask,
      );
      const began = new ProcessUsage(metadata.pid);
      await waitUntil(() => began.usage.cpuSeconds > 0.5, { what: 'the server has made some' });
      await waitUntil(() => isQuiet(metadata.pid), { what: 'the server makes no more of them' });
    },
  );
  t.ok(measured.peakMib - measured.beforeMib < MAX_GROWTH_MIB, `grew to ${measured.peakMib} MiB`);
  t.ok(measured.maxMs < MAX_ANSWER_MS, `an answer took ${measured.maxMs.toFixed(1)} ms`);
  for (const peer of peers) peer.close();

  const left = await unreadLists(
    metadata.endpoint,
    async to => await hostileMember(to, 'metadata', cluster.keyPath),
    ask,
  );
  for (const peer of left) peer.close();
  const after = new ProcessUsage(metadata.pid);
  await waitUntil(() => isQuiet(metadata.pid), { what: 'the server does nothing for those that are gone' });
  t.comment(`after they are gone: ${after.usage.cpuSeconds.toFixed(2)} s of processor time`);
  t.ok(after.usage.cpuSeconds < 5, `${after.usage.cpuSeconds.toFixed(2)} s of processor time`);
});

/** Whether the process takes next to no processor time for half a second. */
async function isQuiet(pid: number): Promise<boolean> {
  const watch = new ProcessUsage(pid);
  await new Promise(resolve => setTimeout(resolve, 500));
  return watch.usage.cpuSeconds < 0.15;
}
