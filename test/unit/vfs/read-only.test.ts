/** A file system that is opened read-only (VfsOptions.readOnly): every change is refused, by handle and by name, and nothing else is. */
import { constants } from 'node:fs';
import t from 'tap';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { refusal } from '../metadata/support/harness.js';
import { connect, serve } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const name = (text: string): Buffer => Buffer.from(text);

t.test('every change is EROFS, and reading goes on', async t => {
  const server = await serve(t);
  const writer = await connect(t, server);
  const { handle, attributes } = await writer.create(ROOT_INODE, name('file'), OWNER, true, constants.O_RDWR);
  const { inode } = attributes;
  await writer.setxattr(inode, name('user.a'), name('b'), 0);
  await writer.release(handle);
  const reader = await connect(t, server, undefined, { readOnly: true, atime: 'relatime' });
  const root = ROOT_INODE;
  const changes: readonly (readonly [what: string, change: () => Promise<unknown>])[] = [
    ['setattr', async () => await reader.setattr(inode, { mode: 0o600 })],
    ['truncate', async () => await reader.setattr(inode, { size: 0 })],
    ['mknod', async () => await reader.mknod(root, name('x'), { ...OWNER, mode: 0o100_644 }, 0)],
    ['mkdir', async () => await reader.mkdir(root, name('x'), OWNER)],
    ['symlink', async () => await reader.symlink(root, name('x'), name('y'), OWNER)],
    ['link', async () => await reader.link(inode, root, name('x'))],
    ['unlink', async () => await reader.unlink(root, name('file'))],
    ['rmdir', async () => await reader.rmdir(root, name('file'))],
    ['rename', async () => await reader.rename(root, name('file'), root, name('x'), 0)],
    ['create', async () => await reader.create(root, name('x'), OWNER, true, constants.O_RDONLY)],
    ['tmpfile', async () => await reader.tmpfile(root, OWNER, constants.O_RDWR)],
    ['setxattr', async () => await reader.setxattr(inode, name('user.a'), name('c'), 0)],
    ['removexattr', async () => await reader.removexattr(inode, name('user.a'))],
    ['open to write', async () => await reader.open(inode, constants.O_WRONLY)],
    ['open to read and write', async () => await reader.open(inode, constants.O_RDWR)],
    ['open to empty', async () => await reader.open(inode, constants.O_RDONLY | constants.O_TRUNC)],
  ];
  for (const [what, change] of changes) t.equal(await refusal(change()), 'EROFS', what);
  t.equal((await reader.getxattr(inode, name('user.a'))).toString(), 'b');
  const open = await reader.open(inode, constants.O_RDONLY);
  t.equal(await refusal(reader.write(open, 0, name('bytes'))), 'EBADF');
  t.equal((await reader.read(open, 0, 10)).length, 0);
  await reader.release(open);
  t.equal((await writer.lookup(root, name('file'))).inode, inode);
});
