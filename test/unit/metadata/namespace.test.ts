import t from 'tap';
import { link } from '../../../src/metadata/operations/link.js';
import { lookup } from '../../../src/metadata/operations/lookup.js';
import { mkdir } from '../../../src/metadata/operations/mkdir.js';
import { mknod } from '../../../src/metadata/operations/mknod.js';
import { open } from '../../../src/metadata/operations/open.js';
import { readlink } from '../../../src/metadata/operations/readlink.js';
import { resolve } from '../../../src/metadata/operations/resolve.js';
import { rmdir } from '../../../src/metadata/operations/rmdir.js';
import { statfs } from '../../../src/metadata/operations/statfs.js';
import { symlink } from '../../../src/metadata/operations/symlink.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { getattr } from '../../../src/metadata/operations/getattr.js';
import { compareTimespec } from '../../../src/platform/clock.js';
import {
  ROOT_INODE,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
} from '../../../src/protocol/file-mode.js';
import { refusal, startHarness, type TestClient } from './support/harness.js';

const OWNER = { uid: 7, gid: 8 };
const bytes = (text: string): Buffer => Buffer.from(text);

async function node(client: TestClient, name: Buffer, mode: number, rdev = 0, exclusive = true) {
  return await client.execute(mknod, {
    parent: ROOT_INODE,
    name,
    ...OWNER,
    mode,
    rdev,
    open: false,
    exclusive,
  });
}

t.test('the root is a directory of its maker, and its own parent', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const root = await client.stat(ROOT_INODE);
  t.equal(root.mode, S_IFDIR | 0o755);
  t.equal(root.nlink, 2);
  t.equal(root.uid, process.getuid?.());
  t.equal((await client.lookup('..')).inode, ROOT_INODE);
  t.equal((await client.lookup('.')).inode, ROOT_INODE);
  t.equal((await client.ask(statfs, {})).inodes, 1);
});

t.test('mknod makes files of every type but directories and links, with the bits asked for', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  for (const type of [S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK]) {
    const { attributes, created } = await node(client, bytes(`type${type}`), type | 0o4751, 0x0102);
    t.ok(created);
    t.equal(attributes.mode, type | 0o4751);
    t.equal(attributes.rdev, type === S_IFCHR || type === S_IFBLK ? 0x0102 : 0, 'rdev only for devices');
    t.equal(attributes.nlink, 1);
    t.equal(attributes.size, 0);
  }
  t.equal((await node(client, bytes('plain'), 0o600)).attributes.mode, S_IFREG | 0o600, 'no type: regular');
  t.equal(await refusal(node(client, bytes('d'), S_IFDIR | 0o755)), 'EINVAL');
  t.equal(await refusal(node(client, bytes('l'), S_IFLNK | 0o755)), 'EINVAL');
  t.equal((await client.ask(statfs, {})).inodes, 7);
});

t.test('without exclusive a regular file that is there is taken, anything else is refused', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const file = await client.file('f');
  const again = await node(client, bytes('f'), S_IFREG | 0o600, 0, false);
  t.equal(again.created, false);
  t.equal(again.attributes.inode, file.inode);
  t.equal(again.attributes.mode, S_IFREG | 0o644, 'left as it was');
  t.equal(await refusal(node(client, bytes('f'), S_IFREG | 0o600)), 'EEXIST');
  await client.mkdir('d');
  t.equal(await refusal(node(client, bytes('d'), S_IFREG | 0o600, 0, false)), 'EISDIR');
  await node(client, bytes('p'), S_IFIFO | 0o600);
  t.equal(await refusal(node(client, bytes('p'), S_IFREG | 0o600, 0, false)), 'ENXIO');
  t.equal(
    await refusal(node(client, bytes('p'), S_IFIFO | 0o600, 0, false)),
    'EEXIST',
    'mknod(2) never opens',
  );
});

t.test('a name is any bytes but slash and NUL, from 1 to 255 of them', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const odd = Buffer.from([0xff, 0xfe, 0x0a, 0x5c, 0x80]);
  const { attributes } = await node(client, odd, S_IFREG | 0o644);
  t.equal((await client.ask(lookup, { parent: ROOT_INODE, name: odd })).attributes.inode, attributes.inode);
  await node(client, Buffer.alloc(255, 0x61), S_IFREG | 0o644);
  const wanted: [Buffer, string][] = [
    [Buffer.alloc(256, 0x61), 'ENAMETOOLONG'],
    [Buffer.alloc(0), 'ENOENT'],
    [bytes('a/b'), 'EINVAL'],
    [bytes('a\0b'), 'EINVAL'],
    [bytes('.'), 'EEXIST'],
    [bytes('..'), 'EEXIST'],
  ];
  for (const [name, code] of wanted) {
    t.equal(await refusal(node(client, name, S_IFREG | 0o644)), code, `create ${name.toString()}`);
  }
  const removals: [string, string][] = [
    ['.', 'EINVAL'],
    ['..', 'EINVAL'],
    ['', 'ENOENT'],
    ['nothing', 'ENOENT'],
  ];
  for (const [name, code] of removals) {
    const request = { parent: ROOT_INODE, name: bytes(name) };
    t.equal(await refusal(client.execute(unlink, request)), code, `unlink '${name}'`);
    t.equal(await refusal(client.execute(rmdir, request)), code, `rmdir '${name}'`);
  }
});

t.test('a name in what is no directory is ENOTDIR, in what is not there ENOENT', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const file = await client.file('f');
  const dentry = { name: bytes('x'), ...OWNER, mode: 0o755 };
  t.equal(await refusal(client.execute(mkdir, { parent: file.inode, ...dentry })), 'ENOTDIR');
  t.equal(await refusal(client.execute(mkdir, { parent: 987_654, ...dentry })), 'ENOENT');
  t.equal(await refusal(client.ask(lookup, { parent: file.inode, name: bytes('x') })), 'ENOTDIR');
  t.equal(await refusal(client.ask(lookup, { parent: ROOT_INODE, name: bytes('x') })), 'ENOENT');
  t.equal(await refusal(client.ask(getattr, { inode: 987_654 })), 'ENOENT');
});

t.test('a subdirectory is a link to its parent, and times follow', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const before = await client.stat(ROOT_INODE);
  harness.clock.advance(10);
  const directory = await client.mkdir('d');
  t.equal(directory.nlink, 2);
  t.equal(directory.mode, S_IFDIR | 0o755);
  const after = await client.stat(ROOT_INODE);
  t.equal(after.nlink, before.nlink + 1);
  t.same(after.mtime, directory.ctime);
  t.same(after.ctime, directory.ctime);
  t.same(after.atime, before.atime);
  t.ok(after.version > before.version);
  harness.clock.advance(10);
  await client.execute(rmdir, { parent: ROOT_INODE, name: bytes('d') });
  const last = await client.stat(ROOT_INODE);
  t.equal(last.nlink, before.nlink);
  t.equal(compareTimespec(last.mtime, after.mtime), 1);
  t.equal(await refusal(client.stat(directory.inode)), 'ENOENT');
});

t.test('a setgid directory hands on its group, and to directories the bit', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const shared = await client.execute(mkdir, {
    parent: ROOT_INODE,
    name: bytes('shared'),
    uid: 1,
    gid: 99,
    mode: 0o2775,
  });
  const { inode } = shared.attributes;
  const sub = await client.mkdir('sub', inode);
  t.equal(sub.gid, 99);
  t.equal(sub.mode, S_IFDIR | S_ISGID | 0o755);
  const file = await client.file('file', inode);
  t.equal(file.gid, 99);
  t.equal(file.mode, S_IFREG | 0o644);
});

t.test('a symbolic link keeps its target byte for byte', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const target = Buffer.from([0x2f, 0xff, 0x61]);
  const request = { parent: ROOT_INODE, name: bytes('l'), ...OWNER, target };
  const { attributes } = await client.execute(symlink, request);
  t.equal(attributes.mode, S_IFLNK | 0o777);
  t.equal(attributes.size, 3);
  t.ok(Buffer.from((await client.ask(readlink, { inode: attributes.inode })).target).equals(target));
  t.equal(await refusal(client.ask(readlink, { inode: ROOT_INODE })), 'EINVAL');
  const other = { ...request, name: bytes('m') };
  t.equal(await refusal(client.execute(symlink, { ...other, target: Buffer.alloc(0) })), 'ENOENT');
  t.equal(
    await refusal(client.execute(symlink, { ...other, target: Buffer.alloc(4096, 1) })),
    'ENAMETOOLONG',
  );
  t.equal(await refusal(client.execute(symlink, request)), 'EEXIST');
  await client.execute(unlink, { parent: ROOT_INODE, name: bytes('l') });
  await harness.pass(5000);
  t.equal(harness.count('symlinks'), 0);
});

t.test('a hard link is the same inode; the last name takes it along', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const directory = await client.mkdir('d');
  const file = await client.file('a');
  harness.clock.advance(10);
  const linked = await client.execute(link, { parent: directory.inode, name: bytes('b'), inode: file.inode });
  t.equal(linked.attributes.nlink, 2);
  t.equal(compareTimespec(linked.attributes.ctime, file.ctime), 1);
  t.same(linked.attributes.mtime, file.mtime);
  t.equal((await client.lookup('b', directory.inode)).inode, file.inode);
  const first = await client.execute(unlink, { parent: ROOT_INODE, name: bytes('a') });
  t.same(first, { inode: file.inode, nlink: 1 });
  t.equal((await client.stat(file.inode)).nlink, 1);
  const second = await client.execute(unlink, { parent: directory.inode, name: bytes('b') });
  t.same(second, { inode: file.inode, nlink: 0 });
  t.equal((await client.stat(file.inode)).nlink, 0, 'whoever is about to open it still can');
  await harness.pass(5000);
  t.equal(await refusal(client.stat(file.inode)), 'ENOENT');

  const request = { parent: ROOT_INODE, name: bytes('x') };
  t.equal(await refusal(client.execute(link, { ...request, inode: directory.inode })), 'EPERM');
  t.equal(await refusal(client.execute(link, { ...request, inode: file.inode })), 'ENOENT');
  const kept = await client.file('kept');
  t.equal(await refusal(client.execute(link, { ...request, name: bytes('d'), inode: kept.inode })), 'EEXIST');
  await client.ask(open, { inode: kept.inode, session: client.id });
  await client.execute(unlink, { parent: ROOT_INODE, name: bytes('kept') });
  t.equal(
    await refusal(client.execute(link, { ...request, inode: kept.inode })),
    'ENOENT',
    'no name to link',
  );
});

t.test('unlink is for files, rmdir for empty directories', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const directory = await client.mkdir('d');
  await client.file('f', directory.inode);
  t.equal(await refusal(client.execute(unlink, { parent: ROOT_INODE, name: bytes('d') })), 'EISDIR');
  t.equal(await refusal(client.execute(rmdir, { parent: ROOT_INODE, name: bytes('d') })), 'ENOTEMPTY');
  t.equal(await refusal(client.execute(rmdir, { parent: directory.inode, name: bytes('f') })), 'ENOTDIR');
  await client.execute(unlink, { parent: directory.inode, name: bytes('f') });
  await client.execute(rmdir, { parent: ROOT_INODE, name: bytes('d') });
  t.equal(harness.count('dentries'), 0);
  await harness.pass(5000);
  t.equal(harness.count('inodes'), 1);
});

t.test('nothing can be created in a directory that was removed while open', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const directory = await client.mkdir('d');
  await client.ask(open, { inode: directory.inode, session: client.id });
  await client.execute(rmdir, { parent: ROOT_INODE, name: bytes('d') });
  t.equal((await client.stat(directory.inode)).nlink, 0);
  t.equal(await refusal(client.file('f', directory.inode)), 'ENOENT');
});

t.test('resolve walks as far as real directories go', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const a = await client.mkdir('a');
  const b = await client.mkdir('b', a.inode);
  const file = await client.file('f', b.inode);
  const { attributes: symbolic } = await client.execute(symlink, {
    parent: a.inode,
    name: bytes('s'),
    ...OWNER,
    target: bytes('b'),
  });
  const walk = async (...names: string[]) =>
    await client.ask(resolve, { start: ROOT_INODE, names: names.map(bytes) });
  t.match(await walk('a', 'b', 'f'), { walked: 3, attributes: { inode: file.inode } });
  t.match(await walk('a', '..', 'a', '.', 'b'), { walked: 5, attributes: { inode: b.inode } });
  t.match(await walk('a', 's'), { walked: 2, attributes: { inode: symbolic.inode } });
  t.match(await walk('a', 's', 'f'), { walked: 2, attributes: { inode: symbolic.inode } });
  t.match(await walk(), { walked: 0, attributes: { inode: ROOT_INODE } });
  t.equal(await refusal(walk('a', 'x', 'f')), 'ENOENT');
  t.equal(await refusal(walk('a', 'b', 'f', 'g')), 'ENOTDIR');
});

t.test('link with `replace` takes a name over at once, under the rules of rename', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const file = async (name: string) => (await node(client, bytes(name), S_IFREG | 0o644)).attributes.inode;
  const [a, b] = [await file('a'), await file('b')];
  await client.execute(mkdir, { parent: ROOT_INODE, name: bytes('d'), mode: 0o755, ...OWNER });
  const request = { parent: ROOT_INODE, name: bytes('b'), inode: a };
  t.equal(await refusal(client.execute(link, request)), 'EEXIST');
  t.equal((await client.execute(link, { ...request, replace: true })).attributes.nlink, 2);
  t.equal((await client.lookup('b')).inode, a);
  t.equal((await client.stat(b)).nlink, 0, 'the file that had the name has none');
  t.equal(
    (await client.execute(link, { ...request, replace: true })).attributes.nlink,
    2,
    'it is the same file',
  );
  t.equal(await refusal(client.execute(link, { ...request, name: bytes('d'), replace: true })), 'EISDIR');
  t.equal((await client.execute(link, { ...request, name: bytes('c'), replace: true })).attributes.nlink, 3);
  const caller = { uid: 9, gid: 9, groups: [] };
  t.equal(await refusal(client.execute(link, { ...request, replace: true, caller })), 'EACCES');
});
