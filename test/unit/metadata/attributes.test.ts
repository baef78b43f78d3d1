import t from 'tap';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import { symlink } from '../../../src/metadata/operations/symlink.js';
import { getxattr, listxattr, removexattr, setxattr } from '../../../src/metadata/operations/xattrs.js';
import { ROOT_INODE, S_IFDIR, S_IFREG } from '../../../src/protocol/file-mode.js';
import { XattrFlag } from '../../../src/protocol/namespace-commands.js';
import { refusal, startHarness } from './support/harness.js';

const bytes = (text: string): Buffer => Buffer.from(text);

t.test('only the fields given are changed, and ctime', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { inode, ...before } = await client.file('f');
  harness.clock.advance(3);
  const set = async (changes: object) => (await client.execute(setattr, { inode, ...changes })).attributes;
  const changed = await set({ mode: 0o4751 });
  t.equal(changed.mode, S_IFREG | 0o4751);
  t.same(changed.mtime, before.mtime);
  t.not(changed.ctime.nsec, before.ctime.nsec);
  const times = await set({ atime: { sec: -5, nsec: 999_999_999 }, mtime: { sec: 1, nsec: 2 } });
  t.same(times.atime, { sec: -5, nsec: 999_999_999 });
  t.same(times.mtime, { sec: 1, nsec: 2 });
  t.same((await set({ atime: 'now' })).atime, harness.clock.now());
  t.same(await client.stat(inode), { ...times, atime: harness.clock.now() });
});

t.test('a new owner takes setuid and setgid away, but not from directories or locking', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { inode } = await client.file('f');
  const set = async (changes: object, of = inode) =>
    (await client.execute(setattr, { inode: of, ...changes })).attributes;
  await set({ mode: 0o6755 });
  const owned = await set({ uid: 3 });
  t.equal(owned.uid, 3);
  t.equal(owned.gid, 8);
  t.equal(owned.mode & 0o7777, 0o755);
  await set({ mode: 0o6745 });
  t.equal((await set({ gid: 4 })).mode & 0o7777, 0o2745, 'setgid without group execution stays');
  t.equal((await set({ gid: 4, mode: 0o4700 })).mode & 0o7777, 0o4700, 'a mode given with it holds');
  const directory = await client.mkdir('d', ROOT_INODE, 0o2775);
  t.equal((await set({ uid: 3 }, directory.inode)).mode, S_IFDIR | 0o2775);
});

t.test('only regular files have a size to set, and links no mode', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { attributes } = await client.execute(symlink, {
    parent: ROOT_INODE,
    name: bytes('l'),
    uid: 0,
    gid: 0,
    target: bytes('x'),
  });
  const { inode } = attributes;
  t.equal(await refusal(client.execute(setattr, { inode: ROOT_INODE, size: 0 })), 'EISDIR');
  t.equal(await refusal(client.execute(setattr, { inode, size: 0 })), 'EINVAL');
  t.equal(await refusal(client.execute(setattr, { inode, mode: 0o600 })), 'EOPNOTSUPP');
  t.equal((await client.execute(setattr, { inode, uid: 5 })).attributes.uid, 5);
  t.equal(await refusal(client.execute(setattr, { inode: 55_555, uid: 5 })), 'ENOENT');
});

t.test('a size beyond 4 GiB, and the largest, are kept exactly', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { inode, version } = await client.file('f');
  for (const size of [6 * 2 ** 30 + 1, Number.MAX_SAFE_INTEGER, 0]) {
    const { attributes } = await client.execute(setattr, { inode, size });
    t.equal(attributes.size, size);
    t.equal((await client.stat(inode)).size, size);
    t.ok(attributes.version > version);
  }
});

t.test('extended attributes are set, replaced, listed and removed as setxattr(2) says', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { inode } = await client.file('f');
  const set = async (name: string, value: Buffer, flags = 0) =>
    await client.execute(setxattr, { inode, name: bytes(name), value, flags });
  const value = async (name: string) =>
    Buffer.from((await client.ask(getxattr, { inode, name: bytes(name) })).value).toString();
  await set('user.b', bytes('1'));
  await set('user.a', Buffer.alloc(0));
  await set('user.b', bytes('2'));
  t.equal(await value('user.b'), '2');
  t.equal(await value('user.a'), '');
  const names = async () =>
    (await client.ask(listxattr, { inode })).names.map(name => Buffer.from(name).toString());
  t.same(await names(), ['user.a', 'user.b']);
  t.equal(await refusal(set('user.b', bytes('3'), XattrFlag.create)), 'EEXIST');
  t.equal(await refusal(set('user.c', bytes('3'), XattrFlag.replace)), 'ENODATA');
  t.equal(await refusal(set('', bytes('3'))), 'ERANGE');
  t.equal(await refusal(set('x'.repeat(256), bytes('3'))), 'ERANGE');
  t.equal(await refusal(set('user.big', Buffer.alloc(65_537))), 'E2BIG');
  await set('user.big', Buffer.alloc(65_536));
  await client.execute(removexattr, { inode, name: bytes('user.big') });
  t.equal(await refusal(client.execute(removexattr, { inode, name: bytes('user.big') })), 'ENODATA');
  t.equal(await refusal(value('user.big')), 'ENODATA');
  t.same(await names(), ['user.a', 'user.b']);
});

t.test('the names of all attributes fit into a list that can be returned', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const { inode } = await client.file('f');
  const set = async (index: number) =>
    await client.execute(setxattr, {
      inode,
      name: bytes(`user.${index}`.padEnd(255, 'x')),
      value: bytes('v'),
      flags: 0,
    });
  for (let index = 0; index < 256; index += 1) await set(index);
  t.equal(await refusal(set(256)), 'ENOSPC');
  t.equal((await client.ask(listxattr, { inode })).names.length, 256);
});
