/**
 * Each operation of the namespace by itself, at a real metadata server: files that are made, what a rename tells of names,
 * attributes and links that are known without asking. What the operations have in common is in namespace.test.ts.
 */
import t, { type Test } from 'tap';
import type { Client } from '../../../../src/client/client.js';
import { create, tmpfile } from '../../../../src/client/namespace/create.js';
import { link } from '../../../../src/client/namespace/link.js';
import { mkdir } from '../../../../src/client/namespace/mkdir.js';
import { mknod } from '../../../../src/client/namespace/mknod.js';
import { rename } from '../../../../src/client/namespace/rename.js';
import { rmdir } from '../../../../src/client/namespace/rmdir.js';
import { setattr } from '../../../../src/client/namespace/setattr.js';
import { readlink, symlink } from '../../../../src/client/namespace/symlink.js';
import {
  askXattr,
  learnInheritance,
  listXattrs,
  removeXattr,
  setXattr,
} from '../../../../src/client/namespace/xattrs.js';
import { ROOT_INODE, S_IFIFO, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { RenameFlag } from '../../../../src/protocol/namespace-commands.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { caller } from '../../rules/records.js';
import { connectClient } from '../../vfs/support/connected-client.js';
import { serve } from '../../vfs/support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const ROOT = {};
const STRANGER = { caller: caller(9) };
const name = (text: string): Buffer => Buffer.from(text);
const NAME = name('name');
const NOTHING_WRITTEN = {
  mayDecide: () => true,
  extents: () => undefined,
  decided: () => undefined,
  commit: async () => undefined,
};

const storing = ({ grants }: Client) => ({ grants, goal: 1, usualGoal: 1, maxBytes: 1 << 16, exclude: [] });

/** A client that caches, with a directory; `asked` are the requests that it has sent, by name. */
async function scene(t: Test) {
  const { client } = await connectClient(t, await serve(t));
  const { session } = client;
  await session.beginCaching();
  const { inode: directory } = await mkdir(session, ROOT_INODE, name('own'), OWNER, ROOT);
  const asked: string[] = [];
  const execute = session.ordered.execute.bind(session.ordered);
  session.ordered.execute = async (command, ...rest) => {
    asked.push(command.name);
    return await execute(command, ...rest);
  };
  const ask = session.ask.bind(session);
  session.ask = async (command, request) => {
    asked.push(command.name);
    return await ask(command, request);
  };
  const becomeAlone = async (): Promise<void> => {
    const isAlone = async (): Promise<boolean> => {
      await setattr(session, { inode: ROOT_INODE, mode: 0o777 }, NOTHING_WRITTEN);
      return session.changes.isOpen && session.held.has(directory);
    };
    await waitUntil(isAlone, { what: 'the client decides alone' });
    await session.changes.drained();
    asked.length = 0;
  };
  return { client, session, directory, asked, becomeAlone };
}

t.test('a file is created and open by the server', async t => {
  const { client, session, directory, asked } = await scene(t);
  session.held.clear();
  const { isNew, attributes } = await create(session, directory, NAME, OWNER, true, storing(client), ROOT);
  t.ok(isNew);
  t.ok(session.opens.has(attributes.inode));
  t.equal(session.names.knows(directory, NAME), attributes.inode);
  t.same(asked, ['put']);
});

t.test('a file is created and open ahead of the server', async t => {
  const { client, session, directory, asked, becomeAlone } = await scene(t);
  await becomeAlone();
  const { isNew, attributes } = await create(session, directory, NAME, OWNER, true, storing(client), ROOT);
  t.ok(isNew);
  t.ok(session.opens.has(attributes.inode));
  t.notOk(asked.includes('put'));
  await session.changes.drained();
  t.match(await session.getattr(attributes.inode), { mode: S_IFREG | 0o755, nlink: 1 });
});

t.test('a file that is there is returned, and not counted as open', async t => {
  const { client, session, directory } = await scene(t);
  const { inode } = await mknod(session, directory, NAME, { ...OWNER, mode: S_IFREG | 0o600 }, 0, ROOT);
  const found = await create(session, directory, NAME, OWNER, false, storing(client), ROOT);
  t.same([found.isNew, found.attributes.inode], [false, inode]);
  t.notOk(session.opens.has(inode));
  const exclusive = create(session, directory, NAME, OWNER, true, storing(client), ROOT);
  t.equal(await refusal(exclusive), 'EEXIST');
  t.equal(session.names.knows(directory, NAME), inode);
});

t.test('a file without a name is open, and can be given one', async t => {
  const { session, directory } = await scene(t);
  const { attributes, isNew } = await tmpfile(session, directory, OWNER, 1, ROOT);
  t.same([isNew, attributes.nlink], [true, 0]);
  t.ok(session.opens.has(attributes.inode));
  t.equal((await link(session, attributes.inode, directory, NAME, false, ROOT)).nlink, 1);
  t.equal(session.names.knows(directory, NAME), attributes.inode);
});

t.test('a link in the place of another file takes its name away', async t => {
  const { session, directory } = await scene(t);
  const fifo = { ...OWNER, mode: S_IFIFO | 0o600 };
  const { inode } = await mknod(session, directory, NAME, fifo, 0, ROOT);
  await mknod(session, directory, name('other'), fifo, 0, ROOT);
  t.equal(await refusal(link(session, inode, directory, name('other'), false, ROOT)), 'EEXIST');
  t.equal((await link(session, inode, directory, name('other'), true, ROOT)).nlink, 2);
  t.equal(session.names.knows(directory, name('other')), inode);
  t.equal((await session.getattr(inode)).nlink, 2);
});

t.test('a rename over two names of one file changes neither, and is not taken for done', async t => {
  const { session, directory } = await scene(t);
  const { inode } = await mknod(session, directory, NAME, { ...OWNER, mode: S_IFIFO | 0o600 }, 0, ROOT);
  await link(session, inode, directory, name('second'), false, ROOT);
  await rename(session, [directory, NAME], [directory, name('second')], { flags: 0 }, ROOT);
  t.not(session.names.knows(directory, NAME), 0, 'the first name is there');
  t.equal((await session.getattr(inode)).nlink, 2);
});

t.test('a whiteout stands where the renamed file was', async t => {
  const { session, directory } = await scene(t);
  const { inode } = await mknod(session, directory, NAME, { ...OWNER, mode: S_IFIFO | 0o600 }, 0, ROOT);
  const options = { flags: RenameFlag.whiteout, whiteoutOwner: { uid: 7, gid: 8 } };
  await rename(session, [directory, NAME], [directory, name('new')], options, ROOT);
  t.equal(session.names.knows(directory, name('new')), inode);
  const whiteout = session.names.knows(directory, NAME);
  t.ok(whiteout !== undefined && whiteout > 0 && whiteout !== inode);
  t.match(await session.getattr(whiteout ?? 0), { uid: 7, gid: 8, rdev: 0 });
});

t.test(
  'a directory that is moved leads up to its new parent, one that is replaced or removed is forgotten',
  async t => {
    const { session, directory } = await scene(t);
    const below = await mkdir(session, directory, name('below'), OWNER, ROOT);
    const moved = await mkdir(session, directory, name('moved'), OWNER, ROOT);
    const replaced = await mkdir(session, below.inode, name('replaced'), OWNER, ROOT);
    await rename(session, [directory, name('moved')], [below.inode, name('replaced')], { flags: 0 }, ROOT);
    t.equal(session.names.page(moved.inode, Buffer.alloc(0), 1)?.parent, below.inode);
    t.equal(session.names.find(replaced.inode, NAME), undefined);
    session.held.clear();
    await rmdir(session, below.inode, name('replaced'), ROOT);
    t.equal(session.names.find(moved.inode, NAME), undefined);
    t.equal(session.names.knows(below.inode, name('replaced')), 0);
  },
);

t.test(
  'what is written is committed before the server changes attributes, and left when the client does',
  async t => {
    const { session, directory, asked, becomeAlone } = await scene(t);
    await becomeAlone();
    const told: string[] = [];
    const written = {
      mayDecide: () => false,
      extents: () => undefined,
      decided: () => void told.push('decided'),
      commit: async () => void told.push('commit', ...asked),
    };
    t.match(await setattr(session, { inode: directory, mode: 0o700 }, written), { inode: directory });
    t.same([told, asked], [['commit'], ['setattr']]);
    await waitUntil(() => session.changes.isOpen && session.held.has(directory), {
      what: 'it may decide again',
    });
    asked.length = 0;
    const before = await session.getattr(directory);
    let seen: unknown;
    const ahead = {
      ...written,
      mayDecide: () => true,
      decided: (_: unknown, was: unknown) => void (seen = was),
    };
    const mtime = { sec: 9, nsec: 1 };
    t.match(await setattr(session, { inode: directory, mtime }, ahead), { mtime });
    t.same(seen, before);
    t.same(asked, []);
  },
);

t.test('where a link leads is asked once, and not of anything else', async t => {
  const { session, directory, asked } = await scene(t);
  session.held.clear();
  const { inode } = await symlink(session, directory, NAME, name('far/away'), OWNER, ROOT);
  await session.getattr(inode);
  asked.length = 0;
  for (let times = 0; times < 3; times += 1) t.equal((await readlink(session, inode)).toString(), 'far/away');
  t.same(asked, ['readlink']);
  t.equal(await refusal(readlink(session, directory)), 'EINVAL');
  t.equal(await refusal(symlink(session, directory, NAME, name('other'), OWNER, ROOT)), 'EEXIST');
});

const xattr = (text: string, flags = 0) => ({
  name: name(text),
  value: name('value'),
  flags,
  stripSetgid: false,
});

t.test('extended attributes that this client gave are answered by it, to whom may read them', async t => {
  const { session, directory, asked, becomeAlone } = await scene(t);
  await listXattrs(session, directory, ROOT);
  await becomeAlone();
  for (const each of ['user.a', 'trusted.b']) await setXattr(session, directory, xattr(each), ROOT);
  t.same((await listXattrs(session, directory, ROOT)).map(String), ['user.a', 'trusted.b']);
  t.same((await listXattrs(session, directory, STRANGER)).map(String), ['user.a']);
  t.equal((await askXattr(session, directory, name('user.a'), ROOT)).toString(), 'value');
  t.same(asked, []);
  t.equal(await refusal(askXattr(session, directory, name('trusted.b'), STRANGER)), 'ENODATA');
  await removeXattr(session, directory, name('user.a'), ROOT);
  t.equal(await refusal(askXattr(session, directory, name('user.a'), ROOT)), 'ENODATA');
});

t.test('a change of an extended attribute that fails leaves unknown what there is', async t => {
  const { session, directory } = await scene(t);
  await listXattrs(session, directory, ROOT);
  t.equal(session.xattrs.all(directory)?.size, 0);
  const [create1, replace] = [1, 2];
  t.equal(await refusal(setXattr(session, directory, xattr('user.a', replace), ROOT)), 'ENODATA');
  t.equal(session.xattrs.all(directory), undefined);
  await setXattr(session, directory, xattr('user.a', create1), ROOT);
  t.equal(await refusal(setXattr(session, directory, xattr('user.a', create1), ROOT)), 'EEXIST');
  t.equal(await refusal(removeXattr(session, directory, name('user.b'), ROOT)), 'ENODATA');
  t.equal(await refusal(askXattr(session, directory, name('user.b'), ROOT)), 'ENODATA');
  t.same((await listXattrs(session, directory, ROOT)).map(String), ['user.a']);
});

t.test('a stranger to whom none are told does not make them known to be none', async t => {
  const { session, directory } = await scene(t);
  await setXattr(session, directory, xattr('trusted.b'), ROOT);
  session.xattrs.changed(directory);
  t.same(await listXattrs(session, directory, STRANGER), []);
  t.equal(session.xattrs.all(directory), undefined);
});

t.test('what new files inherit is asked where only that is missing for deciding alone', async t => {
  const { session, directory, asked, becomeAlone } = await scene(t);
  await learnInheritance(session, 4711);
  t.notOk(asked.includes('listxattr'), 'of what others may change nothing is decided');
  await becomeAlone();
  session.xattrs.changed(directory);
  await learnInheritance(session, directory);
  t.same(asked, ['listxattr']);
  await learnInheritance(session, directory);
  t.same(asked, ['listxattr'], 'it is known by now');
});
