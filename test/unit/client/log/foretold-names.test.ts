/**
 * Names that the client changes alone: what it tells its programs and later the server, and everything that makes it leave
 * the decision to the server (client/log/foretold-names.ts). That the server makes the same of it is for the tests of rules
 * and of the vfs.
 */
import t from 'tap';
import { DEFAULT_ACL } from '../../../../src/protocol/attribute-names.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { MAX_LINKS, MAX_NAME_BYTES, MAX_SYMLINK_BYTES } from '../../../../src/protocol/limits.js';
import { caller } from '../../rules/records.js';
import { DecidingClient, DIRECTORY, FIRST_NUMBER, NUMBERS } from './support/deciding-client.js';

const CREATION = { mode: 0o640, uid: 7, gid: 8 };
const ROOT = {};
const OWNER = { caller: caller(7, 8) };
const STRANGER = { caller: caller(9) };
const FILE = 5;
const OTHER = 6;
const BELOW = 7;
const name = (text: string): Buffer => Buffer.from(text);
const NAME = name('name');

t.test('a file is made with a number of the client’s, in a directory that has changed with it', async t => {
  const client = await DecidingClient.start();
  const { caches, held, foretold, clock } = client;
  clock.advance(5000);
  const made = foretold.names.create(DIRECTORY, NAME, CREATION, 3, OWNER);
  const now = clock.now();
  t.match(made, { inode: FIRST_NUMBER, mode: S_IFREG | 0o640, nlink: 1, uid: 7, gid: 8, size: 0, goal: 3 });
  t.same([made?.mtime, made?.ctime], [now, now]);
  t.same(client.kept(FIRST_NUMBER), made);
  t.match(client.kept(DIRECTORY), { mtime: now, ctime: now, nlink: 2 });
  t.equal(caches.names.find(DIRECTORY, NAME), FIRST_NUMBER);
  t.ok(held.has(FIRST_NUMBER));
  t.equal(caches.xattrs.all(FIRST_NUMBER)?.size, 0);
  const expected = { parent: DIRECTORY, name: NAME, ...CREATION, number: FIRST_NUMBER, exclusive: true };
  t.match(await client.answered(), [{ name: 'mknod', request: { ...expected, goal: 3, ...OWNER } }]);
});

t.test('a directory is made, and everything in it is known', async t => {
  const client = await DecidingClient.start();
  const { foretold, caches } = client;
  const made = foretold.names.mkdir(DIRECTORY, NAME, CREATION, OWNER);
  t.match(made, { inode: FIRST_NUMBER, mode: S_IFDIR | 0o640, nlink: 2 });
  t.equal(client.kept(DIRECTORY)?.nlink, 3);
  t.equal(caches.names.find(DIRECTORY, NAME), FIRST_NUMBER);
  t.equal(caches.names.find(FIRST_NUMBER, name('anything')), 0);
  t.match(foretold.names.create(FIRST_NUMBER, name('below'), CREATION, 1, ROOT), { inode: FIRST_NUMBER + 1 });
  t.same(
    (await client.answered()).map(each => each.name),
    ['mkdir', 'mknod'],
  );
});

t.test('a symbolic link is made, and where it leads is known', async t => {
  const client = await DecidingClient.start();
  const made = client.foretold.names.symlink(DIRECTORY, NAME, name('far/away'), { uid: 7, gid: 8 }, OWNER);
  t.equal((made?.mode ?? 0) & S_IFLNK, S_IFLNK);
  t.equal(made?.size, 8);
  t.equal(client.caches.targets.get(FIRST_NUMBER)?.toString(), 'far/away');
  t.equal(client.caches.names.find(DIRECTORY, NAME), FIRST_NUMBER);
  const request = { target: name('far/away'), uid: 7, gid: 8, number: FIRST_NUMBER };
  t.match(await client.answered(), [{ name: 'symlink', request }]);
});

t.test('a symbolic link’s target that no link can have is the server’s to refuse', async t => {
  const client = await DecidingClient.start();
  for (const target of ['', 'x'.repeat(MAX_SYMLINK_BYTES + 1)]) {
    t.equal(client.foretold.names.symlink(DIRECTORY, NAME, name(target), CREATION, ROOT), undefined);
  }
  t.ok(client.hasDecidedNothing);
});

t.test('when its numbers are used up, the server makes what is new', async t => {
  const { foretold } = await DecidingClient.start();
  for (let index = 0; index < NUMBERS; index += 1) {
    t.ok(foretold.names.create(DIRECTORY, name(`file${index}`), CREATION, 1, ROOT));
  }
  t.equal(foretold.names.create(DIRECTORY, NAME, CREATION, 1, ROOT), undefined);
  t.equal(foretold.names.mkdir(DIRECTORY, NAME, CREATION, ROOT), undefined);
  t.equal(foretold.names.symlink(DIRECTORY, NAME, NAME, CREATION, ROOT), undefined);
});

/** What makes a client leave every change of names in the directory to the server. */
const UNCERTAIN: readonly (readonly [what: string, make: (client: DecidingClient) => void])[] = [
  ['a request whose outcome is not known', client => (client.isBusy = true)],
  ['no lease', client => client.clock.advance(60_000)],
  ['a directory that others may change', client => client.held.clear()],
  ['a directory of which nothing is known', client => client.caches.attributes.changeUnknown()],
  ['a directory that was removed', client => client.know({ inode: DIRECTORY, mode: S_IFDIR, nlink: 0 })],
  [
    'a file in the place of the directory',
    client => client.know({ inode: DIRECTORY, mode: S_IFREG | 0o777 }),
  ],
  ['names that are not known', client => client.caches.names.forgetAll()],
];

for (const [what, make] of UNCERTAIN) {
  t.test(`${what} leaves names to the server`, async t => {
    const client = await DecidingClient.start();
    client.knowAs('file', { inode: FILE });
    client.knowAs('below', { inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
    client.caches.names.created(client.lease.ticket(), BELOW, DIRECTORY);
    make(client);
    const { names } = client.foretold;
    t.equal(names.create(DIRECTORY, NAME, CREATION, 1, ROOT), undefined);
    t.equal(names.mkdir(DIRECTORY, NAME, CREATION, ROOT), undefined);
    t.equal(names.symlink(DIRECTORY, NAME, NAME, CREATION, ROOT), undefined);
    t.equal(names.link(FILE, DIRECTORY, NAME, ROOT), undefined);
    t.equal(names.unlink(DIRECTORY, name('file'), ROOT), undefined);
    t.equal(names.rmdir(DIRECTORY, name('below'), ROOT), undefined);
    t.notOk(names.rename(DIRECTORY, name('file'), DIRECTORY, NAME, ROOT));
    t.ok(client.hasDecidedNothing);
  });
}

t.test('names that are there, or that no entry can have, are the server’s to refuse', async t => {
  const client = await DecidingClient.start();
  client.knowAs('there', { inode: FILE });
  client.knowAs('file', { inode: OTHER });
  const { names } = client.foretold;
  for (const text of ['there', '', '.', '..', 'a/b', 'a\0b', 'x'.repeat(MAX_NAME_BYTES + 1)]) {
    const bad = name(text);
    t.equal(names.create(DIRECTORY, bad, CREATION, 1, ROOT), undefined, `create '${text.slice(0, 9)}'`);
    t.equal(names.mkdir(DIRECTORY, bad, CREATION, ROOT), undefined);
    t.equal(names.symlink(DIRECTORY, bad, NAME, CREATION, ROOT), undefined);
    t.equal(names.link(OTHER, DIRECTORY, bad, ROOT), undefined);
    if (text === 'there') continue;
    t.equal(names.unlink(DIRECTORY, bad, ROOT), undefined);
    t.equal(names.rmdir(DIRECTORY, bad, ROOT), undefined);
    t.notOk(names.rename(DIRECTORY, bad, DIRECTORY, NAME, ROOT));
    t.notOk(names.rename(DIRECTORY, name('file'), DIRECTORY, bad, ROOT));
  }
  t.ok(client.hasDecidedNothing);
});

t.test('a directory that is full of others is the server’s to say so', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: DIRECTORY, mode: S_IFDIR | 0o755, nlink: MAX_LINKS });
  t.equal(client.foretold.names.mkdir(DIRECTORY, NAME, CREATION, ROOT), undefined);
  t.ok(client.hasDecidedNothing);
  t.ok(client.foretold.names.create(DIRECTORY, NAME, CREATION, 1, ROOT), 'a file is no link of it');
});

t.test('a caller who may not write to the directory is the server’s to refuse', async t => {
  const client = await DecidingClient.start();
  client.knowAs('file', { inode: FILE });
  const { names } = client.foretold;
  t.equal(names.create(DIRECTORY, NAME, CREATION, 1, STRANGER), undefined);
  t.equal(names.symlink(DIRECTORY, NAME, NAME, CREATION, STRANGER), undefined);
  t.equal(names.link(FILE, DIRECTORY, NAME, STRANGER), undefined);
  t.equal(names.unlink(DIRECTORY, name('file'), STRANGER), undefined);
  t.notOk(names.rename(DIRECTORY, name('file'), DIRECTORY, NAME, STRANGER));
  t.ok(client.hasDecidedNothing);
  t.ok(names.unlink(DIRECTORY, name('file'), OWNER), 'who may is not kept waiting');
});

t.test('an ACL that may be there leaves to the server what it has a say in', async t => {
  const client = await DecidingClient.start();
  const { names } = client.foretold;
  client.know({ inode: DIRECTORY, mode: S_IFDIR | 0o777, nlink: 2 });
  client.caches.xattrs.changed(DIRECTORY);
  t.equal(names.create(DIRECTORY, NAME, CREATION, 1, OWNER), undefined, 'a new file inherits it');
  t.equal(names.mkdir(DIRECTORY, NAME, CREATION, OWNER), undefined);
  t.equal(names.symlink(DIRECTORY, NAME, NAME, CREATION, STRANGER), undefined, 'it may forbid a stranger');
  t.ok(client.hasDecidedNothing);
  t.ok(names.symlink(DIRECTORY, NAME, NAME, CREATION, OWNER), 'a link inherits nothing');
});

t.test('a default ACL is inherited by the server’s doing, other attributes are not', async t => {
  const client = await DecidingClient.start();
  const { names } = client.foretold;
  client.caches.xattrs.decided(DIRECTORY, new Map([[DEFAULT_ACL.toString('latin1'), Buffer.alloc(4)]]));
  t.equal(names.create(DIRECTORY, NAME, CREATION, 1, ROOT), undefined);
  client.caches.xattrs.decided(DIRECTORY, new Map([['user.a', Buffer.alloc(4)]]));
  t.ok(names.create(DIRECTORY, NAME, CREATION, 1, ROOT));
});

t.test('a second name is given to what is known', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: FILE });
  t.match(client.foretold.names.link(FILE, DIRECTORY, NAME, OWNER), { inode: FILE, nlink: 2 });
  t.equal(client.kept(FILE)?.nlink, 2);
  t.equal(client.caches.names.find(DIRECTORY, NAME), FILE);
  const request = { inode: FILE, parent: DIRECTORY, name: NAME, ...OWNER };
  t.match(await client.answered(), [{ name: 'link', request }]);
});

t.test('what may have no second name is the server’s to refuse', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
  client.know({ inode: FILE, nlink: 0 });
  const { names } = client.foretold;
  t.equal(names.link(BELOW, DIRECTORY, NAME, ROOT), undefined, 'a directory');
  t.equal(names.link(FILE, DIRECTORY, NAME, ROOT), undefined, 'a file that has no name any more');
  t.equal(names.link(99, DIRECTORY, NAME, ROOT), undefined, 'what is not known');
  t.ok(client.hasDecidedNothing);
});

t.test('a name is taken away: an inode without any is not answered for any more', async t => {
  const client = await DecidingClient.start();
  client.knowAs('one', { inode: FILE, nlink: 2 });
  client.knowAs('two', { inode: FILE, nlink: 2 });
  const { names } = client.foretold;
  t.same(names.unlink(DIRECTORY, name('one'), OWNER), { inode: FILE, nlink: 1 });
  t.equal(client.kept(FILE)?.nlink, 1);
  t.equal(client.caches.names.find(DIRECTORY, name('one')), 0);
  t.same(names.unlink(DIRECTORY, name('two'), OWNER), { inode: FILE, nlink: 0 });
  t.equal(client.kept(FILE), undefined);
  t.match(await client.answered(), [
    { name: 'unlink', request: { parent: DIRECTORY, name: name('one') } },
    { name: 'unlink', request: { parent: DIRECTORY, name: name('two') } },
  ]);
});

t.test(
  'a name of what is open, not known, a directory, or another’s in a sticky one is the server’s',
  async t => {
    const client = await DecidingClient.start();
    client.know({ inode: DIRECTORY, mode: S_IFDIR | 0o1777, nlink: 2 });
    client.knowAs('open', { inode: FILE });
    client.open.add(FILE);
    client.knowAs('directory', { inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
    client.caches.names.linked(DIRECTORY, name('unknown'), 99);
    client.knowAs('other', { inode: OTHER, uid: 7 });
    const { names } = client.foretold;
    for (const each of ['open', 'directory', 'unknown']) {
      t.equal(names.unlink(DIRECTORY, name(each), ROOT), undefined, each);
    }
    t.equal(names.unlink(DIRECTORY, name('other'), STRANGER), undefined);
    t.notOk(names.rename(DIRECTORY, name('other'), DIRECTORY, NAME, STRANGER));
    t.ok(client.hasDecidedNothing);
  },
);

t.test('an empty directory is removed', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: DIRECTORY, mode: S_IFDIR | 0o755, nlink: 3 });
  client.knowAs('below', { inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
  client.caches.names.created(client.lease.ticket(), BELOW, DIRECTORY);
  t.equal(client.foretold.names.rmdir(DIRECTORY, name('below'), OWNER), BELOW);
  t.equal(client.kept(DIRECTORY)?.nlink, 2);
  t.equal(client.kept(BELOW), undefined);
  t.equal(client.caches.names.find(DIRECTORY, name('below')), 0);
  t.equal(client.caches.names.find(BELOW, NAME), undefined);
  t.match(await client.answered(), [{ name: 'rmdir', request: { parent: DIRECTORY, name: name('below') } }]);
});

t.test('a directory that is not known to be empty, or is none, is the server’s to remove', async t => {
  const client = await DecidingClient.start();
  const ticket = client.lease.ticket();
  client.knowAs('full', { inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
  client.caches.names.created(ticket, BELOW, DIRECTORY);
  client.caches.names.linked(BELOW, NAME, FILE);
  client.knowAs('unlisted', { inode: OTHER, mode: S_IFDIR | 0o755, nlink: 2 });
  client.knowAs('with others', { inode: 8, mode: S_IFDIR | 0o755, nlink: 3 });
  client.caches.names.created(ticket, 8, DIRECTORY);
  client.knowAs('file', { inode: FILE });
  for (const each of ['full', 'unlisted', 'with others', 'file']) {
    t.equal(client.foretold.names.rmdir(DIRECTORY, name(each), ROOT), undefined, each);
  }
  t.ok(client.hasDecidedNothing);
});

t.test('a file is renamed to a free name, and in the place of a closed file', async t => {
  const client = await DecidingClient.start();
  client.knowAs('file', { inode: FILE });
  client.knowAs('old', { inode: OTHER });
  const { names } = client.foretold;
  t.ok(names.rename(DIRECTORY, name('file'), DIRECTORY, NAME, OWNER));
  t.same(
    [client.caches.names.find(DIRECTORY, name('file')), client.caches.names.find(DIRECTORY, NAME)],
    [0, FILE],
  );
  t.ok(names.rename(DIRECTORY, NAME, DIRECTORY, name('old'), OWNER));
  t.equal(client.caches.names.find(DIRECTORY, name('old')), FILE);
  t.ok(client.kept(FILE));
  t.equal(client.kept(OTHER), undefined, 'nobody answers for what was replaced');
  const request = { parent: DIRECTORY, newParent: DIRECTORY, flags: 0, ...OWNER };
  t.match(await client.answered(), [
    { name: 'rename', request: { ...request, name: name('file'), newName: NAME } },
    { name: 'rename', request: { ...request, name: NAME, newName: name('old') } },
  ]);
});

t.test('a file is moved to another directory, a directory within its own', async t => {
  const client = await DecidingClient.start();
  client.clock.advance(1000);
  client.knowAs('file', { inode: FILE });
  client.knowAs('below', { inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
  client.caches.names.created(client.lease.ticket(), BELOW, DIRECTORY);
  const { names } = client.foretold;
  t.ok(names.rename(DIRECTORY, name('file'), BELOW, NAME, OWNER));
  t.equal(client.caches.names.find(BELOW, NAME), FILE);
  const now = client.clock.now();
  t.same([client.kept(DIRECTORY)?.mtime, client.kept(BELOW)?.mtime], [now, now]);
  t.ok(names.rename(DIRECTORY, name('below'), DIRECTORY, name('moved'), OWNER));
  t.equal(client.caches.names.find(DIRECTORY, name('moved')), BELOW);
  t.equal(client.caches.names.find(BELOW, NAME), FILE, 'what is in it is known as before');
});

t.test('a rename whose outcome is not certain is the server’s', async t => {
  const client = await DecidingClient.start();
  client.knowAs('file', { inode: FILE });
  client.knowAs('same', { inode: FILE });
  client.knowAs('open', { inode: OTHER });
  client.open.add(OTHER);
  client.knowAs('below', { inode: BELOW, mode: S_IFDIR | 0o755, nlink: 2 });
  client.caches.names.created(client.lease.ticket(), BELOW, DIRECTORY);
  client.knowAs('second', { inode: 8, mode: S_IFDIR | 0o755, nlink: 2 });
  client.caches.names.linked(DIRECTORY, name('unknown'), 99);
  client.know({ inode: 9, mode: S_IFDIR | 0o755, nlink: 2 });
  const { names } = client.foretold;
  const cases = [
    ['another name of the same file', 'file', DIRECTORY, 'same'],
    ['an open file is replaced', 'file', DIRECTORY, 'open'],
    ['an unknown file is replaced', 'file', DIRECTORY, 'unknown'],
    ['a directory is replaced by a file', 'file', DIRECTORY, 'below'],
    ['a directory is replaced by a directory', 'second', DIRECTORY, 'below'],
    ['a directory is moved elsewhere', 'second', BELOW, 'new'],
    ['the new name is not known', 'file', 9, 'new'],
    ['what is moved is not known', 'unknown', DIRECTORY, 'new'],
    ['there is nothing to move', 'absent', DIRECTORY, 'new'],
  ] as const;
  for (const [what, from, to, newName] of cases) {
    t.notOk(names.rename(DIRECTORY, name(from), to, name(newName), ROOT), what);
  }
  t.ok(client.hasDecidedNothing);
  t.equal(client.caches.names.find(DIRECTORY, name('file')), FILE);
});
