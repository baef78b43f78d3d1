/** What the metadata server knows of its clients' caches keeps to its memory (metadata/leases/lease-table.ts). */
import t from 'tap';
import { ExclusiveLeases } from '../../../src/metadata/leases/exclusive-leases.js';
import { LeaseTable } from '../../../src/metadata/leases/lease-table.js';
import { LOG } from './support/harness.js';
import { ManualClock } from '../../support/manual-clock.js';

const MEMORY = 256 << 10;
const SESSIONS = [1, 2, 3];
/** A hundred times what there is room for. */
const INODES = (100 * MEMORY) / 500;

t.test('leases that sessions share keep to their memory, filled a hundred times over', async t => {
  const clock = new ManualClock();
  const table = new LeaseTable(
    clock,
    LOG,
    new ExclusiveLeases(clock),
    () => false,
    async () => undefined,
    MEMORY,
  );
  let cleared = 0;
  for (const session of SESSIONS) {
    table.renew(session);
    const revoke = async () => {
      cleared += 1;
      return {};
    };
    const calls = { revoke, recall: async () => ({ kept: [] }) };
    table.connect(session, { isClosed: false }, calls, false);
  }
  let mostBytes = 0;
  for (let inode = 1; inode <= INODES; inode += 1) {
    for (const session of SESSIONS) table.reader(session)?.(inode);
    mostBytes = Math.max(mostBytes, table.usedBytes);
    if (inode % 1000 === 0) {
      await new Promise(resolve => {
        setImmediate(resolve);
      });
    }
  }
  t.ok(mostBytes <= MEMORY + 1000, `${mostBytes} bytes at the most`);
  t.ok(cleared > 10, `sessions were told to drop everything ${cleared} times`);
  for (const session of SESSIONS) table.release(session);
  t.equal(table.usedBytes, 0, 'nothing is counted that is not there');
  table.close();
});
