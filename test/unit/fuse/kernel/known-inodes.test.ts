/** The table of inodes that the kernel knows (fuse/kernel/known-inodes.ts), and how the kernel is asked to forget. */
import t from 'tap';
import { InodePruning } from '../../../../src/fuse/kernel/inode-pruning.js';
import { KnownInodes } from '../../../../src/fuse/kernel/known-inodes.js';
import { pruneInodes } from '../../../../src/fuse/kernel/notification.js';
import { ascending } from '../../../support/ascending.js';

const FILE = 0o100644;

t.test('what is in the table is what a Map of counts would have, whatever comes and goes', async t => {
  const known = new KnownInodes();
  const counts = new Map<number, number>();
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return seed % below;
  };
  for (let step = 0; step < 60_000; step += 1) {
    // Many inodes, then few, so that the table grows and shrinks; some of them beyond 32 bits.
    const inode = 1 + random(4000) + (random(4) === 0 ? 2 ** 40 : 0);
    const mode = FILE + random(8);
    const isAdding = random(100) < (step % 20_000 < 12_000 ? 70 : 15);
    if (isAdding) {
      const isNew = known.addLookup(inode, mode, step);
      if (isNew === counts.has(inode)) t.fail(`inode ${inode} is taken for ${isNew ? 'new' : 'known'}`);
      counts.set(inode, (counts.get(inode) ?? 0) + 1);
    } else {
      const lookups = 1 + random(2);
      known.takeLookups(inode, lookups);
      const left = (counts.get(inode) ?? 0) - lookups;
      if (left > 0) counts.set(inode, left);
      else counts.delete(inode);
    }
    if (known.has(inode) !== counts.has(inode)) t.fail(`inode ${inode} after step ${step}`);
  }
  t.same([...known.inodes()].sort(ascending), [...counts.keys()].sort(ascending));
  t.equal(known.size, counts.size);
});

t.test('a flag goes only when nothing came after what takes it away began', async t => {
  const known = new KnownInodes();
  // The clock may be anywhere, also beyond 32 bits.
  const now = 2 ** 33 + 5.5;
  known.addLookup(7, FILE, now);
  t.ok(known.isTold(7) && known.mayHavePages(7));
  known.dropTold(7, now);
  t.ok(known.isTold(7), 'it was told in the same millisecond');
  known.keepTold(7, now + 10);
  known.dropTold(7, now + 5);
  t.ok(known.isTold(7));
  known.dropTold(7, now + 20);
  t.notOk(known.isTold(7));
  known.notePages(7, now + 30);
  known.dropPages(7, now + 40);
  t.notOk(known.mayHavePages(7));
  t.ok(known.wasToldWithin(7, now + 11, 2));
  t.notOk(known.wasToldWithin(7, now + 20, 2));
  t.equal(known.modeOf(7), FILE);
});

t.test('beyond its memory the kernel is asked to forget what it asked about longest ago', async t => {
  const known = new KnownInodes();
  const limitBytes = 1 << 20;
  let most = 0;
  const pruning = new InodePruning({
    known,
    limitBytes,
    // A kernel that forgets at once.
    prune: async inodes => {
      for (const inode of inodes) known.takeLookups(inode, 1);
    },
  });
  for (let inode = 2; inode < 300_000; inode += 1) {
    if (known.addLookup(inode, FILE, inode)) pruning.added();
    // One that is looked up again and again.
    known.addLookup(1, FILE, inode);
    most = Math.max(most, known.usedBytes);
    if (inode % 100 === 0) await Promise.resolve();
  }
  t.ok(most <= limitBytes, `${most} bytes`);
  t.ok(known.has(1), 'what is in use stays');
  t.ok(known.has(299_999));
  t.notOk(known.has(2));
});

t.test('a kernel that keeps what it is asked to forget is not asked all the time', async t => {
  const known = new KnownInodes();
  let asked = 0;
  const pruning = new InodePruning({ known, limitBytes: 1 << 17, prune: async () => void (asked += 1) });
  for (let inode = 1; inode < 100_000; inode += 1) {
    if (known.addLookup(inode, FILE, inode)) pruning.added();
    await Promise.resolve();
  }
  t.equal(known.size, 99_999, 'and nothing of it is forgotten here');
  t.ok(asked > 10 && asked < 200, `${asked} times`);
});

t.test('FUSE_NOTIFY_PRUNE names its inodes as <linux/fuse.h> has it', async t => {
  t.equal(
    pruneInodes([2, 2 ** 33]).toString('hex'),
    // fuse_out_header (48 bytes in all, code 9), fuse_notify_prune_out (count 2), two nodeids
    '30000000' +
      '09000000' +
      '0'.repeat(16) +
      '02000000' +
      '0'.repeat(24) +
      '0200000000000000' +
      '0000000002000000',
  );
});

t.test('what is handed over in pieces is the same table', async t => {
  const known = new KnownInodes();
  for (let inode = 1; inode <= 5000; inode += 1) known.addLookup(inode * 7, FILE, 10);
  for (let again = 0; again < 3; again += 1) known.addLookup(7 * 100, FILE, 10);
  known.dropTold(7 * 200, 20);
  known.dropPages(7 * 300, 20);
  const successor = new KnownInodes();
  successor.addLookup(1, FILE, 0);
  successor.addPages([...known.pages(7, 999)], 30);
  t.equal(successor.size, 5000, 'but for the one that is left out');
  t.notOk(successor.has(7));
  t.same([successor.isTold(7 * 200), successor.isTold(7 * 300)], [false, true]);
  t.same([successor.mayHavePages(7 * 200), successor.mayHavePages(7 * 300)], [true, false]);
  successor.takeLookups(7 * 100, 3);
  t.ok(successor.has(7 * 100), 'it was told four times');
  successor.takeLookups(7 * 100, 1);
  t.notOk(successor.has(7 * 100));
});
