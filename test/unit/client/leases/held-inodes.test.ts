/** What a client has to itself, and what it tells the server of that (client/leases/held-inodes.ts). */
import t from 'tap';
import { MAX_INODE_RANGES, inodesOf } from '../../../../src/protocol/inode-ranges.js';
import { leasedClient } from '../support/leased-client.js';

const LEASE_MS = 4000;

const fixture = async () => await leasedClient(LEASE_MS);

t.test('an answer that a recall has overtaken gives nothing', async t => {
  const { held } = await fixture();
  const ticket = held.ticket();
  const recalled = held.recall([{ first: 5, count: 2 }]);
  held.give(ticket, [{ first: 4, count: 4 }]);
  t.same(
    [4, 5, 6, 7].filter(inode => held.has(inode)),
    [4, 7],
  );
  held.give(held.ticket(), [{ first: 5, count: 1 }]);
  t.notOk(held.has(5), 'nor does a later one while it is on its way back');
  held.returned(recalled);
  held.give(held.ticket(), [{ first: 5, count: 1 }]);
  t.ok(held.has(5), 'after that it does');
});

t.test('nothing counts without a lease, and everything again with one', async t => {
  const { clock, lease, held } = await fixture();
  held.add(7);
  clock.advance(LEASE_MS);
  t.notOk(held.has(7));
  lease.grant(clock.monotonicMs(), LEASE_MS);
  await lease.begun();
  t.ok(held.has(7));
});

t.test('what is being given back is declared to a server that was started anew meanwhile', async t => {
  const { held } = await fixture();
  held.add(7);
  held.add(8);
  const recalled = held.recall([{ first: 7, count: 1 }]);
  t.notOk(held.has(7));
  t.same([...inodesOf(held.declare(), 10)], [7, 8]);
  held.returned(recalled);
  t.same([...inodesOf(held.declare(), 10)], [8]);
});

t.test('asked for most of it, a client keeps what it used last', async t => {
  const { held } = await fixture();
  for (let inode = 1; inode <= 100; inode += 1) held.add(inode);
  const { kept, recalled } = held.keep(10);
  t.same([...inodesOf(kept, 100)], [91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
  t.equal(recalled.length, 90);
  t.notOk(held.has(1));
  t.ok(held.has(100));
});

t.test('what is declared is what is kept, however scattered it is', async t => {
  const { held } = await fixture();
  const count = MAX_INODE_RANGES + 100;
  for (let index = 1; index <= count; index += 1) held.add(2 * index);
  const told = new Set(inodesOf(held.declare(), 2 * count));
  t.equal(told.size, MAX_INODE_RANGES);
  for (let index = 1; index <= count; index += 1) {
    if (held.has(2 * index) !== told.has(2 * index)) t.fail(`inode ${2 * index}`);
  }
});

t.test('memory is bounded: what was not used for long is left with the server', async t => {
  const { held } = await fixture();
  for (let inode = 1; inode <= 300_000; inode += 1) {
    held.add(inode);
    if (inode % 1000 === 0) held.has(1);
  }
  t.ok(held.has(1), 'used all the time');
  t.ok(held.has(300_000));
  t.notOk(held.has(2));
});
