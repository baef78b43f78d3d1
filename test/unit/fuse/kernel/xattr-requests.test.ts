/** The requests about extended attributes (fuse/kernel/xattr-requests.ts), on a real metadata server. */
import t from 'tap';
import { fuseGetxattrIn, fuseSetxattrIn, fuseShortSetxattrIn } from '../../../../src/fuse/kernel/structs.js';
import { Opcode, SETXATTR_ACL_KILL_SETGID } from '../../../../src/fuse/kernel/wire.js';
import { XattrRequests } from '../../../../src/fuse/kernel/xattr-requests.js';
import { waitUntil } from '../../../support/wait-until.js';
import { withNames } from './support/fake-device.js';
import { ordinaryProcess, WHY_NO_ORDINARY_PROCESS } from './support/ordinary-process.js';
import { openHarness } from './support/request-harness.js';

const COLOUR = 'user.colour';
const BLUE = Buffer.from('blue');
const CAPABILITY = 'security.capability';
const CAPABILITY_VALUE = Buffer.from('0000000200000000000000000000000000000000', 'hex');
/** setxattr(2) */
const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
/** user::rwx group::r-x other::r-x, as the kernel passes it (<linux/posix_acl_xattr.h>). */
const ACL = Buffer.from(
  '02000000 01000700ffffffff 04000500ffffffff 20000500ffffffff'.replaceAll(' ', ''),
  'hex',
);

const harness = await openHarness(t, (vfs, cache, callers) => new XattrRequests(vfs, cache, callers));
const { vfs, cache, requests } = harness;
requests.hasLongSetxattr = true;

function setIn(
  name: string,
  value: Buffer,
  more: { readonly flags?: number; readonly setxattrFlags?: number } = {},
) {
  return Buffer.concat([withNames(fuseSetxattrIn.encode({ size: value.length, ...more }), name), value]);
}

const getIn = (name: string, size: number): Buffer => withNames(fuseGetxattrIn.encode({ size }), name);

async function set(inode: number, body: Buffer, by = {}): Promise<void> {
  await harness.ask(Opcode.setxattr, inode, body, by);
}

async function get(inode: number, name: string, size = 100): Promise<Buffer> {
  return await harness.ask(Opcode.getxattr, inode, getIn(name, size));
}

t.test('a value is set, told by its size and whole, listed, and removed', async t => {
  const { inode } = await harness.create('whole');
  await set(inode, setIn(COLOUR, BLUE));
  t.same(await get(inode, COLOUR, 4), BLUE);
  t.equal((await get(inode, COLOUR, 0)).readUInt32LE(0), 4);
  await t.rejects(get(inode, COLOUR, 3), { code: 'ERANGE' });
  await set(inode, setIn('user.empty', Buffer.alloc(0)));
  t.equal((await get(inode, 'user.empty')).length, 0);
  const list = async (size: number) =>
    await harness.ask(Opcode.listxattr, inode, fuseGetxattrIn.encode({ size }));
  t.same((await list(100)).toString().split('\0').sort(), ['', COLOUR, 'user.empty']);
  t.equal((await list(0)).readUInt32LE(0), 23, 'a NUL after each');
  await t.rejects(list(22), { code: 'ERANGE' });
  await harness.ask(Opcode.removexattr, inode, Buffer.from(`${COLOUR}\0`));
  await t.rejects(get(inode, COLOUR), { code: 'ENODATA' });
});

t.test('XATTR_CREATE and XATTR_REPLACE reach the file system', async t => {
  const { inode } = await harness.create('flags');
  await t.rejects(set(inode, setIn(COLOUR, BLUE, { flags: XATTR_REPLACE })), { code: 'ENODATA' });
  await set(inode, setIn(COLOUR, BLUE, { flags: XATTR_CREATE }));
  await t.rejects(set(inode, setIn(COLOUR, BLUE, { flags: XATTR_CREATE })), { code: 'EEXIST' });
});

t.test('a kernel without FUSE_SETXATTR_EXT sends the short structure', async t => {
  const { inode } = await harness.create('short');
  requests.hasLongSetxattr = false;
  t.teardown(() => (requests.hasLongSetxattr = true));
  await set(inode, Buffer.concat([withNames(fuseShortSetxattrIn.encode({ size: 4 }), COLOUR), BLUE]));
  t.same(await get(inode, COLOUR), BLUE);
});

t.test(
  'a value keeps its bytes: NULs, and what comes after it in the request’s memory is none of it',
  async t => {
    const { inode } = await harness.create('bytes');
    const value = Buffer.from([0, 0xff, 0, 0x80]);
    const body = Buffer.concat([setIn(COLOUR, value), Buffer.from('later')]);
    await set(inode, body);
    body.fill(7);
    t.same(await get(inode, COLOUR), value);
  },
);

t.test('a value that is torn off is EINVAL, rather than set in part', async t => {
  const { inode } = await harness.create('torn');
  const whole = setIn(COLOUR, BLUE);
  for (const missing of [1, 4, 5, 10]) {
    const torn = whole.subarray(0, whole.length - missing);
    await t.rejects(set(inode, torn), { code: 'EINVAL' }, `${missing} bytes are missing`);
  }
  t.same(await vfs.listxattr(inode), []);
});

t.test('torn structures, and flags that do not exist, are EINVAL', async t => {
  const { inode } = await harness.create('odd');
  // Of GETXATTR the name is what is missed first.
  await t.rejects(harness.ask(Opcode.getxattr, inode, Buffer.alloc(3)), { code: 'ERANGE' });
  for (const opcode of [Opcode.listxattr, Opcode.setxattr])
    await t.rejects(harness.ask(opcode, inode, Buffer.alloc(3)), { code: 'EINVAL' }, `request ${opcode}`);
  await t.rejects(set(inode, setIn(COLOUR, BLUE, { setxattrFlags: 2 })), { code: 'EINVAL' });
  t.same(await vfs.listxattr(inode), []);
});

t.test(
  'of SELinux labels the first answer is that there are none here, so that `ls -l` asks once',
  async t => {
    const { inode } = await harness.create('label');
    await t.rejects(get(inode, 'security.selinux'), { code: 'EOPNOTSUPP' });
    await t.rejects(get(inode, 'security.other'), { code: 'ENODATA' });
  },
);

t.test('an attribute of overlay file systems ends the keeping of names', async t => {
  const { inode } = await harness.create('lower');
  t.ok(cache.overlay.mayKeep);
  await t.rejects(get(inode, 'trusted.overlay.opaque'), { code: 'ENODATA' });
  t.notOk(cache.overlay.mayKeep, 'already when it is asked for');
});

t.test('an ACL that the kernel was told is dropped when somebody else changes the file', async t => {
  const { inode } = await harness.create('acl');
  const drop = async (): Promise<string[]> => {
    await cache.drop({ inodes: [{ inode, version: 1 }], names: [], directories: [], everything: false });
    return harness.toldOf(inode);
  };
  const isDropped = async (): Promise<boolean> => (await drop()).length === 0;
  await waitUntil(isDropped, { deadlineMs: 5000, what: 'the kernel was told nothing that is left' });
  await t.rejects(
    get(inode, 'system.posix_acl_access'),
    { code: 'ENODATA' },
    'that there is none, it keeps too',
  );
  t.same(await drop(), ['attributes']);
});

t.test('setgid goes with an ACL that is set from outside the group', async t => {
  const { inode } = await harness.create('setgid', 0o2755);
  await set(inode, setIn('system.posix_acl_access', ACL));
  t.equal((await vfs.getattr(inode)).mode & 0o7777, 0o2755);
  await set(inode, setIn('system.posix_acl_access', ACL, { setxattrFlags: SETXATTR_ACL_KILL_SETGID }));
  t.equal((await vfs.getattr(inode)).mode & 0o7777, 0o755);
});

t.test(
  'who may write to a file takes its capabilities away by that, but no other attribute of root’s',
  { skip: WHY_NO_ORDINARY_PROCESS },
  async t => {
    const { inode } = await harness.create('capable', 0o666);
    const user = await ordinaryProcess(t);
    await set(inode, setIn(CAPABILITY, CAPABILITY_VALUE));
    await set(inode, setIn('trusted.mark', BLUE));
    await t.rejects(set(inode, setIn('trusted.mark', BLUE), user), { code: 'EPERM' });
    const remove = async (name: string) =>
      await harness.ask(Opcode.removexattr, inode, Buffer.from(`${name}\0`), user);
    await t.rejects(remove('trusted.mark'), { code: /EPERM|ENODATA/ });
    await remove(CAPABILITY);
    await t.rejects(get(inode, CAPABILITY), { code: 'ENODATA' });
    t.same(await get(inode, 'trusted.mark'), BLUE);
  },
);
