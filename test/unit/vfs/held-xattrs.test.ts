/** Extended attributes of inodes that a client has to itself: set, read and removed without the server. */
import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import { ACCESS_ACL } from '../../../src/protocol/attribute-names.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { XattrFlag } from '../../../src/protocol/namespace-commands.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { refusal } from '../metadata/support/harness.js';
import { Cable, connect, PowerCut } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const KEEPER = { drop: async () => undefined, dropAll: async () => undefined };
const STRANGER = { uid: 1000, gid: 1000, groups: [] };
const name = (text: string): Buffer => Buffer.from(text);

/** A client with a file of its own, and how the server is cut off and back. */
async function scene(t: Test) {
  const power = await PowerCut.start(t);
  const { server } = power;
  const cable = new Cable();
  const vfs = await connect(t, server, cable, { timeoutMs: 1500 });
  await vfs.keepCaches(KEEPER);
  const { inode: directory } = await vfs.mkdir(ROOT_INODE, name('own'), OWNER);
  await waitUntil(() => vfs.hasToItself(directory), { what: 'the client has the directory to itself' });
  const { attributes } = await vfs.create(directory, name('file'), OWNER, true, constants.O_RDWR);
  await vfs.fsyncDirectory(directory);
  return { power, server, cable, vfs, directory, inode: attributes.inode };
}

async function set(vfs: Vfs, inode: number, called: string, value: string, flags = 0): Promise<void> {
  await vfs.setxattr(inode, name(called), name(value), flags);
}

const get = async (vfs: Vfs, inode: number, called: string): Promise<string> =>
  (await vfs.getxattr(inode, name(called))).toString();
const list = async (vfs: Vfs, inode: number): Promise<string[]> =>
  (await vfs.listxattr(inode)).map(String).sort();

t.test('attributes are set, replaced, read, listed and removed without the server', async t => {
  const { server, cable, vfs, inode } = await scene(t);
  cable.cut();
  await set(vfs, inode, 'user.one', 'first');
  await set(vfs, inode, 'user.two', 'second');
  await set(vfs, inode, 'user.one', 'third');
  await set(vfs, inode, 'trusted.overlay.opaque', 'y');
  t.equal(await get(vfs, inode, 'user.one'), 'third');
  t.same(await list(vfs, inode), ['trusted.overlay.opaque', 'user.one', 'user.two']);
  await vfs.removexattr(inode, name('user.two'));
  t.equal(await refusal(vfs.getxattr(inode, name('user.two'))), 'ENODATA');
  await vfs.setattr(inode, { mode: 0o700 });
  const told = await vfs.getattr(inode);
  cable.mend();
  const other = await connect(t, server);
  t.equal(await get(other, inode, 'user.one'), 'third', 'and everybody sees them');
  t.same(await list(other, inode), ['trusted.overlay.opaque', 'user.one']);
  t.same(await other.getattr(inode), told, 'the server made of it what was foretold');
});

t.test('what is refused, has a meaning, or is long is the server’s to say', async t => {
  const { cable, vfs, inode, directory } = await scene(t);
  await set(vfs, inode, 'user.one', 'value');
  t.equal(await refusal(set(vfs, inode, 'user.one', 'again', XattrFlag.create)), 'EEXIST');
  t.equal(await refusal(set(vfs, inode, 'user.two', 'again', XattrFlag.replace)), 'ENODATA');
  t.equal(await refusal(vfs.removexattr(inode, name('user.two'))), 'ENODATA');
  t.equal(await get(vfs, inode, 'user.one'), 'value', 'nothing was changed');
  const stranger = vfs.as(STRANGER);
  t.equal(await refusal(stranger.setxattr(inode, name('user.theirs'), name('x'), 0)), 'EACCES');
  t.equal(await refusal(stranger.getxattr(inode, name('trusted.secret'))), 'ENODATA');
  cable.cut();
  t.equal(await refusal(set(vfs, inode, 'user.long', 'x'.repeat(5000))), 'EIO');
  const minimal = Buffer.from('0200000001000700ffffffff04000500ffffffff20000500ffffffff', 'hex');
  t.equal(await refusal(vfs.setxattr(directory, ACCESS_ACL, minimal, 0)), 'EIO');
  cable.mend();
});

t.test('another client’s change of an attribute is seen, and one of before is not lost', async t => {
  const { server, vfs, inode } = await scene(t);
  await set(vfs, inode, 'user.one', 'mine');
  const other = await connect(t, server);
  await other.keepCaches(KEEPER);
  t.equal(await get(other, inode, 'user.one'), 'mine');
  await set(other, inode, 'user.one', 'theirs');
  t.equal(await get(vfs, inode, 'user.one'), 'theirs');
});

t.test('fsync tells of an attribute that the server lost with its power', async t => {
  const { power, vfs, inode, directory } = await scene(t);
  t.teardown(async () => await refusal(vfs.close()));
  const handle = await vfs.open(inode, constants.O_RDWR);
  await power.remember();
  await waitUntil(async () => (await vfs.setattr(directory, { mode: 0o700 })) && vfs.hasToItself(inode), {
    what: 'the client has the file to itself',
  });
  await vfs.fsync(handle);
  await power.remember();
  await set(vfs, inode, 'user.one', 'value');
  await vfs.resolve([]);
  await power.fail();
  t.equal(await refusal(vfs.fsync(handle)), 'EIO');
  t.equal(await refusal(vfs.fsync(handle)), 'OK', 'told once');
});
