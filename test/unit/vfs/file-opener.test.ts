import { constants } from 'node:fs';
import t, { type Test } from 'tap';
import * as namespace from '../../../src/client/namespace/namespace.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { GOAL_ATTRIBUTE } from '../../../src/protocol/limits.js';
import { getattr } from '../../../src/protocol/namespace-commands.js';
import type { Attributes } from '../../../src/protocol/types.js';
import { FileOpener } from '../../../src/vfs/file-opener.js';
import { refusal } from '../metadata/support/harness.js';
import { serve } from './support/connected-clients.js';
import { connectClient } from './support/connected-client.js';

const { O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;
/** __FMODE_EXEC of <linux/fs.h>. */
const OPEN_TO_EXECUTE = 0x20;
const BY_ROOT = {};
const BY_OTHER = { caller: { uid: 1000, gid: 1000, groups: [] } };

interface Added {
  readonly inode: number;
  readonly flags: number;
  readonly isNew: boolean;
}

/** Opens files at a real server; the table of open files is a list, whose positions are the handles. */
async function opener(t: Test) {
  const { client, options } = await connectClient(t, await serve(t));
  const { session, grants, nodes } = client;
  const added: Added[] = [];
  const released: number[] = [];
  const emptied: unknown[] = [];
  const files = {
    add: ({ inode }: Attributes, flags: number, _: unknown, isNew = false) =>
      added.push({ inode, flags, isNew }) - 1,
    release: async (handle: number) => void released.push(handle),
    named: () => undefined,
    present: (attributes: Attributes) => ({ ...attributes, size: attributes.size + 1000 }),
  };
  const how = { empty: async (...call: unknown[]) => void emptied.push(call) };
  const open = new FileOpener({
    readOnly: false,
    session,
    grants,
    nodes,
    files,
    goal: options.goal,
    chunkBytes: options.chunkBytes,
    empty: async (...call) => await how.empty(...call),
  });
  const create = async (name: string, flags = O_RDWR, mode = 0o644, by: namespace.By = BY_ROOT) => {
    const creation = { mode, uid: 0, gid: 0 };
    return await open.create(ROOT_INODE, Buffer.from(name), creation, false, flags, 'all', by);
  };
  return { client, session, grants, files, open, create, added, released, emptied, how };
}

t.test('a file that is created is new, and needs not be emptied', async t => {
  const { create, added, emptied, session } = await opener(t);
  const { handle, attributes } = await create('file', O_RDWR | O_TRUNC);
  t.same(added[handle], { inode: attributes.inode, flags: O_RDWR | O_TRUNC, isNew: true });
  t.same(emptied, []);
  t.ok(session.opens.has(attributes.inode));
});

t.test('O_CREAT of a file that is there opens it, empties it, and shows what is written', async t => {
  const { create, added, emptied } = await opener(t);
  const { inode } = (await create('file')).attributes;
  const again = await create('file', O_WRONLY | O_TRUNC);
  t.same(added[again.handle], { inode, flags: O_WRONLY | O_TRUNC, isNew: false });
  t.same(emptied, [[inode, 'all']]);
  t.equal(again.attributes.size, 1000, 'as the open file presents it');
});

t.test('a file without a name', async t => {
  const { open, added, session } = await opener(t);
  const creation = { mode: 0o600, uid: 0, gid: 0 };
  const { handle, attributes } = await open.tmpfile(ROOT_INODE, creation, O_RDWR, BY_ROOT);
  t.equal(attributes.nlink, 0);
  t.equal(added[handle]?.isNew, true);
  t.equal((await session.ask(getattr, { inode: attributes.inode })).attributes.nlink, 0, 'it lives');
});

t.test('an open whose O_TRUNC fails leaves no handle, and tells why it failed', async t => {
  const { create, open, released, files, how } = await opener(t);
  const { inode } = (await create('file')).attributes;
  how.empty = async () => await Promise.reject(new DfsError('ENOSPC', 'for a test'));
  t.equal(await refusal(open.open(inode, O_WRONLY | O_TRUNC, undefined, BY_ROOT)), 'ENOSPC');
  t.same(released, [1]);
  files.release = async () => await Promise.reject(new DfsError('EIO', 'for a test'));
  t.equal(await refusal(open.open(inode, O_WRONLY | O_TRUNC, undefined, BY_ROOT)), 'ENOSPC');
});

t.test('a create whose attributes cannot be told leaves no handle', async t => {
  const { create, released, session } = await opener(t);
  await create('file');
  session.getattr = async () => await Promise.reject(new DfsError('EIO', 'for a test'));
  t.equal(await refusal(create('file')), 'EIO');
  t.same(released, [1]);
});

t.test('a file that is removed between its being found and opened is looked for again: ESTALE', async t => {
  const { create, session, added } = await opener(t);
  const { inode } = (await create('file')).attributes;
  const given: number[] = [];
  session.opens.giveBack = async back => void given.push(back);
  for (const [reason, told] of [
    ['ENOENT', 'ESTALE'],
    ['EACCES', 'EACCES'],
  ] as const) {
    session.opens.open = async () => await Promise.reject(new DfsError(reason, 'for a test'));
    t.equal(await refusal(create('file')), told);
  }
  t.same(given, [inode, inode]);
  t.equal(added.length, 1);
});

t.test('what is no regular file is not opened', async t => {
  const { open, session, added } = await opener(t);
  t.equal(await refusal(open.open(ROOT_INODE, O_RDONLY, undefined, BY_ROOT)), 'EINVAL');
  t.notOk(session.opens.has(ROOT_INODE));
  t.same(added, []);
});

t.test('what the flags of open(2) ask of the permissions', async t => {
  const { open, create } = await opener(t);
  const may = async (mode: number, flags: number): Promise<string> => {
    const { inode } = (await create(`${mode} ${flags}`, O_RDWR, mode)).attributes;
    return await refusal(open.open(inode, flags, undefined, BY_OTHER));
  };
  t.equal(await may(0o604, O_RDONLY), 'OK');
  t.equal(await may(0o604, O_WRONLY), 'EACCES');
  t.equal(await may(0o604, O_RDWR), 'EACCES');
  t.equal(await may(0o604, O_RDONLY | O_TRUNC), 'EACCES', 'to empty is to write');
  t.equal(await may(0o602, O_WRONLY), 'OK');
  t.equal(await may(0o602, O_RDONLY), 'EACCES');
  t.equal(await may(0o606, O_RDWR), 'OK');
  t.equal(await may(0o601, O_RDONLY | OPEN_TO_EXECUTE), 'OK', 'a program that is not readable runs');
  t.equal(await may(0o604, O_RDONLY | OPEN_TO_EXECUTE), 'EACCES');
});

t.test('grants that come with a create are for the goal of the file before', async t => {
  const { create, session, grants } = await opener(t);
  const goal = { name: Buffer.from(GOAL_ATTRIBUTE), value: Buffer.from('3'), flags: 0, stripSetgid: false };
  await namespace.setXattr(session, ROOT_INODE, goal, BY_ROOT);
  const wanted: number[] = [];
  grants.wanted = each => {
    wanted.push(each);
    return 0;
  };
  await create('first');
  await create('second');
  t.same(wanted, [1, 3]);
});
