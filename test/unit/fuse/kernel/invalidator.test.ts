/**
 * How the kernel is made to drop what it has (fuse/kernel/invalidator.ts), on a pair of sockets in the place of /dev/fuse: a
 * kernel that holds a lock is one that does not read.
 */
import t, { type Test } from 'tap';
import { Invalidator } from '../../../../src/fuse/kernel/invalidator.js';
import { KnownInodes } from '../../../../src/fuse/kernel/known-inodes.js';
import {
  invalidateAllEntries,
  invalidateAttributes,
  invalidateContent,
  invalidateEntry,
  invalidateRange,
  pruneInodes,
} from '../../../../src/fuse/kernel/notification.js';
import { OverlayNames } from '../../../../src/fuse/kernel/overlay-names.js';
import { ROOT_INODE, S_IFDIR } from '../../../../src/protocol/file-mode.js';
import { RenameFlag } from '../../../../src/protocol/namespace-commands.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { waitUntil } from '../../../support/wait-until.js';
import { recordedLog } from '../support/recorded-log.js';
import { MessagePair } from './support/message-pair.js';

const FILE = 0o100644;
const LEASED_MS = 60_000;
const ENTRY = invalidateEntry(5, Buffer.from('name'));

/** An invalidator of a kernel that knows inodes 5 and 6 for long, of a version that has every notification. */
function invalidator(t: Test, keepsNames = true) {
  const pair = MessagePair.open(t);
  const clock = new ManualClock();
  const known = new KnownInodes();
  const overlay = new OverlayNames({ clock, keepsNames, leasedMs: LEASED_MS });
  const now: Buffer[] = [];
  const writeNow = (message: Buffer): void => void now.push(message);
  const { log, lines } = recordedLog();
  const drops = new Invalidator({ fd: pair.fd, known, overlay, clock, log, writeNow });
  drops.kernelMinor = 45;
  known.addLookup(ROOT_INODE, S_IFDIR, 0);
  for (const inode of [5, 6]) known.addLookup(inode, FILE, 0);
  clock.advance(5000);
  t.teardown(async () => {
    pair.take();
    await drops.close();
    await drops.close();
  });
  const got: Buffer[] = [];
  /** Waits until the kernel was told so many things by the threads. */
  const told = async (count: number): Promise<readonly Buffer[]> => {
    const isThere = (): boolean => got.push(...pair.take()) >= count;
    await waitUntil(isThere, { deadlineMs: 10_000, what: `${count} notifications came` });
    return got;
  };
  return { pair, clock, known, overlay, now, lines, drops, told };
}

/** Whether a promise has resolved, and what follows from that has happened. */
async function isOver(work: Promise<unknown>): Promise<boolean> {
  const later = new Promise<false>(resolve => {
    setImmediate(() => resolve(false));
  });
  return await Promise.race([work.then(() => true), later]);
}

t.test('attributes are dropped that the kernel was told, once', async t => {
  const { pair, known, drops, told } = invalidator(t);
  await drops.dropAttributes([5, 6, 77]);
  t.same(
    await told(2),
    [invalidateAttributes(5), invalidateAttributes(6)],
    'and not of what it never heard of',
  );
  t.notOk(known.isTold(5));
  await drops.dropAttributes([5, 6]);
  t.same(pair.take(), []);
});

t.test('what was told a moment ago has its time to be taken up before it is invalidated', async t => {
  const { pair, clock, known, drops, told } = invalidator(t);
  known.keepTold(5, clock.monotonicMs());
  const dropping = drops.dropAttributes([5]);
  // Written in one order: what did not wait would come before it.
  await drops.dropAttributes([6]);
  t.same(pair.take(), [invalidateAttributes(6)]);
  clock.advance(2);
  await dropping;
  t.same(await told(1), [invalidateAttributes(5)]);
});

t.test('attributes that are told while they are dropped are there to be dropped again', async t => {
  const { pair, clock, known, drops, told } = invalidator(t);
  pair.fill();
  const dropping = drops.dropAttributes([5]);
  t.notOk(await isOver(dropping));
  clock.advance(1);
  known.keepTold(5, clock.monotonicMs());
  await told(1);
  await dropping;
  t.ok(known.isTold(5));
});

t.test('more inodes than one message to the thread has are all told', async t => {
  const { clock, known, drops, told } = invalidator(t);
  const inodes = Array.from({ length: 2500 }, (_, index) => 1000 + index);
  for (const inode of inodes) known.addLookup(inode, FILE, 0);
  clock.advance(10);
  const dropping = Promise.all([drops.dropAttributes(inodes), drops.dropContents(inodes)]);
  const messages = await told(2 * inodes.length);
  await dropping;
  const expected = inodes.flatMap(inode => [invalidateAttributes(inode), invalidateContent(inode)]);
  const hex = (all: readonly Buffer[]): string[] => all.map(each => each.toString('hex')).sort();
  t.same(hex(messages), hex(expected));
  t.notOk(inodes.some(inode => known.isTold(inode) || known.mayHavePages(inode)));
});

t.test('a name is dropped by name where its directory is free', async t => {
  const { now, drops, told } = invalidator(t);
  await drops.dropNames([ENTRY]);
  t.same(await told(1), [ENTRY]);
  t.same(now, []);
});

t.test(
  'a directory that is locked for long is not waited for: every name is dropped, without a lock',
  async t => {
    const { pair, clock, now, drops } = invalidator(t);
    pair.fill();
    const dropping = drops.dropNames([ENTRY]);
    clock.advance(9);
    t.notOk(await isOver(dropping));
    t.same(now, []);
    clock.advance(1);
    await dropping;
    t.same(now, [invalidateAllEntries()]);
  },
);

t.test('while an overlay would break by that, the lock is waited for longer', async t => {
  const { pair, clock, overlay, now, drops } = invalidator(t);
  overlay.sawRename(RenameFlag.whiteout);
  pair.fill();
  const dropping = drops.dropNames([ENTRY]);
  clock.advance(999);
  t.notOk(await isOver(dropping));
  clock.advance(1);
  await dropping;
  t.same(now, [invalidateAllEntries()]);
  t.ok(overlay.isClear, 'the kernel keeps no name any more');
  await drops.dropNames([ENTRY]);
  drops.dropAllNames();
  t.equal(now.length, 1, 'and none is dropped');
});

t.test('where the kernel keeps no names it is told of none', async t => {
  const { pair, now, drops } = invalidator(t, false);
  await drops.dropNames([ENTRY]);
  drops.dropAllNames();
  t.same([...pair.take(), ...now], []);
});

t.test('a kernel is not told what it does not know', async t => {
  const { pair, now, lines, drops } = invalidator(t);
  drops.kernelMinor = 43;
  drops.dropAllNames();
  t.same(now, []);
  drops.kernelMinor = 44;
  drops.dropAllNames();
  t.same(now, [invalidateAllEntries()]);
  await drops.prune([5]);
  t.same(pair.take(), [], 'FUSE_NOTIFY_PRUNE came with 7.45');
  t.match(lines.at(-1), { asked: 1, result: -38 });
});

t.test('the root is never asked to be forgotten', async t => {
  const { drops, told } = invalidator(t);
  await drops.prune([5, ROOT_INODE, 6]);
  t.same(await told(1), [pruneInodes([5, 6])]);
});

t.test('pages are dropped of files that may have some, and waited for', async t => {
  const { pair, known, drops, told } = invalidator(t);
  pair.fill();
  const dropping = drops.dropContents([5, 77]);
  t.notOk(await isOver(dropping));
  t.ok(known.mayHavePages(5), 'they are there until the kernel says that they are not');
  t.same(await told(1), [invalidateContent(5)]);
  await dropping;
  t.notOk(known.mayHavePages(5));
  t.ok(known.mayHavePages(6));
  await drops.dropContents([5]);
  t.same(pair.take(), []);
});

t.test(
  'pages that are read for long are not waited for without end, and count as there until they go',
  async t => {
    const { pair, clock, known, drops, told } = invalidator(t);
    pair.fill();
    const dropping = drops.dropContents([5]);
    t.notOk(await isOver(dropping));
    clock.advance(999);
    t.notOk(await isOver(dropping));
    clock.advance(1);
    await dropping;
    t.ok(known.mayHavePages(5));
    await told(1);
    await waitUntil(() => !known.mayHavePages(5), { deadlineMs: 10_000, what: 'they went late' });
  },
);

t.test('pages that come while others are dropped stay known', async t => {
  const { pair, clock, known, drops, told } = invalidator(t);
  pair.fill();
  const dropping = drops.dropContents([5]);
  t.notOk(await isOver(dropping));
  clock.advance(1);
  known.notePages(5, clock.monotonicMs());
  await told(1);
  await dropping;
  t.ok(known.mayHavePages(5));
});

t.test('a write past the pages drops those of its range while they are in use', async t => {
  const { clock, known, drops, told } = invalidator(t);
  known.notePages(5, clock.monotonicMs());
  clock.advance(1000);
  await drops.dropWritten(5, 4096, 10);
  t.same(await told(1), [invalidateRange(5, 4096, 10)]);
  t.ok(known.mayHavePages(5), 'others may be there');
});

t.test('of a file whose pages nobody uses all are dropped once, and then there are none', async t => {
  const { pair, clock, known, drops, told } = invalidator(t);
  known.notePages(5, clock.monotonicMs());
  clock.advance(1001);
  await drops.dropWritten(5, 4096, 10);
  t.same(await told(1), [invalidateContent(5)]);
  t.notOk(known.mayHavePages(5));
  await drops.dropWritten(5, 4096, 10);
  await drops.dropWritten(6, 4096, 0);
  t.same(pair.take(), [], 'nor of a write of nothing');
});

t.test('a write is answered though its pages do not go, which are then still known', async t => {
  const { pair, clock, known, drops } = invalidator(t);
  pair.fill();
  const dropping = drops.dropWritten(5, 0, 10);
  clock.advance(1000);
  await dropping;
  t.ok(known.mayHavePages(5));
});
