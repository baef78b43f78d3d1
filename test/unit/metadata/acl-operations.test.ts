import { ACCESS_ACL, DEFAULT_ACL } from '../../../src/protocol/attribute-names.js';
import t from 'tap';
import { mkdir } from '../../../src/metadata/operations/mkdir.js';
import { mknod } from '../../../src/metadata/operations/mknod.js';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import { symlink } from '../../../src/metadata/operations/symlink.js';
import { getxattr, listxattr, removexattr, setxattr } from '../../../src/metadata/operations/xattrs.js';
import { AclTag, encodeAcl } from '../../../src/rules/posix-acl.js';
import { ROOT_INODE, S_IFREG } from '../../../src/protocol/file-mode.js';
import { refusal, startHarness, type TestClient } from './support/harness.js';

const NO_ID = 0xffff_ffff;
const acl = (...entries: (readonly [tag: number, permissions: number, id?: number])[]): Buffer =>
  encodeAcl(entries.map(([tag, permissions, id = NO_ID]) => ({ tag, permissions, id })));
const { userObject, user, groupObject, mask, other } = AclTag;
const extended = acl([userObject, 7], [user, 6, 5], [groupObject, 7], [mask, 7], [other, 5]);
const OWNER = { parent: ROOT_INODE, uid: 7, gid: 8 };

async function set(client: TestClient, inode: number, name: Buffer, value: Buffer, stripSetgid = false) {
  return await client.execute(setxattr, { inode, name, value, flags: 0, stripSetgid });
}

async function names(client: TestClient, inode: number): Promise<string[]> {
  const reply = await client.ask(listxattr, { inode });
  return reply.names.map(name => Buffer.from(name).toString());
}

t.test('an access ACL is the mode, and is kept only where the mode cannot say it', async t => {
  const client = await (await startHarness(t)).client();
  const { inode } = await client.file('f');
  await client.execute(setattr, { inode, mode: 0o2644 });
  await set(client, inode, ACCESS_ACL, extended);
  t.equal((await client.stat(inode)).mode, S_IFREG | 0o2775);
  t.same(await names(client, inode), [ACCESS_ACL.toString()]);
  await client.execute(setattr, { inode, mode: 0o640 });
  const { value } = await client.ask(getxattr, { inode, name: ACCESS_ACL });
  t.same(
    Buffer.from(value),
    acl([userObject, 6], [user, 6, 5], [groupObject, 7], [mask, 4], [other, 0]),
    'chmod changes the owner, the mask and the others',
  );
  await set(client, inode, ACCESS_ACL, acl([userObject, 6], [groupObject, 0], [other, 0]));
  t.equal((await client.stat(inode)).mode, S_IFREG | 0o600);
  t.same(await names(client, inode), []);
  t.equal(await refusal(client.ask(getxattr, { inode, name: ACCESS_ACL })), 'ENODATA');
  await client.execute(removexattr, { inode, name: ACCESS_ACL });
});

t.test('setgid goes when the kernel says that whoever sets the ACL is not in the group', async t => {
  const client = await (await startHarness(t)).client();
  const { inode } = await client.file('f');
  await client.execute(setattr, { inode, mode: 0o6755 });
  await set(client, inode, ACCESS_ACL, extended, true);
  t.equal((await client.stat(inode)).mode, S_IFREG | 0o4775);
});

t.test('malformed ACLs, links and default ACLs of files are refused, and nothing has changed', async t => {
  const client = await (await startHarness(t)).client();
  const before = await client.file('f');
  const { inode } = before;
  t.equal(await refusal(set(client, inode, ACCESS_ACL, extended.subarray(1))), 'EOPNOTSUPP');
  t.equal(await refusal(set(client, inode, ACCESS_ACL, extended.subarray(0, -8))), 'EINVAL');
  t.equal(await refusal(set(client, inode, DEFAULT_ACL, extended)), 'EACCES');
  const link = { ...OWNER, name: Buffer.from('l'), target: Buffer.from('f') };
  const { attributes } = await client.execute(symlink, link);
  t.equal(await refusal(set(client, attributes.inode, ACCESS_ACL, extended)), 'EOPNOTSUPP');
  t.same(await client.stat(inode), before);
  t.same(await names(client, inode), []);
});

t.test('a default ACL takes the umask’s place, and goes on to directories', async t => {
  const client = await (await startHarness(t)).client();
  const { inode: parent } = await client.mkdir('d');
  const name = Buffer.from('n');
  const make = async (in_: number, mode: number) => {
    const request = { ...OWNER, parent: in_, name: Buffer.from(`f${mode}`), mode, umask: 0o027, rdev: 0 };
    return (await client.execute(mknod, { ...request, open: false, exclusive: true })).attributes;
  };
  t.equal((await make(parent, 0o4777)).mode, S_IFREG | 0o4750, 'the umask counts without one');
  await set(client, parent, DEFAULT_ACL, extended);
  const file = await make(parent, 0o666);
  t.equal(file.mode, S_IFREG | 0o664);
  t.same(await names(client, file.inode), [ACCESS_ACL.toString()]);
  const made = await client.execute(mkdir, { ...OWNER, parent, name, mode: 0o777, umask: 0o077 });
  t.equal(made.attributes.mode & 0o7777, 0o775);
  t.same(await names(client, made.attributes.inode), [ACCESS_ACL.toString(), DEFAULT_ACL.toString()]);
  await set(client, parent, DEFAULT_ACL, Buffer.from('02000000', 'hex'));
  t.same(await names(client, parent), [], 'an empty one is none');
  t.equal((await make(parent, 0o777)).mode, S_IFREG | 0o750);
});

t.test('privileges go by truncation and by a new owner, with the capabilities', async t => {
  const client = await (await startHarness(t)).client();
  const { inode } = await client.file('f');
  const capability = Buffer.from('security.capability');
  const lose = async (mode: number, changes: object): Promise<number> => {
    await client.execute(setattr, { inode, mode });
    await set(client, inode, capability, Buffer.from('x'));
    const { attributes } = await client.execute(setattr, { inode, ...changes });
    t.same(await names(client, inode), []);
    return attributes.mode & 0o7777;
  };
  t.equal(await lose(0o6755, { size: 0, privilegeLoss: 'ordinary' }), 0o755);
  t.equal(await lose(0o6745, { size: 0, privilegeLoss: 'ordinary' }), 0o2745);
  t.equal(await lose(0o6745, { size: 0, privilegeLoss: 'all' }), 0o745);
  t.equal(await lose(0o6755, { gid: 9 }), 0o755);
});
