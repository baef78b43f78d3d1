import t from 'tap';
import { DEFAULT_ACL } from '../../../src/protocol/attribute-names.js';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_ISGID,
} from '../../../src/protocol/file-mode.js';
import {
  createdSymlink,
  inheritedAcls,
  mknodDevice,
  mknodMode,
  mknodRefusal,
  newInode,
} from '../../../src/rules/new-inode.js';
import { AclTag, type Acl } from '../../../src/rules/posix-acl.js';
import { caller, NOW, record } from './records.js';

const PLAIN = record({ mode: S_IFDIR | 0o755, gid: 50 });
const SETGID = record({ mode: S_IFDIR | S_ISGID | 0o755, gid: 50, goal: 2 });
const OWNER = { uid: 7, gid: 8 };
const DEFAULT: Acl = [
  { tag: AclTag.userObject, permissions: 7, id: 0xffff_ffff },
  { tag: AclTag.user, permissions: 6, id: 9 },
  { tag: AclTag.groupObject, permissions: 5, id: 0xffff_ffff },
  { tag: AclTag.mask, permissions: 6, id: 0xffff_ffff },
  { tag: AclTag.other, permissions: 0, id: 0xffff_ffff },
];

t.test('POSIX umask(): its bits are turned off in the mode of a new file', async t => {
  const made = newInode(PLAIN, 5, { ...OWNER, mode: S_IFREG | 0o4777, umask: 0o022 }, NOW);
  t.equal(made.mode, S_IFREG | 0o4755);
  t.match(made, { inode: 5, uid: 7, gid: 8, nlink: 1, size: 0, allocated: 0, version: 1, generation: 1 });
  t.same([made.atime, made.mtime, made.ctime], [NOW, NOW, NOW], 'POSIX open(): all three times');
});

t.test(
  'inode(7): in a setgid directory the group is the directory’s, and a new directory has the bit',
  async t => {
    const file = newInode(SETGID, 5, { ...OWNER, mode: S_IFREG | 0o644 }, NOW);
    t.equal(file.gid, 50);
    t.equal(file.mode & S_ISGID, 0, 'a file does not get the bit');
    const directory = newInode(SETGID, 6, { ...OWNER, mode: S_IFDIR | 0o755 }, NOW);
    t.match(directory, { gid: 50, mode: S_IFDIR | S_ISGID | 0o755 });
    t.equal(newInode(PLAIN, 7, { ...OWNER, mode: S_IFDIR | 0o755 }, NOW).gid, 8);
  },
);

t.test('POSIX mkdir(): a new directory has two links; one without a name has none', async t => {
  t.equal(newInode(PLAIN, 5, { ...OWNER, mode: S_IFDIR | 0o755 }, NOW).nlink, 2);
  t.equal(newInode(PLAIN, 5, { ...OWNER, mode: S_IFREG | 0o644, links: 0 }, NOW).nlink, 0);
});

t.test('a goal is the directory’s, else the creator’s; a directory hands its own on', async t => {
  const file = { ...OWNER, mode: S_IFREG | 0o644 };
  t.equal(newInode(SETGID, 5, { ...file, goal: 3 }, NOW).goal, 2);
  t.equal(newInode({ ...PLAIN, goal: 0 }, 5, { ...file, goal: 3 }, NOW).goal, 3);
  t.equal(newInode({ ...PLAIN, goal: 0 }, 5, { ...OWNER, mode: S_IFDIR, goal: 3 }, NOW).goal, 0);
});

t.test('acl(5): a default ACL takes the umask’s place, and goes on to new directories', async t => {
  const created = { ...OWNER, mode: S_IFREG | 0o664, umask: 0o077 };
  t.equal(newInode(PLAIN, 5, created, NOW, DEFAULT).mode, S_IFREG | 0o660);
  t.equal(inheritedAcls(created, DEFAULT).length, 1);
  const names = inheritedAcls({ mode: S_IFDIR | 0o777 }, DEFAULT).map(({ name }) => Buffer.from(name));
  t.ok(names.some(name => DEFAULT_ACL.equals(name)));
  t.same(inheritedAcls({ mode: S_IFLNK | 0o777 }, DEFAULT), [], 'a symbolic link has no ACL');
});

t.test('symlink(7): a link’s permissions are 0777, its size the length of its target', async t => {
  const made = newInode(PLAIN, 5, { ...createdSymlink(Buffer.from('target'), OWNER), umask: 0o77 }, NOW);
  t.match(made, { mode: S_IFLNK | 0o777, size: 6 });
});

t.test(
  'mknod(2): the type 0 is a regular file, other types and devices of anybody but root are refused',
  async t => {
    t.equal(mknodMode(0o644), S_IFREG | 0o644);
    t.equal(mknodRefusal(S_IFDIR | 0o755, 0, undefined)?.code, 'EINVAL');
    t.equal(mknodRefusal(S_IFBLK, 5, caller(7))?.code, 'EPERM');
    t.equal(mknodRefusal(S_IFBLK, 5, caller(0)), undefined);
    t.equal(mknodRefusal(S_IFCHR, 0, caller(7)), undefined, 'a whiteout is anybody’s');
    t.equal(mknodDevice(S_IFIFO, 5), 0, '"otherwise it is ignored"');
    t.equal(mknodDevice(S_IFCHR, 5), 5);
  },
);
