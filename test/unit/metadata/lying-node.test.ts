/**
 * What a data node says of itself and of its chunks cannot spoil what the metadata server tells others: over a real connection, from
 * a member whose role it is (docs/decisions/41).
 */
import t from 'tap';
import { MAX_NODE_BYTES, MAX_NODES } from '../../../src/protocol/limits.js';
import { reg } from '../../../src/protocol/cluster-commands.js';
import { LyingNode } from '../../support/hostile/lying-node.js';
import { connect, serve } from '../vfs/support/connected-clients.js';

const MOST = Number.MAX_SAFE_INTEGER;
/** A terminal that was shown it would clear its screen. */
const STEERING = 'rack\u001b[2J';

t.test('nodes with more room than there is leave the sums of all whole numbers', async t => {
  const server = await serve(t);
  const [first, second] = [
    await LyingNode.start(t, server.endpoint),
    await LyingNode.start(t, server.endpoint),
  ];
  for (const node of [first, second]) {
    await node.register({ totalBytes: MOST, freeBytes: MOST, chunks: MOST });
    await node.beat({ totalBytes: 1, freeBytes: MOST, chunks: MOST });
    await node.beat({ totalBytes: MOST, freeBytes: MOST, chunks: MOST });
  }
  const client = await connect(t, server);
  const { totalBytes, freeBytes } = await client.statfs();
  t.ok(
    totalBytes <= 2 * MAX_NODE_BYTES && freeBytes <= totalBytes,
    `${freeBytes} of ${totalBytes} bytes are free`,
  );
  const listed = await client.cluster.nodes();
  t.ok(
    listed.every(node => node.freeBytes <= node.totalBytes),
    'no node has more room than it has disk',
  );
});

t.test('values that no node has are refused, and the node goes on', async t => {
  const server = await serve(t);
  const node = await LyingNode.start(t, server.endpoint);
  const space = { totalBytes: 1, freeBytes: 1, chunks: 0 };
  for (const wrong of [
    { freeBytes: -1 },
    { totalBytes: 2 ** 60 },
    { chunks: 0.5 },
    { dropped: [0] },
    { damaged: [-1] },
  ])
    await t.rejects(node.beat(wrong), { code: 'EPROTO' }, JSON.stringify(wrong));
  const at = { id: node.id, cluster: '', host: 'localhost', port: 1, ...space };
  for (const wrong of [
    { host: 'a b' },
    { host: STEERING },
    { host: 'x'.repeat(256) },
    { port: 0 },
    { domain: STEERING },
    { id: STEERING },
  ])
    await t.rejects(node.ask(reg, { ...at, ...wrong }), { code: 'EPROTO' }, JSON.stringify(wrong));
  t.equal((await node.beat()).known, true, 'it lives');
});

t.test('claims of chunks that were never given change nothing, however many', async t => {
  const server = await serve(t);
  const node = await LyingNode.start(t, server.endpoint);
  const client = await connect(t, server);
  const before = (await client.cluster.repairStatus()).total;
  for (let from = 0; from < 100_000; from += 4096) {
    const ids = Buffer.alloc(8 * 4096);
    for (let index = 0; index < 4096; index += 1)
      ids.writeBigUInt64LE(BigInt(2 ** 50 + from + index), 8 * index);
    t.equal((await node.report({ chunks: ids })).known, true);
  }
  const odd = Buffer.alloc(24);
  odd.writeBigUInt64LE(0n, 0);
  odd.writeBigUInt64LE(2n ** 64n - 1n, 8);
  odd.writeBigUInt64LE(2n ** 53n + 1n, 16);
  t.same(await node.report({ chunks: odd }), { known: true, through: MOST, missing: [] });
  t.same((await node.beat({ absent: [2 ** 50], damaged: [2 ** 50] })).drop, [], 'nothing is to be dropped');
  t.same((await client.cluster.repairStatus()).total, before, 'no chunk is on record that was not');
});

t.test('nobody speaks for another node, by whatever number', async t => {
  const server = await serve(t);
  const [one, other] = [await LyingNode.start(t, server.endpoint), await LyingNode.start(t, server.endpoint)];
  t.equal((await one.beat({ node: other.node })).known, false, 'its number');
  t.equal((await one.beat({ node: other.node, id: other.id })).known, false, 'its number and identity');
  t.equal((await one.report({ node: other.node, id: other.id })).known, false, 'its inventory');
  const { result } = await one.ask(reg, {
    id: other.id,
    cluster: '',
    host: '127.0.0.1',
    port: 1,
    totalBytes: 1,
    freeBytes: 1,
    chunks: 0,
  });
  t.equal(result, 'NAK', 'its registration');
  t.equal((await other.beat()).known, true, 'the other node lives');
});

t.test(`no more than ${MAX_NODES} nodes register`, { timeout: 60_000 }, async t => {
  const server = await serve(t);
  const node = await LyingNode.start(t, server.endpoint);
  const wishes = Array.from({ length: MAX_NODES }, (_, index) => ({
    id: `node-${String(index).padStart(8, '0')}`,
    cluster: '',
    host: '127.0.0.1',
    port: 1,
    totalBytes: 1,
    freeBytes: 1,
    chunks: 0,
  }));
  const results = await Promise.all(wishes.map(async wish => (await node.ask(reg, wish)).result));
  t.equal(results.filter(result => result === 'NAK').length, 1, 'one place was taken before');
  const { reason } = await node.ask(reg, { ...wishes[0], id: 'one-node-more' } as (typeof wishes)[0]);
  t.match(reason, /as many as there may be/);
  const listed = await (await connect(t, server)).cluster.nodes();
  t.equal(listed.length, MAX_NODES);
  t.equal((await node.beat()).known, true, 'those that are there go on');
});
