import t, { type Test } from 'tap';
import * as namespace from '../../../src/client/namespace/namespace.js';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import type { MetadataServer } from '../../../src/metadata/metadata-server.js';
import { CAPABILITY } from '../../../src/protocol/attribute-names.js';
import { ROOT_INODE, S_IFREG } from '../../../src/protocol/file-mode.js';
import { GOAL_ATTRIBUTE } from '../../../src/protocol/limits.js';
import type { PrivilegeLoss } from '../../../src/protocol/types.js';
import { FileXattrs } from '../../../src/vfs/file-xattrs.js';
import { connectSession } from '../client/support/connected-session.js';
import { refusal } from '../metadata/support/harness.js';
import { serve } from './support/connected-clients.js';

const USER = Buffer.from('user.one');
/** cap_net_raw=ep (linux/capability.h). */
const NET_RAW = Buffer.from('0100000200200000000000000000000000000000', 'hex');
const VALUE = Buffer.from('value');
const BY_ROOT = {};

/** An open file, as far as attributes concern it. */
class ScriptedFile {
  hasNoCapability = false;
  privilegeLoss: PrivilegeLoss | undefined;
  settled = 0;

  async settledInTime(): Promise<void> {
    this.settled += 1;
    this.privilegeLoss = undefined;
  }
}

async function open(t: Test, server: MetadataServer) {
  const session = await connectSession(t, server.endpoint);
  await session.beginCaching();
  const files = new Map<number, ScriptedFile>();
  const xattrs = new FileXattrs({ session, files });
  const make = async (name: string): Promise<number> => {
    const creation = { mode: S_IFREG | 0o755, uid: 0, gid: 0 };
    return (await namespace.mknod(session, ROOT_INODE, Buffer.from(name), creation, 0, BY_ROOT)).inode;
  };
  const set = async (inode: number, name: Buffer, value = VALUE): Promise<void> => {
    await xattrs.set(inode, { name, value, flags: 0, stripSetgid: false }, BY_ROOT);
  };
  return { session, files, xattrs, make, set };
}

/** The requests that were sent since, by the names of their commands. */
function asked(session: MetadataSession): string[] {
  const names: string[] = [];
  const ask = session.ask.bind(session);
  session.ask = (command, request) => {
    names.push(command.name);
    return ask(command, request);
  };
  return names;
}

t.test('set, read, listed and removed', async t => {
  const { xattrs, make, set } = await open(t, await serve(t));
  const inode = await make('file');
  await set(inode, USER);
  t.same(await xattrs.get(inode, USER, BY_ROOT), VALUE);
  t.same(await xattrs.list(inode, BY_ROOT), [USER]);
  await xattrs.remove(inode, USER, BY_ROOT);
  t.equal(await refusal(xattrs.get(inode, USER, BY_ROOT)), 'ENODATA');
  t.same(await xattrs.list(inode, BY_ROOT), []);
});

t.test('an inode without any is asked about once, whatever the names', async t => {
  const server = await serve(t);
  const { make } = await open(t, server);
  const inode = await make('file');
  const { xattrs, session } = await open(t, server);
  const requests = asked(session);
  for (const name of [USER, CAPABILITY, Buffer.from('system.posix_acl_access')])
    t.equal(await refusal(xattrs.get(inode, name, BY_ROOT)), 'ENODATA');
  t.same(requests, ['listxattr']);
});

t.test('the goal, and names that no attribute has, are the server’s to answer', async t => {
  const { xattrs, make, session } = await open(t, await serve(t));
  const inode = await make('file');
  await xattrs.list(inode, BY_ROOT);
  const requests = asked(session);
  t.equal(
    await refusal(xattrs.get(inode, Buffer.from(GOAL_ATTRIBUTE), BY_ROOT)),
    'OK',
    'with none, but told',
  );
  t.not(await refusal(xattrs.get(inode, Buffer.from('nonsense'), BY_ROOT)), 'OK');
  t.same(requests, ['getxattr', 'getxattr']);
});

t.test('an open file without a capability is not asked about before each write', async t => {
  const { xattrs, make, set, files, session } = await open(t, await serve(t));
  const inode = await make('file');
  await set(inode, USER);
  const file = new ScriptedFile();
  files.set(inode, file);
  const requests = asked(session);
  for (let write = 0; write < 3; write += 1)
    t.equal(await refusal(xattrs.get(inode, CAPABILITY, BY_ROOT)), 'ENODATA');
  t.same(requests, ['listxattr', 'getxattr']);
  t.ok(file.hasNoCapability);
  await set(inode, CAPABILITY, NET_RAW);
  t.notOk(file.hasNoCapability);
  t.same(await xattrs.get(inode, CAPABILITY, BY_ROOT), NET_RAW);
});

t.test('what others may have set while the server answered is not taken for absent', async t => {
  const { xattrs, make, set, files, session } = await open(t, await serve(t));
  const inode = await make('file');
  await set(inode, USER);
  const file = new ScriptedFile();
  files.set(inode, file);
  await xattrs.list(inode, BY_ROOT);
  const ask = session.ask.bind(session);
  session.ask = async (command, request) => {
    const revocation = { inodes: [{ inode, version: 99 }], names: [], directories: [], everything: false };
    await session.lease.revoke(revocation);
    return await ask(command, request);
  };
  t.equal(await refusal(xattrs.get(inode, CAPABILITY, BY_ROOT)), 'ENODATA');
  t.notOk(file.hasNoCapability);
});

t.test('a write of before takes no capability away that is given after it', async t => {
  const { xattrs, make, set, files } = await open(t, await serve(t));
  const inode = await make('file');
  const file = new ScriptedFile();
  files.set(inode, file);
  file.privilegeLoss = 'all';
  await set(inode, USER);
  t.equal(file.settled, 0, 'other attributes wait for nothing');
  await set(inode, CAPABILITY, NET_RAW);
  t.equal(file.settled, 1);
  t.same(await xattrs.get(inode, CAPABILITY, BY_ROOT), NET_RAW);
});
