/** What data nodes are asked to sync before the commits that name it are on stable storage. */
import t from 'tap';
import type { NodeConnection } from '../../../src/metadata/node-orders.js';
import { ReplicaSync } from '../../../src/metadata/replica-sync.js';
import { UnsyncedReplicas } from '../../../src/metadata/unsynced-replicas.js';
import { silent } from '../datanode/store-fixture.js';
import { ManualClock } from '../../support/manual-clock.js';

interface Asked {
  readonly chunks: readonly number[];
  answer(absent?: readonly number[]): void;
  fail(): void;
}

/** A data node that answers when the test says so. */
class ScriptedNode {
  readonly asked: Asked[] = [];
  isClosed = false;

  readonly call = (async (_command: unknown, { chunks }: { readonly chunks: readonly number[] }) => {
    return await new Promise((resolve, reject) => {
      this.asked.push({
        chunks,
        answer: (absent = []) => resolve({ reply: { absent } }),
        fail: () => reject(new Error('the disk failed')),
      });
    });
  }) as unknown as NodeConnection['call'];
}

function start() {
  const clock = new ManualClock();
  const unsynced = new UnsyncedReplicas(clock);
  const nodes = new Map([1, 2].map(node => [node, new ScriptedNode()]));
  const forgotten: (readonly [number, readonly number[]])[] = [];
  const replicas = new ReplicaSync({
    clock,
    log: silent,
    unsynced,
    connectionOf: node => nodes.get(node),
    forget: async (node, chunks) => void forgotten.push([node, chunks]),
  });
  const node = (number: number): ScriptedNode => nodes.get(number) ?? new ScriptedNode();
  return { clock, unsynced, replicas, one: node(1), two: node(2), forgotten };
}

async function turn(): Promise<void> {
  await new Promise(setImmediate);
}

t.test('each node is asked for its chunks, and all answers are waited for', async t => {
  const { unsynced, replicas, one, two } = start();
  unsynced.add(7, 100, [1, 2]);
  unsynced.add(7, 101, [2]);
  t.equal(replicas.isNeeded, true);
  let isOver = false;
  const over = replicas.sync(400).then(() => (isOver = true));
  await turn();
  t.same(one.asked[0]?.chunks, [100]);
  t.same(two.asked[0]?.chunks, [100, 101]);
  one.asked[0]?.answer();
  await turn();
  t.equal(isOver, false);
  t.same(unsynced.ofInode(7), [
    { node: 2, chunk: 100 },
    { node: 2, chunk: 101 },
  ]);
  two.asked[0]?.answer();
  await over;
  t.equal(replicas.isNeeded, false);
  t.same(unsynced.ofInode(7), []);
});

t.test('what is committed during a sync is asked for by the next one', async t => {
  const { unsynced, replicas, one } = start();
  unsynced.add(7, 100, [1]);
  const first = replicas.sync(400);
  await turn();
  unsynced.add(7, 101, [1]);
  const second = replicas.sync(400);
  one.asked[0]?.answer();
  await first;
  await turn();
  t.same(one.asked[1]?.chunks, [101]);
  one.asked[1]?.answer();
  await second;
  t.equal(replicas.isNeeded, false);
});

t.test('a node that does not answer, or is away, holds nobody up', async t => {
  const { clock, unsynced, replicas, one, two } = start();
  two.isClosed = true;
  unsynced.add(7, 100, [1, 2]);
  const first = replicas.sync(400);
  await turn();
  t.equal(two.asked.length, 0);
  clock.advance(400);
  await first;
  t.equal(replicas.isNeeded, false, 'it is not worth waiting for');
  unsynced.add(7, 101, [1]);
  await replicas.sync(400);
  t.equal(unsynced.ofInode(7).length, 3, 'nothing is taken for synced');
  one.asked[0]?.answer();
  await turn();
  await turn();
  one.asked[1]?.fail();
  await turn();
  t.equal(replicas.isNeeded, false, 'one that fails is not waited for either');
  const again = replicas.sync(400);
  await turn();
  one.asked[2]?.answer();
  await again;
  await turn();
  unsynced.add(7, 102, [1]);
  t.equal(replicas.isNeeded, true, 'it answers again');
});

t.test('a replica that its node lost is taken off the record, and fsync still hears of it', async t => {
  const { clock, unsynced, replicas, one, two, forgotten } = start();
  unsynced.add(7, 100, [1, 2]);
  unsynced.share(8, 100);
  const over = replicas.sync(400);
  await turn();
  one.asked[0]?.answer([100]);
  two.asked[0]?.answer();
  await over;
  t.same(forgotten, [[1, [100]]]);
  t.same(unsynced.ofInode(7), [{ node: 1, chunk: 100 }]);
  t.same(unsynced.ofInode(8), [{ node: 1, chunk: 100 }], 'whose file shares the chunk, too');
  clock.advance(60_000);
  t.same(unsynced.ofInode(7), []);
});

t.test('a commit that is rolled back names nothing', async t => {
  const { unsynced, replicas } = start();
  unsynced.add(7, 100, [1]);
  unsynced.remove(100);
  t.equal(replicas.isNeeded, false);
  t.same(unsynced.ofInode(7), []);
});
