/** The operations of libfuse's high-level interface (fuse/native/path-operations.ts), on a real file system. */
import { constants } from 'node:fs';
import t from 'tap';
import { pathOperations } from '../../../../src/fuse/native/path-operations.js';
import type { StatFields } from '../../../../src/fuse/native/stat-fields.js';
import { DfsError, ERRNO } from '../../../../src/protocol/errors.js';
import { ROOT_INODE, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from '../../../../src/protocol/file-mode.js';
import type { FileSystem } from '../../../../src/vfs/file-system.js';
import { connect, serve, startDataNode } from '../../vfs/support/connected-clients.js';
import { recordedLog } from '../support/recorded-log.js';

type Done = (status: number, ...results: unknown[]) => void;

const server = await serve(t);
await startDataNode(t, server);
const vfs = await connect(t, server);
const { log, lines } = recordedLog();
const ops = pathOperations(vfs, log);
const OWNER = { mode: 0o644, uid: 0, gid: 0 };
const UNCHANGED = 0xffff_ffff;

/** An operation's status, and what it found. */
async function all(begin: (done: Done) => unknown): Promise<[number, ...unknown[]]> {
  return await new Promise(resolve => void begin((...result) => resolve(result)));
}

/** Its status alone: 0 or more, or the name of the error. */
async function status(begin: (done: Done) => unknown): Promise<number | string> {
  const [result] = await all(begin);
  if (result >= 0) return result;
  return Object.entries(ERRNO).find(([, number]) => number === -result)?.[0] ?? result;
}

async function stat(path: string): Promise<StatFields> {
  const [result, fields] = await all(done => ops.getattr(path, done));
  t.equal(result, 0, `stat ${path}`);
  return fields as StatFields;
}

async function create(path: string, text = ''): Promise<number> {
  const [result, handle] = await all(done => ops.create(path, 0o644, done));
  t.equal(result, 0, `create ${path}`);
  const data = Buffer.from(text);
  await all(done => ops.write(path, Number(handle), data, data.length, 0, done));
  return Number(handle);
}

t.test('names are made, found, moved and removed by their paths', async t => {
  t.equal(await status(done => ops.mkdir('/d', S_IFDIR | 0o750, done)), 0);
  t.match(await stat('/d'), { mode: S_IFDIR | 0o750, uid: process.getuid?.(), nlink: 2 });
  t.equal(await status(done => ops.mknod('/d/pipe', S_IFIFO | 0o600, 0, done)), 0);
  t.equal((await stat('/d/pipe')).mode, S_IFIFO | 0o600);
  t.equal(await status(done => ops.symlink('pi pe', '/d/sym', done)), 0);
  t.equal((await stat('/d/sym')).mode & S_IFLNK, S_IFLNK);
  t.same(await all(done => ops.readlink('/d/sym', done)), [0, 'pi pe']);
  t.equal(await status(done => ops.link('/d/pipe', '/second', done)), 0);
  t.equal((await stat('/second')).nlink, 2);
  t.equal(await status(done => ops.rename('/second', '/d/third', done)), 0);
  t.equal(await status(done => ops.getattr('/second', done)), 'ENOENT');
  t.equal(await status(done => ops.rmdir('/d', done)), 'ENOTEMPTY');
  for (const name of ['pipe', 'sym', 'third'])
    t.equal(await status(done => ops.unlink(`/d/${name}`, done)), 0);
  t.equal(await status(done => ops.rmdir('/d', done)), 0);
});

t.test('errors are told as their negative errno, and are no business of the log', async t => {
  t.equal(await status(done => ops.getattr('/absent', done)), 'ENOENT');
  t.equal(await status(done => ops.mkdir('/absent/d', 0o755, done)), 'ENOENT');
  await create('/file');
  t.equal(await status(done => ops.getattr('/file/below', done)), 'ENOTDIR');
  t.equal(await status(done => ops.readdir('/file', done)), 'ENOTDIR');
  t.equal(await status(done => ops.readlink('/file', done)), 'EINVAL');
  t.equal(await status(done => ops.mkdir('/file', 0o755, done)), 'EEXIST');
  t.equal(await status(done => ops.mkdir(`/${'n'.repeat(256)}`, 0o755, done)), 'ENAMETOOLONG');
  t.same(lines, []);
});

t.test('the root cannot be made, moved or removed', async t => {
  t.equal(await status(done => ops.mkdir('/', 0o755, done)), 'EBUSY');
  t.equal(await status(done => ops.rmdir('/', done)), 'EBUSY');
  t.equal(await status(done => ops.unlink('/', done)), 'EBUSY');
  t.equal(await status(done => ops.rename('/', '/x', done)), 'EBUSY');
  t.equal(await status(done => ops.rename('/file', '/', done)), 'EBUSY');
  t.equal((await stat('/')).ino, ROOT_INODE);
});

t.test('a file that another client created meanwhile is ESTALE, so that the kernel looks it up', async t => {
  await create('/twice');
  t.equal(await status(done => ops.create('/twice', 0o644, done)), 'ESTALE');
});

t.test('bytes are written and read by handle, gathered into the kernel’s memory', async t => {
  const handle = await create('/bytes');
  const data = Buffer.from('hello world, and more');
  t.equal(await status(done => ops.write('', handle, data, 11, 0, done)), 11, 'as many as it says, not all');
  t.equal(await status(done => ops.write('', handle, Buffer.from('!'), 1, 200_000, done)), 1);
  const memory = Buffer.alloc(20, 'x');
  t.equal(await status(done => ops.read('', handle, memory, 11, 0, done)), 11);
  t.equal(memory.toString(), 'hello worldxxxxxxxxx');
  const large = Buffer.alloc(300_000);
  t.equal(await status(done => ops.read('', handle, large, large.length, 0, done)), 200_001);
  t.equal(large[200_000], 0x21);
  t.equal(await status(done => ops.read('', handle, memory, 20, 200_001, done)), 0, 'the end');
  for (const step of [ops.flush, ops.release]) t.equal(await status(done => step('', handle, done)), 0);
  t.equal(await status(done => ops.read('', handle, memory, 1, 0, done)), 'EBADF');
  t.equal(await status(done => ops.fsync('', 0, handle, done)), 'EBADF');
  t.equal(await status(done => ops.fgetattr('', handle, done)), 'EBADF');
});

t.test('fstat and ftruncate are done by handle, whatever became of the name', async t => {
  const handle = await create('/moved', 'abc');
  await status(done => ops.unlink('/moved', done));
  t.equal(await status(done => ops.ftruncate('/moved', handle, 7, done)), 0);
  t.match(await all(done => ops.fgetattr('/moved', handle, done)), [0, { size: 7, nlink: 0 }]);
  t.equal(await status(done => ops.fsync('', 1, handle, done)), 0);
  await status(done => ops.release('', handle, done));
});

t.test('attributes are changed as far as they are given', async t => {
  await create('/attributes', 'abc');
  const path = '/attributes';
  t.equal(await status(done => ops.chown(path, 7, UNCHANGED, done)), 0);
  t.equal(await status(done => ops.chown(path, UNCHANGED, 8, done)), 0);
  t.equal(await status(done => ops.truncate(path, 2, done)), 0);
  t.equal(await status(done => ops.chmod(path, S_IFREG | 0o4711, done)), 0);
  t.equal(await status(done => ops.utimens(path, 1500, -250, done)), 0);
  const { inode } = await vfs.lookup(ROOT_INODE, Buffer.from('attributes'));
  t.match(await vfs.getattr(inode), {
    mode: S_IFREG | 0o4711,
    uid: 7,
    gid: 8,
    size: 2,
    atime: { sec: 1, nsec: 500_000_000 },
    mtime: { sec: -1, nsec: 750_000_000 },
  });
  t.equal(await status(done => ops.truncate(path, 2 ** 53, done)), 'EFBIG');
});

t.test('open(2)’s flags reach the file system', async t => {
  await create('/flags', 'abc');
  const [, reading] = await all(done => ops.open('/flags', constants.O_RDONLY, done));
  t.equal(await status(done => ops.write('', Number(reading), Buffer.from('x'), 1, 0, done)), 'EBADF');
  t.equal(await status(done => ops.open('/absent', constants.O_RDONLY, done)), 'ENOENT');
});

t.test(
  'a listing has every name that libfuse can pass, with its attributes; one that is not UTF-8 is logged',
  async t => {
    const { inode } = await vfs.mkdir(ROOT_INODE, Buffer.from('list'), { ...OWNER, mode: 0o755 });
    for (const name of ['a', 'ü']) await vfs.mkdir(inode, Buffer.from(name), { ...OWNER, mode: 0o700 });
    await vfs.mkdir(inode, Buffer.from([0xff, 0x41]), OWNER);
    const [result, names, stats] = await all(done => ops.readdir('/list', done));
    t.equal(result, 0);
    t.same(names, ['.', '..', 'a', 'ü']);
    t.match(stats, [{ ino: inode }, {}, { mode: S_IFDIR | 0o700 }, { mode: S_IFDIR | 0o700 }]);
    t.match(lines.at(-1), { level: 'warn', path: '/list', name: '\xffA' });
    t.equal(await status(done => ops.fsyncdir('/list', 0, 0, done)), 0);
  },
);

t.test(
  'extended attributes are kept, but neither capabilities nor ACLs, which nobody would obey',
  async t => {
    const path = '/xattr';
    await create(path);
    const value = Buffer.from('blue');
    t.equal(await status(done => ops.setxattr(path, 'user.colour', value, 0, 0, done)), 0);
    // The native side uses its memory again.
    value.fill(0);
    t.same(await all(done => ops.getxattr(path, 'user.colour', 0, done)), [0, Buffer.from('blue')]);
    const { inode } = await vfs.lookup(ROOT_INODE, Buffer.from('xattr'));
    const acl = Buffer.from(
      '02000000 01000700ffffffff 04000500ffffffff 20000400ffffffff'.replaceAll(' ', ''),
      'hex',
    );
    await vfs.setxattr(inode, Buffer.from('system.posix_acl_access'), acl, 0);
    t.same(await all(done => ops.listxattr(path, done)), [0, Buffer.from('user.colour\0')]);
    for (const [name, forSet, forGet] of [
      ['security.capability', 'EOPNOTSUPP', 'ENODATA'],
      ['system.posix_acl_access', 'EOPNOTSUPP', 'EOPNOTSUPP'],
    ] as const) {
      t.equal(await status(done => ops.setxattr(path, name, value, 0, 0, done)), forSet, `set ${name}`);
      t.equal(await status(done => ops.getxattr(path, name, 0, done)), forGet, `get ${name}`);
      t.equal(await status(done => ops.removexattr(path, name, done)), forGet, `remove ${name}`);
    }
    t.equal(await status(done => ops.removexattr(path, 'user.colour', done)), 0);
    t.equal(await status(done => ops.getxattr(path, 'user.colour', 0, done)), 'ENODATA');
  },
);

t.test('statfs tells room and names', async t => {
  t.match(await all(done => ops.statfs('/', done)), [0, { namemax: 255, bsize: 1 << 20 }]);
});

t.test('a mistake of this program is EIO, and goes to the log; an errno of the servers does not', async t => {
  const mistaken = recordedLog();
  const statfs = async (error: Error) => {
    const failing = {
      statfs: async () => {
        throw error;
      },
    };
    const broken = pathOperations(failing as unknown as FileSystem, mistaken.log);
    return await status(done => broken.statfs('/', done));
  };
  t.equal(await statfs(new DfsError('EIO', 'the servers are away')), 'EIO');
  t.same(mistaken.lines, []);
  t.equal(await statfs(new TypeError('undefined is not a function')), 'EIO');
  t.match(mistaken.lines, [{ level: 'error', msg: 'a file system operation failed' }]);
});
