/**
 * The client's namespace operations: the same whether the client decides or the server, and the name cache is right
 * afterwards.
 */
import t, { type Test } from 'tap';
import * as namespace from '../../../../src/client/namespace/namespace.js';
import type { MetadataSession } from '../../../../src/client/session/metadata-session.js';
import { lookup, readdir, RenameFlag } from '../../../../src/protocol/namespace-commands.js';
import { ROOT_INODE, S_IFIFO } from '../../../../src/protocol/file-mode.js';
import { waitUntil } from '../../../support/wait-until.js';
import { refusal } from '../../metadata/support/harness.js';
import { serve } from '../../vfs/support/connected-clients.js';
import { connectSession } from '../support/connected-session.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const FIFO = { ...OWNER, mode: S_IFIFO | 0o644 };
const name = (text: string): Buffer => Buffer.from(text);
const ROOT = {};

/** A client with a directory of its own, all of whose names it knows, and another one that looks from outside. */
async function scene(t: Test, isAlone: boolean) {
  const server = await serve(t);
  const session = await connectSession(t, server.endpoint);
  const other = await connectSession(t, server.endpoint);
  await session.beginCaching();
  const { inode: directory } = await namespace.mkdir(session, ROOT_INODE, name('own'), OWNER, ROOT);
  if (isAlone) {
    const isAsked = async (): Promise<boolean> => {
      const request = { inode: ROOT_INODE, mode: 0o777 };
      const extents = (): undefined => undefined;
      const commit = async (): Promise<void> => undefined;
      const written = { mayDecide: () => true, extents, decided: () => undefined, commit };
      await namespace.setattr(session, request, written);
      return session.changes.isOpen && session.held.has(directory);
    };
    await waitUntil(isAsked, { what: 'the client decides alone' });
  }
  return { session, other, directory };
}

/** The names in a directory, as the server has them. */
async function namesIn(other: MetadataSession, inode: number): Promise<string[]> {
  const { entries } = await other.ask(readdir, { inode, after: new Uint8Array(), limit: 100 });
  return entries.map(entry => Buffer.from(entry.name).toString());
}

for (const isAlone of [false, true]) {
  const who = isAlone ? 'the client' : 'the server';

  t.test(`names come, go and move, and the cache knows it (${who} decides)`, async t => {
    const { session, other, directory } = await scene(t, isAlone);
    const { names } = session;
    const below = await namespace.mkdir(session, directory, name('below'), OWNER, ROOT);
    const fifo = await namespace.mknod(session, directory, name('fifo'), FIFO, 0, ROOT);
    t.equal(names.knows(directory, name('below')), below.inode);
    const linked = await namespace.link(session, fifo.inode, directory, name('second'), false, ROOT);
    t.equal(linked.nlink, 2);
    await namespace.rename(
      session,
      [directory, name('fifo')],
      [directory, name('moved')],
      { flags: 0 },
      ROOT,
    );
    t.equal(names.knows(directory, name('fifo')), 0);
    t.equal(names.knows(directory, name('moved')), fifo.inode);
    t.same(await namesIn(other, directory), ['below', 'moved', 'second']);
    const unlinked = await namespace.unlink(session, directory, name('second'), ROOT);
    t.same([unlinked.inode, unlinked.nlink], [fifo.inode, 1]);
    await namespace.rmdir(session, directory, name('below'), ROOT);
    t.same(await namesIn(other, directory), ['moved']);
    t.equal(names.knows(directory, name('below')), 0);
  });

  t.test(`what is refused changes no name (${who} decides)`, async t => {
    const { session, other, directory } = await scene(t, isAlone);
    await namespace.mkdir(session, directory, name('there'), OWNER, ROOT);
    const again = namespace.mkdir(session, directory, name('there'), OWNER, ROOT);
    t.equal(await refusal(again), 'EEXIST');
    t.equal(await refusal(namespace.unlink(session, directory, name('there'), ROOT)), 'EISDIR');
    t.equal(await refusal(namespace.rmdir(session, directory, name('absent'), ROOT)), 'ENOENT');
    await namespace.mkdir(session, directory, name('full'), OWNER, ROOT);
    const { inode } = (await other.ask(lookup, { parent: directory, name: name('full') })).attributes;
    await namespace.mkdir(session, inode, name('inside'), OWNER, ROOT);
    t.equal(await refusal(namespace.rmdir(session, directory, name('full'), ROOT)), 'ENOTEMPTY');
    t.same(await namesIn(other, directory), ['full', 'there']);
  });

  t.test(`attributes are those that everybody sees (${who} decides)`, async t => {
    const { session, other, directory } = await scene(t, isAlone);
    let decided = 0;
    let commits = 0;
    const written = {
      mayDecide: () => true,
      extents: () => undefined,
      decided: () => void (decided += 1),
      commit: async () => void (commits += 1),
    };
    const told = await namespace.setattr(session, { inode: directory, mode: 0o700 }, written);
    t.equal(told.mode & 0o777, 0o700);
    t.same((await other.getattr(directory)).mode, told.mode);
    t.equal(decided + commits, 1, 'written data is looked after once, by who decides');
  });
}

t.test('the cache forgets what an exchange of two names may have moved', async t => {
  const { session, other, directory } = await scene(t, false);
  const one = await namespace.mkdir(session, directory, name('one'), OWNER, ROOT);
  const two = await namespace.mkdir(session, directory, name('two'), OWNER, ROOT);
  const options = { flags: RenameFlag.exchange };
  await namespace.rename(session, [directory, name('one')], [directory, name('two')], options, ROOT);
  t.equal(session.names.knows(directory, name('one')), undefined);
  const found = await other.ask(lookup, { parent: directory, name: name('one') });
  t.same([found.attributes.inode, one.inode === two.inode], [two.inode, false]);
});

t.test('a failure that is no refusal makes the directory unknown', async t => {
  const { session, directory } = await scene(t, false);
  await namespace.mkdir(session, directory, name('known'), OWNER, ROOT);
  t.not(session.names.knows(directory, name('known')), undefined);
  await session.close();
  t.equal(await refusal(namespace.mkdir(session, directory, name('more'), OWNER, ROOT)), 'EIO');
  t.equal(session.names.knows(directory, name('known')), undefined);
});

t.test('a symbolic link tells where it leads', async t => {
  const { session, other, directory } = await scene(t, false);
  const made = await namespace.symlink(session, directory, name('link'), name('target'), OWNER, ROOT);
  t.equal((await namespace.readlink(other, made.inode)).toString(), 'target');
  t.equal(session.names.knows(directory, name('link')), made.inode);
});

t.test('extended attributes are known to be none until one is set', async t => {
  const { session, directory } = await scene(t, false);
  t.same(await namespace.listXattrs(session, directory, ROOT), []);
  t.equal(session.xattrs.all(directory)?.size, 0);
  const xattr = { name: name('user.a'), value: name('1'), flags: 0, stripSetgid: false };
  await namespace.setXattr(session, directory, xattr, ROOT);
  t.not(session.xattrs.all(directory)?.size, 0);
  t.equal((await namespace.askXattr(session, directory, name('user.a'), ROOT)).toString(), '1');
  await namespace.removeXattr(session, directory, name('user.a'), ROOT);
  t.same(await namespace.listXattrs(session, directory, ROOT), []);
});
