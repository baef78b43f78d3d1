/** What becomes of inodes that sessions give back. */
import t from 'tap';
import { ChangeTrace } from '../../../src/metadata/leases/change-trace.js';
import { ExclusiveLeases } from '../../../src/metadata/leases/exclusive-leases.js';
import { LeaseTable } from '../../../src/metadata/leases/lease-table.js';
import { Recalls } from '../../../src/metadata/leases/recalls.js';
import { toRanges } from '../../../src/protocol/inode-ranges.js';
import { ManualClock } from '../../support/manual-clock.js';
import { LOG } from './support/harness.js';

const HOLDER = 1;
const OTHER = 2;
const INODES = [10, 11, 12, 13];

/** A session that has inodes to itself, and another one. The holder keeps the last of them when it may choose. */
function scene() {
  const clock = new ManualClock();
  const exclusive = new ExclusiveLeases(clock);
  const fence = async (): Promise<void> => undefined;
  const leases = new LeaseTable(clock, LOG, exclusive, () => false, fence);
  const told: number[] = [];
  leases.renew(HOLDER);
  const calls = {
    revoke: async ({ inodes }: { readonly inodes: readonly { readonly inode: number }[] }) => {
      told.push(...inodes.map(({ inode }) => inode));
      return {};
    },
    recall: async ({ keep = 0 }: { readonly keep?: number | undefined }) => ({
      kept: toRanges(keep > 0 ? INODES.slice(-keep) : []),
    }),
  };
  leases.connect(HOLDER, { isClosed: false }, calls, false);
  for (const inode of INODES) exclusive.give(HOLDER, inode);
  const recalls = new Recalls({ clock, log: LOG, exclusive, leases, forfeit: fence, fence });
  const change = async (inode: number): Promise<void> => {
    const trace = new ChangeTrace();
    trace.gone(inode);
    await leases.revoke(OTHER, trace);
  };
  return { exclusive, recalls, change, told };
}

t.test('of what a session gave back, it is told when others change it: it may cache that', async t => {
  const { exclusive, recalls, change, told } = scene();
  await recalls.recall([10], OTHER);
  t.equal(exclusive.holderOf(10), undefined);
  await change(10);
  t.same(told, [10]);
});

t.test('the same when the table was full, and the session chose what it gives back', async t => {
  const { exclusive, recalls, change, told } = scene();
  await recalls.trim();
  t.same(
    INODES.filter(inode => exclusive.holderOf(inode) === HOLDER),
    [12, 13],
  );
  await change(11);
  t.same(told, [11]);
});

t.test('the same when everything is recalled', async t => {
  const { exclusive, recalls, change, told } = scene();
  await recalls.recallAll();
  t.equal(exclusive.countOf(HOLDER), 0);
  await change(13);
  t.same(told, [13]);
});
