/** The file system as whoever made a request may use it (fuse/kernel/callers.ts), on a real metadata server. */
import t from 'tap';
import { Callers } from '../../../../src/fuse/kernel/callers.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import type { Attributes } from '../../../../src/protocol/types.js';
import type { FileSystem } from '../../../../src/vfs/file-system.js';
import { connect, serve } from '../../vfs/support/connected-clients.js';
import { ordinaryProcess, WHY_NO_ORDINARY_PROCESS } from './support/ordinary-process.js';

const GROUP = 4242;
const FILE = Buffer.from('file');
const SKIP = { skip: WHY_NO_ORDINARY_PROCESS };
/** A pid that no process has. */
const GONE = 0x7fff_fffe;

/** One metadata server for all tests, with a file in a directory that only root and a group may enter. */
const vfs = await connect(t, await serve(t));
const directory = await vfs.mkdir(ROOT_INODE, Buffer.from('d'), { mode: 0o750, uid: 0, gid: GROUP });
await vfs.create(directory.inode, FILE, { mode: 0o644, uid: 0, gid: 0 }, true, 2);

function guarded(lockingGroup?: number) {
  const callers = new Callers(vfs, { lockingGroup: () => lockingGroup });
  let tries = 0;
  const lookUp = async (files: FileSystem): Promise<Attributes> => {
    tries += 1;
    return await files.lookup(directory.inode, FILE);
  };
  return { callers, lookUp, tries: () => tries };
}

t.test('root is refused nothing', async t => {
  const { callers, lookUp, tries } = guarded();
  t.match(await callers.act({ uid: 0, gid: 0, pid: GONE }, lookUp), { nlink: 1 });
  t.match(await callers.actKnowing({ uid: 0, gid: 0, pid: GONE }, lookUp), { nlink: 1 });
  t.equal(tries(), 2);
});

t.test('the group that a request names suffices: no other one is looked up', async t => {
  const { callers, lookUp, tries } = guarded();
  await callers.act({ uid: 1000, gid: GROUP, pid: GONE }, lookUp);
  t.equal(tries(), 1);
});

t.test('a supplementary group counts where the named one does not suffice', SKIP, async t => {
  const { callers, lookUp, tries } = guarded();
  const member = await ordinaryProcess(t, [7, GROUP]);
  t.match(await callers.act(member, lookUp), { nlink: 1 });
  t.equal(tries(), 2);
  await callers.actKnowing(member, lookUp);
  t.equal(tries(), 3, 'at the first try, where a missing group would change what is done');
});

t.test('whoever is in no group that may is refused', SKIP, async t => {
  const { callers, lookUp } = guarded();
  const stranger = await ordinaryProcess(t, [7]);
  await t.rejects(callers.act(stranger, lookUp), { code: 'EACCES' });
  await t.rejects(callers.actKnowing(stranger, lookUp), { code: 'EACCES' });
});

t.test('a process with capabilities passes, as the kernel let it pass', SKIP, async t => {
  const { callers, lookUp } = guarded();
  // This process has them all; the request names another user.
  t.match(await callers.act({ uid: 1000, gid: 1000, pid: process.pid }, lookUp), { nlink: 1 });
});

t.test('of a process that is not to be seen the kernel’s word counts', async t => {
  const { callers, lookUp } = guarded();
  t.match(await callers.act({ uid: 1000, gid: 1000, pid: GONE }, lookUp), { nlink: 1 });
});

t.test('other failures are no reason to try again', async t => {
  const { callers } = guarded();
  let tries = 0;
  const work = async (): Promise<never> => {
    tries += 1;
    throw new DfsError('ENOENT', 'no such name');
  };
  await t.rejects(callers.act({ uid: 1000, gid: 1000, pid: GONE }, work), { code: 'ENOENT' });
  t.equal(tries, 1);
});

t.test('setgid that locks stays for members of the file’s group alone', async t => {
  const { callers } = guarded(GROUP);
  const lossOf = async (uid: number, gid: number) =>
    await callers.privilegeLoss({ uid, gid, pid: GONE }, 5, true);
  t.equal(
    await callers.privilegeLoss({ uid: 1000, gid: 1, pid: GONE }, 5, false),
    undefined,
    'no loss at all',
  );
  t.equal(await lossOf(0, 0), 'ordinary');
  t.equal(await lossOf(1000, GROUP), 'ordinary');
  t.equal(await lossOf(1000, 1), 'all', 'nothing is known of its groups');
});

t.test('where no group is locked, the ordinary loss is all there is', async t => {
  const { callers } = guarded();
  t.equal(await callers.privilegeLoss({ uid: 1000, gid: 1, pid: GONE }, 5, true), 'ordinary');
});

t.test('a member by a supplementary group keeps setgid, a stranger does not', SKIP, async t => {
  const { callers } = guarded(GROUP);
  t.equal(await callers.privilegeLoss(await ordinaryProcess(t, [GROUP]), 5, true), 'ordinary');
  t.equal(await callers.privilegeLoss(await ordinaryProcess(t, [7]), 5, true), 'all');
});
