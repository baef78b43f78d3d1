import t from 'tap';
import { amend } from '../../../src/metadata/operations/amend.js';
import { grant } from '../../../src/metadata/operations/grant.js';
import { heartbeat } from '../../../src/metadata/operations/heartbeat.js';
import { nodes } from '../../../src/metadata/operations/nodes.js';
import { reg } from '../../../src/metadata/operations/reg.js';
import { statfs } from '../../../src/metadata/operations/statfs.js';
import { NODE_SUSPECT_MS } from '../../../src/protocol/limits.js';
import { refusal, startHarness } from './support/harness.js';

const SPACE = { totalBytes: 1e12, freeBytes: 5e11, chunks: 3 };
const place = (port: number) => ({ id: 'identity-1', cluster: '', host: '127.0.0.1', port, ...SPACE });

t.test('reg: ACK for a new node, DUP for a known one, at its new address too', async t => {
  const harness = await startHarness(t);
  const first = await harness.service.execute(reg, place(9001));
  t.match(first, { result: 'ACK', node: 1, cluster: harness.service.cluster });
  t.equal(first.grantKey.length, 32);
  t.match(await harness.service.execute(reg, place(9001)), { result: 'DUP', node: 1 });
  await harness.restart();
  t.match(await harness.service.execute(nodes, {}), { nodes: [{ node: 1, state: 'suspect', port: 9001 }] });
  t.match(await harness.service.execute(reg, place(9002)), { result: 'DUP', node: 1 });
  t.match(await harness.service.execute(nodes, {}), { nodes: [{ node: 1, state: 'live', port: 9002 }] });
  t.match(await harness.service.execute(reg, { ...place(9003), id: 'identity-2' }), {
    result: 'ACK',
    node: 2,
  });
});

t.test('reg: NAK for a directory of another cluster, naming both', async t => {
  const harness = await startHarness(t);
  const reply = await harness.service.execute(reg, { ...place(9001), cluster: 'strange' });
  t.equal(reply.result, 'NAK');
  t.match(reply.reason, /strange/);
  t.ok(reply.reason.includes(harness.service.cluster));
  t.equal(reply.grantKey.length, 0, 'and no key');
  const own = { ...place(9001), cluster: harness.service.cluster };
  t.equal((await harness.service.execute(reg, own)).result, 'ACK');
});

t.test(
  'reg: NAK while the same identity lives elsewhere, until it is silent or its connection closed',
  async t => {
    const harness = await startHarness(t);
    const peer = { isClosed: false };
    await harness.service.execute(reg, place(9001), peer);
    const refused = await harness.service.execute(reg, place(9002), { isClosed: false });
    t.equal(refused.result, 'NAK');
    t.match(refused.reason, /127\.0\.0\.1:9001/);
    peer.isClosed = true;
    t.equal((await harness.service.execute(reg, place(9002), { isClosed: false })).result, 'DUP', 'killed');
    harness.clock.advance(NODE_SUSPECT_MS + 1);
    t.equal((await harness.service.execute(reg, place(9003), { isClosed: false })).result, 'DUP', 'silent');
  },
);

t.test("nodes are told the server's time, and how far off their own clocks are", async t => {
  const harness = await startHarness(t);
  const HOUR_MS = 3_600_000;
  const { serverMs } = await harness.service.execute(reg, place(9001));
  const beat = { node: 1, id: 'identity-1', ...SPACE, dropped: [] };
  const wallMs = harness.clock.wallMs + HOUR_MS;
  t.match(await harness.service.execute(heartbeat, { ...beat, wallMs }), { skewMs: HOUR_MS });
  t.match((await harness.service.execute(nodes, {})).nodes, [{ skewMs: HOUR_MS }]);
  harness.clock.jumpMs = HOUR_MS;
  t.match(
    await harness.service.execute(heartbeat, { ...beat, wallMs }),
    { serverMs, skewMs: 0 },
    "grants do not expire because the server's clock is set",
  );
});

t.test('a heartbeat keeps a node alive; one that is not known must register', async t => {
  const harness = await startHarness(t);
  const beat = { node: 1, id: 'identity-1', ...SPACE, dropped: [] };
  t.match(await harness.service.execute(heartbeat, beat), { known: false, drop: [] });
  await harness.service.execute(reg, place(9001));
  harness.clock.advance(NODE_SUSPECT_MS);
  t.equal((await harness.service.execute(heartbeat, { ...beat, freeBytes: 7 })).known, true);
  harness.clock.advance(NODE_SUSPECT_MS);
  t.match(await harness.service.execute(nodes, {}), { nodes: [{ state: 'live', freeBytes: 7, chunks: 3 }] });
  harness.clock.advance(1);
  t.match(await harness.service.execute(nodes, {}), { nodes: [{ state: 'suspect' }] });
  t.equal((await harness.service.execute(heartbeat, { ...beat, id: 'identity-2' })).known, false);
  await harness.restart();
  t.equal((await harness.service.execute(heartbeat, beat)).known, false, 'it may have moved meanwhile');
});

t.test('statfs tells how much fits, at the number of replicas that files get', async t => {
  const harness = await startHarness(t);
  t.match(await harness.service.execute(statfs, {}), {
    totalBytes: 0,
    freeBytes: 0,
    liveNodes: 0,
    inodes: 1,
  });
  await harness.service.execute(reg, place(9001));
  const room = 5e11 - (64 << 20);
  t.match(await harness.service.execute(statfs, {}), { totalBytes: 1e12, freeBytes: room, liveNodes: 1 });
  await harness.service.execute(reg, { ...place(9002), id: 'identity-2' });
  t.match(await harness.service.execute(statfs, {}), { totalBytes: 1e12, freeBytes: room, liveNodes: 2 });
  await harness.service.execute(reg, { ...place(9003), id: 'identity-3' });
  t.match(await harness.service.execute(statfs, {}), {
    totalBytes: 1.5e12,
    freeBytes: 1.5 * room,
    liveNodes: 3,
  });
});

t.test('just after a start grants wait for the nodes that were there before', async t => {
  const harness = await startHarness(t);
  await harness.node('node-1');
  await harness.node('node-2');
  await harness.restart();
  const request = { count: 1, goal: 2, maxBytes: 1000, exclude: [] };
  await harness.node('node-1');
  t.equal(await refusal(harness.service.execute(grant, request)), 'EAGAIN');
  await harness.node('node-2');
  t.equal((await harness.service.execute(grant, request)).grants[0]?.nodes.length, 2);
  await harness.restart();
  harness.clock.advance(NODE_SUSPECT_MS + 1);
  await harness.node('node-1');
  t.equal((await harness.service.execute(grant, request)).grants[0]?.nodes.length, 1, 'but not for ever');
});

t.test('numbers of chunks are never given twice, not after a restart either', async t => {
  const harness = await startHarness(t);
  const seen = new Set<number>();
  for (let round = 0; round < 3; round += 1) {
    await harness.node('node-1');
    const request = { count: 64, goal: 1, maxBytes: 1000, exclude: [] };
    for (const each of (await harness.service.execute(grant, request)).grants) seen.add(each.chunk);
    await harness.restart();
  }
  t.equal(seen.size, 192);
});

t.test('a grant is amended with nodes that do not hold the chunk yet, failed ones last', async t => {
  const harness = await startHarness(t);
  const names = ['node-1', 'node-2', 'node-3'];
  for (const name of names) await harness.node(name);
  const client = await harness.client();
  const file = await client.file('file');
  const [stored] = await client.chunks([1000], 2);
  if (!stored) throw new Error('a grant');
  const [holder = 0, loser = 0] = stored.grant.nodes;
  const third = [1, 2, 3].find(node => !stored.grant.nodes.includes(node)) ?? 0;
  const request = { grant: stored.grant, goal: 2, stored: [holder], failed: [loser] };
  const reply = await client.ask(amend, request);
  t.same(reply.add, [third]);
  t.same(reply.grant.nodes, [holder, loser, third]);
  t.equal(reply.grant.chunk, stored.chunk);
  t.same(
    (await client.ask(amend, { ...request, goal: 3 })).add,
    [third, loser],
    'what failed is better than nothing',
  );
  t.same((await client.ask(amend, { ...request, goal: 1 })).add, [], 'nothing is missing');

  t.equal(await refusal(client.ask(amend, { ...request, stored: [third] })), 'EINVAL', 'not granted to it');
  const forged = { ...stored.grant, nodes: [third] };
  t.equal(await refusal(client.ask(amend, { ...request, grant: forged })), 'EINVAL', 'forged');

  harness.clock.advance(NODE_SUSPECT_MS + 1);
  t.same((await client.ask(amend, request)).add, [], 'nobody else lives');
  t.equal(await refusal(client.ask(amend, { ...request, stored: [] })), 'EAGAIN');

  const amended = { ...stored, nodes: [holder, third], grant: reply.grant };
  const extents = [{ offset: 0, length: 1000, chunk: stored.chunk, chunkOffset: 0 }];
  await client.commit(file.inode, extents, [amended]);
  t.equal(await refusal(client.ask(amend, request)), 'EINVAL', 'it is committed');
  await harness.pass(600_000);
  const loserName = names[loser - 1] ?? '';
  await harness.node(loserName);
  t.same(await harness.beat(loserName, loser), [stored.chunk], 'who failed drops what it may have');
});
