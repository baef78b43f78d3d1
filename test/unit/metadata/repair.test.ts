import t from 'tap';
import { NodeTable } from '../../../src/metadata/node-table.js';
import { planReplicas } from '../../../src/metadata/repair/replica-plan.js';
import { RepairNotes } from '../../../src/metadata/repair/repair-notes.js';
import { MOVE, RepairQueue, TRIM } from '../../../src/metadata/repair/repair-queue.js';
import {
  balanceOf,
  bytesToMove,
  planMove,
  seemUneven,
  watchBalance,
  type Move,
} from '../../../src/metadata/repair/replica-move.js';

const GB = 1e9;
const MB = 1e6;

interface Place {
  readonly domain: string;
  /** GB on record, of 100. */
  readonly load: number;
}

/** Nodes 1, 2, … with disks of 100 GB. */
function tableOf(...places: Place[]): NodeTable {
  const table = new NodeTable(0);
  const loads = new Map<number, number>();
  for (const [index, { domain, load }] of places.entries()) {
    const node = index + 1;
    const record = {
      node,
      id: `identity-${node}`,
      host: '127.0.0.1',
      port: 9000 + node,
      domain,
      isDraining: false,
      member: '',
    };
    const space = { totalBytes: 100 * GB, freeBytes: (100 - load) * GB, chunks: 1 };
    table.set({
      record,
      space,
      heardMs: 0,
      hasReported: true,
      skewMs: 0,
      peer: undefined,
      proof: Buffer.alloc(0),
    });
    loads.set(node, load * GB);
  }
  table.loads.replace(loads);
  return table;
}

function moveOf(table: NodeTable, nodes: number[], goal = nodes.length): Move | undefined {
  const notes = new RepairNotes();
  notes.isRebalancing = true;
  const record = { chunk: 7, length: 4 * MB, checksum: 0, references: 1, goal, nodes };
  return planMove(record, planReplicas(record, table, 1), balanceOf(table, notes, 1), table);
}

function numbers(move: Move | undefined): number[] | undefined {
  return move?.candidates.map(({ record }) => record.node);
}

t.test('chunks move from nodes above the mean to nodes below it, and no further', t => {
  const table = tableOf(
    { domain: 'a', load: 50 },
    { domain: 'b', load: 40 },
    { domain: 'c', load: 30 },
    { domain: 'd', load: 0 },
  );
  t.same(numbers(moveOf(table, [1, 2])), [4], 'the mean is at 30');
  t.equal(moveOf(table, [3, 4]), undefined, 'neither is above it');
  const notes = new RepairNotes();
  notes.isRebalancing = true;
  t.equal(bytesToMove(balanceOf(table, notes, 1), table), 30 * GB);
  // What was moved counts at once, though the disks say nothing of it yet.
  table.loads.add(1, -20 * GB);
  table.loads.add(2, -10 * GB);
  table.loads.add(4, 30 * GB);
  t.equal(moveOf(table, [1, 2]), undefined);
  t.equal(bytesToMove(balanceOf(table, notes, 1), table), 0);
  t.end();
});

t.test('a move never leaves replicas in fewer failure domains, so it is never undone', t => {
  const table = tableOf(
    { domain: 'rack1', load: 50 },
    { domain: 'rack2', load: 20 },
    { domain: 'rack2', load: 10 },
  );
  t.equal(moveOf(table, [1, 2]), undefined, 'rack1 has no other node');
  const larger = tableOf(
    { domain: 'rack1', load: 50 },
    { domain: 'rack2', load: 20 },
    { domain: 'rack2', load: 10 },
    { domain: 'rack1', load: 15 },
  );
  t.same(numbers(moveOf(larger, [1, 2])), [4]);
  // With the new replica it is the fullest that goes.
  const moved = { chunk: 7, length: MB, checksum: 0, references: 1, goal: 2, nodes: [1, 2, 4] };
  t.same(
    planReplicas(moved, larger, 1).surplus.map(({ record }) => record.node),
    [1],
  );
  t.end();
});

t.test('replicas that fail together are spread when there is another failure domain', t => {
  const table = tableOf(
    { domain: 'rack1', load: 10 },
    { domain: 'rack1', load: 10 },
    { domain: 'rack2', load: 90 },
  );
  t.match(moveOf(table, [1, 2]), { isCrowded: true });
  t.same(numbers(moveOf(table, [1, 2])), [3], 'however full it is');
  t.equal(moveOf(table, [1, 3]), undefined, 'and never into one rack for room');
  t.equal(moveOf(table, [1, 2, 3]), undefined, 'there is no third rack');
  t.end();
});

t.test('moving by itself begins beyond ten per cent and ends near equality', t => {
  const notes = new RepairNotes();
  const see = (load: number): boolean => {
    const table = tableOf({ domain: 'a', load: 20 }, { domain: 'b', load });
    watchBalance(balanceOf(table, notes, 1), notes);
    return balanceOf(table, notes, 1).isWanted;
  };
  t.equal(see(29), false);
  t.equal(see(31), true);
  t.equal(see(25), true, 'on and on');
  t.equal(see(21), false);
  t.equal(see(25), false);
  t.equal(seemUneven(tableOf({ domain: 'a', load: 20 }, { domain: 'b', load: 29 }), 1), false);
  t.equal(seemUneven(tableOf({ domain: 'a', load: 20 }, { domain: 'b', load: 31 }), 1), true);
  t.equal(seemUneven(new NodeTable(0), 1), false);
  t.end();
});

t.test('a full queue keeps what is most endangered', t => {
  const queue = new RepairQueue();
  const many = 262_144;
  for (let chunk = 1; chunk <= many; chunk += 1) queue.add(MOVE, chunk, 10);
  queue.add(2, many + 1, 10);
  queue.add(1, many + 2, 10);
  queue.add(MOVE, many + 3, 10);
  t.equal(queue.size, many);
  t.equal(queue.bytes, 20, 'what only moves is counted by how full the nodes are');
  t.match(
    queue.take(TRIM, () => true),
    { chunk: many + 2, urgency: 1 },
  );
  t.match(
    queue.take(TRIM, () => true),
    { chunk: many + 1, urgency: 2 },
  );
  t.equal(
    queue.take(TRIM, () => true),
    undefined,
    'moves are to wait',
  );
  t.match(
    queue.take(MOVE, () => true),
    { urgency: MOVE },
  );
  t.equal(queue.bytes, 0);
  t.end();
});
