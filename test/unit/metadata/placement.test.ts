import t from 'tap';
import type { DataNode } from '../../../src/metadata/node-table.js';
import {
  eligibleNodes,
  furtherNodes,
  hashFraction,
  placeChunk as place,
  storableBytes,
  type EligibleNodes,
  type PlacementRequest,
} from '../../../src/metadata/placement.js';
import { toDfsError } from '../../../src/protocol/errors.js';
import { ascending } from '../../support/ascending.js';
import { refusal } from './support/harness.js';

const GIB = 2 ** 30;

function node(number: number, freeBytes = 100 * GIB, domain = ''): DataNode {
  return {
    record: {
      node: number,
      id: `node-${number}`,
      host: `host${number}`,
      port: 9000,
      domain,
      isDraining: false,
      member: '',
    },
    space: { totalBytes: 200 * GIB, freeBytes, chunks: 0 },
    heardMs: 0,
    hasReported: true,
    skewMs: 0,
    peer: undefined,
    proof: Buffer.alloc(0),
  };
}

const request = { goal: 2, maxBytes: 4 << 20, exclude: new Set<number>() };

function placeChunk(chunk: number, nodes: readonly DataNode[], goal: number): number[] {
  return place(chunk, { wanted: nodes, unwanted: [] }, goal);
}

t.test('a chunk goes to as many different nodes as its goal says, or as there are', async t => {
  const nodes = [node(1), node(2), node(3), node(4)];
  for (let chunk = 1; chunk < 200; chunk += 1) {
    const chosen = placeChunk(chunk, nodes, 3);
    t.equal(new Set(chosen).size, 3);
    t.same(placeChunk(chunk, nodes, 3), chosen, 'the same every time');
  }
  t.same(placeChunk(1, nodes, 9).toSorted(ascending), [1, 2, 3, 4]);
  t.same(placeChunk(1, [node(7)], 2), [7]);
});

t.test('chunks, and the first place among their nodes, are spread evenly', async t => {
  const nodes = [node(1), node(2), node(3)];
  const copies = new Map<number, number>();
  const firsts = new Map<number, number>();
  for (let chunk = 1; chunk <= 30_000; chunk += 1) {
    const chosen = placeChunk(chunk, nodes, 2);
    for (const each of chosen) copies.set(each, (copies.get(each) ?? 0) + 1);
    const [first = 0] = chosen;
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  for (const each of [1, 2, 3]) {
    t.ok(Math.abs((copies.get(each) ?? 0) - 20_000) < 600, `node ${each} has ${copies.get(each)} copies`);
    t.ok(Math.abs((firsts.get(each) ?? 0) - 10_000) < 600, `node ${each} is first for ${firsts.get(each)}`);
  }
});

t.test('a node gets a share of its free space, and a new one takes only its share', async t => {
  const nodes = [node(1, 100 * GIB), node(2, 300 * GIB)];
  let onLarge = 0;
  let moved = 0;
  for (let chunk = 1; chunk <= 20_000; chunk += 1) {
    const [before] = placeChunk(chunk, nodes, 1);
    if (before === 2) onLarge += 1;
    const [after] = placeChunk(chunk, [...nodes, node(3, 100 * GIB)], 1);
    if (after !== before) {
      moved += 1;
      if (after !== 3) t.fail(`chunk ${chunk} went from ${before} to ${after}`);
    }
  }
  t.ok(Math.abs(onLarge - 15_000) < 400, `${onLarge} of 20000 on the node with three quarters`);
  t.ok(Math.abs(moved - 4000) < 400, `${moved} of 20000 moved to the node with a fifth`);
});

t.test('full nodes get nothing, and unwanted ones only as far as there are too few others', async t => {
  const nodes = [node(1), node(2), node(3), node(4, 1000)];
  const without = (...exclude: number[]): EligibleNodes =>
    eligibleNodes(nodes, { ...request, exclude: new Set(exclude) });
  for (let chunk = 1; chunk < 100; chunk += 1) {
    t.same(place(chunk, without(), 9).toSorted(ascending), [1, 2, 3], 'the full one is left out');
    t.same(place(chunk, without(1), 2).toSorted(ascending), [2, 3]);
    const [first, ...rest] = place(chunk, without(1, 3), 2);
    t.equal(first, 2, 'the unwanted ones come last');
    t.equal(rest.length, 1);
    t.same(
      place(chunk, without(1, 2, 3), 3).toSorted(ascending),
      [1, 2, 3],
      'unwanted ones are better than none',
    );
  }
  t.equal(await refusal((async () => eligibleNodes([], request))()), 'EAGAIN');
  t.equal(await refusal((async () => eligibleNodes([node(3, 1000)], request))()), 'ENOSPC');
});

t.test(
  'a full node lives: a chunk that needs it too is refused, rather than given fewer replicas',
  async t => {
    const nodes = [node(1), node(2, 1000)];
    const refused = (changes: Partial<PlacementRequest>): string | undefined => {
      try {
        eligibleNodes(nodes, { ...request, ...changes });
        return undefined;
      } catch (error) {
        return toDfsError(error).message;
      }
    };
    t.match(refused({}), /^1 of the 2 live data nodes have room left, and 2 are needed/);
    t.equal(refused({ goal: 1 }), undefined);
    t.equal(refused({ minReplicas: 1 }), undefined, 'unless one is enough');
    t.match(refused({ minReplicas: 2 }), /2 are needed/);
    nodes.pop();
    t.equal(refused({}), undefined, 'as many as live');
  },
);

t.test('what can be stored at a goal is bounded by the nodes that have least', async t => {
  t.equal(storableBytes([100, 100, 100], 2), 150);
  t.equal(storableBytes([1000, 10], 2), 10, 'the large one has to share every chunk with the small one');
  t.equal(storableBytes([1000, 10, 20], 2), 30);
  t.equal(storableBytes([1000, 500, 10], 3), 10);
  t.equal(storableBytes([1000, 0], 2), 0);
  t.equal(storableBytes([1000], 2), 0);
  t.equal(storableBytes([], 1), 0);
  t.equal(storableBytes([7, 5], 1), 12);
  for (let run = 0; run < 300; run += 1) {
    const rooms = Array.from({ length: 1 + (run % 5) }, (_, index) =>
      Math.floor(1000 * hashFraction(run, index)),
    );
    const replicas = 1 + (run % rooms.length);
    const most = storableBytes(rooms, replicas);
    const fits = (bytes: number): boolean =>
      rooms.reduce((sum, room) => sum + Math.min(room, bytes), 0) >= replicas * bytes;
    t.ok(fits(most) && !fits(most + 1), `${rooms.join(' ')} at ${replicas}: ${most}`);
  }
});

t.test('further replicas go to other failure domains, then to unwanted nodes', async t => {
  const rackA = [node(1, GIB, 'a'), node(2, GIB, 'a')];
  const rackB = [node(3, GIB, 'b'), node(4, GIB, 'b')];
  const [holder, sibling] = rackA;
  if (!holder || !sibling) throw new Error('two nodes');
  for (let chunk = 1; chunk < 100; chunk += 1) {
    const [next] = furtherNodes(chunk, { wanted: [sibling, ...rackB], unwanted: [] }, 1, [holder]);
    t.ok(next === 3 || next === 4, `${next} is in another rack`);
    t.same(furtherNodes(chunk, { wanted: [sibling], unwanted: rackB }, 1, [holder]), [2]);
    t.equal(furtherNodes(chunk, { wanted: [sibling], unwanted: rackB }, 2, [holder])[0], 2);
  }
});

t.test('the hash is a fraction that depends on chunk and node', async t => {
  const seen = new Set<number>();
  for (let chunk = 0; chunk < 100; chunk += 1) {
    for (const which of [0, 1, 2]) {
      const fraction = hashFraction(chunk * 2 ** 32 + 5, which);
      t.ok(fraction > 0 && fraction < 1);
      seen.add(fraction);
    }
  }
  t.equal(seen.size, 300);
});
