/** `.` and `..` of inodes that the kernel knows by number alone (fuse/kernel/numbered-inodes.ts). */
import t from 'tap';
import { isDotName, lookupByNumber } from '../../../../src/fuse/kernel/numbered-inodes.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import type { FileSystem } from '../../../../src/vfs/file-system.js';
import { connect, serve } from '../../vfs/support/connected-clients.js';

const DOT = Buffer.from('.');
const PARENT = Buffer.from('..');
const OWNER = { mode: 0o755, uid: 0, gid: 0 };

t.test('`.` and `..` are told from names that begin with a dot', async t => {
  for (const name of ['.', '..']) t.ok(isDotName(Buffer.from(name)), name);
  for (const name of ['', '...', '.a', 'a.', 'a..', '. ', '..\0'])
    t.notOk(isDotName(Buffer.from(name)), JSON.stringify(name));
});

t.test('a handle leads to its inode, and a directory’s to the directory above', async t => {
  const vfs = await connect(t, await serve(t));
  const above = await vfs.mkdir(ROOT_INODE, Buffer.from('above'), OWNER);
  const below = await vfs.mkdir(above.inode, Buffer.from('below'), OWNER);
  t.equal((await lookupByNumber(vfs, below.inode, DOT)).inode, below.inode);
  t.equal((await lookupByNumber(vfs, below.inode, PARENT)).inode, above.inode);
  t.equal((await lookupByNumber(vfs, ROOT_INODE, PARENT)).inode, ROOT_INODE);
});

t.test('a handle of what is gone, or never was, is ESTALE', async t => {
  const vfs = await connect(t, await serve(t));
  const gone = await vfs.mkdir(ROOT_INODE, Buffer.from('gone'), OWNER);
  await vfs.rmdir(ROOT_INODE, Buffer.from('gone'));
  for (const name of [DOT, PARENT]) {
    await t.rejects(lookupByNumber(vfs, gone.inode, name), { code: 'ESTALE' });
    await t.rejects(lookupByNumber(vfs, gone.inode + 1000, name), { code: 'ESTALE' });
    await t.rejects(lookupByNumber(vfs, Number.POSITIVE_INFINITY, name), { code: 'ESTALE' });
  }
  const file = await vfs.create(ROOT_INODE, Buffer.from('file'), OWNER, true, 2);
  await t.rejects(
    lookupByNumber(vfs, file.attributes.inode, PARENT),
    { code: 'ESTALE' },
    'nothing is above a file',
  );
});

t.test('a file that is open and has no name any more is ESTALE, as on other file systems', async t => {
  const vfs = await connect(t, await serve(t));
  const { handle, attributes } = await vfs.create(ROOT_INODE, Buffer.from('f'), OWNER, true, 2);
  await vfs.unlink(ROOT_INODE, Buffer.from('f'));
  t.equal((await vfs.getattr(attributes.inode)).nlink, 0);
  await t.rejects(lookupByNumber(vfs, attributes.inode, DOT), { code: 'ESTALE' });
  await vfs.release(handle);
});

t.test('a server that is away is EIO: the file may be there', async t => {
  const away = new DfsError('EIO', 'the metadata server does not answer');
  const fileSystem = { getattr: async () => Promise.reject(away) } as unknown as FileSystem;
  await t.rejects(lookupByNumber(fileSystem, 5, DOT), away);
});
