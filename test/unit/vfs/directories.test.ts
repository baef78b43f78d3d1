/**
 * Lookups and listings, answered from what the client knows (vfs/directories.ts), on a real metadata server whose requests are
 * counted on the way.
 */
import t, { type Test } from 'tap';
import type { MetadataSession } from '../../../src/client/session/metadata-session.js';
import type { Client } from '../../../src/client/client.js';
import { DfsError } from '../../../src/protocol/errors.js';
import { MAX_DIRECTORY_PAGE } from '../../../src/protocol/limits.js';
import { ROOT_INODE } from '../../../src/protocol/file-mode.js';
import { Directories } from '../../../src/vfs/directories.js';
import type { DirectoryPage } from '../../../src/vfs/file-system.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { waitUntil } from '../../support/wait-until.js';
import { connectClient } from './support/connected-client.js';
import { connect, serve } from './support/connected-clients.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const AS_ROOT = {};
const START = new Uint8Array();
const STRANGER = { caller: { uid: 1000, gid: 1000, groups: [] } };

const server = await serve(t);
/** Another mount, which makes what is looked for. */
const other = await connect(t, server);
let made = 0;

/** The name of the n-th file; in the order of their numbers. */
const nameOf = (index: number): Buffer => Buffer.from(`n${String(index).padStart(5, '0')}`);

async function directoryOf(count: number, parent = ROOT_INODE, maker: Vfs = other): Promise<number> {
  made += 1;
  const { inode } = await maker.mkdir(parent, Buffer.from(`d${String(made).padStart(3, '0')}`), OWNER);
  const making = Array.from(
    { length: count },
    async (_, index) => await maker.mknod(inode, nameOf(index), { ...OWNER, mode: 0o100644 }, 0),
  );
  await Promise.all(making);
  await maker.syncfs();
  return inode;
}

/** Directories of a client that keeps what it is told; `asked` counts its requests by their names. */
async function directories(t: Test, keeps = true) {
  const { client } = await connectClient(t, server, { cacheBytes: 32 << 20 });
  if (keeps) await client.session.beginCaching();
  const asked: string[] = [];
  return { asked, session: client.session, directories: new Directories(counted(client, asked)) };
}

/** The session, with what it asks the server written down. */
function counted({ session }: Client, asked: string[]): MetadataSession {
  const { ask } = session;
  session.ask = async (...request: Parameters<typeof ask>) => {
    asked.push(request[0].name);
    return (await Reflect.apply(ask, session, request)) as never;
  };
  return session;
}

/** A directory of more names than a page of the protocol has. */
const LARGE = MAX_DIRECTORY_PAGE + 200;
const large = await directoryOf(LARGE);

/** Every name, read in pages of `limit`. */
async function list(read: Directories, directory: number, limit: number): Promise<string[]> {
  const names: string[] = [];
  let after: Uint8Array = START;
  for (;;) {
    const page: DirectoryPage = await read.page(directory, after, limit, AS_ROOT);
    names.push(...page.entries.map(({ name }) => name.toString()));
    if (page.isLast) return names;
    after = page.entries.at(-1)?.name ?? START;
  }
}

const namesUpTo = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => nameOf(index).toString());

t.test(
  'a directory that was listed is answered from memory: names, and that there is no such name',
  async t => {
    const directory = await directoryOf(5);
    const { asked, directories: read } = await directories(t);
    t.same(await list(read, directory, 100), namesUpTo(5));
    t.same(asked, ['readdir']);
    t.same(await list(read, directory, 2), namesUpTo(5), 'also in other pages');
    t.match(await read.lookup(directory, nameOf(3), AS_ROOT), { nlink: 1 });
    await t.rejects(read.lookup(directory, Buffer.from('absent'), AS_ROOT), { code: 'ENOENT' });
    t.same(asked, ['readdir'], 'and nothing more was asked');
  },
);

t.test('a listing is asked for in large pages, whatever the kernel’s are', async t => {
  const { asked, directories: read } = await directories(t);
  t.same(await list(read, large, 50), namesUpTo(LARGE));
  t.same(asked, ['readdir', 'readdir']);
});

t.test('the third name that is looked up in a directory has it listed', async t => {
  const directory = await directoryOf(10);
  const { asked, directories: read } = await directories(t);
  for (const index of [1, 2]) await read.lookup(directory, nameOf(index), AS_ROOT);
  t.same(asked, ['lookup', 'lookup']);
  for (const index of [3, 4, 5]) await read.lookup(directory, nameOf(index), AS_ROOT);
  t.same(asked, ['lookup', 'lookup', 'readdir'], 'which answers all that follow');
});

t.test(
  'a directory larger than a page is listed in vain once, and its names are asked for one by one',
  async t => {
    const { asked, directories: read } = await directories(t);
    for (let index = 0; index < 24; index += 1) await read.lookup(large, nameOf(index), AS_ROOT);
    t.equal(asked.filter(name => name === 'lookup').length, 24);
    t.equal(asked.filter(name => name === 'readdir').length, 1);
  },
);

t.test('names that are looked up at the same time share one listing', async t => {
  const directory = await directoryOf(10);
  const { asked, directories: read } = await directories(t);
  for (const index of [0, 1]) await read.lookup(directory, nameOf(index), AS_ROOT);
  const found = await Promise.all(
    [2, 3, 4, 5].map(async index => await read.lookup(directory, nameOf(index), AS_ROOT)),
  );
  t.equal(new Set(found.map(({ inode }) => inode)).size, 4);
  t.same(asked, ['lookup', 'lookup', 'readdir']);
});

t.test('what another mount changes is seen, in a directory that is known', async t => {
  const directory = await directoryOf(3);
  const { directories: read } = await directories(t);
  await list(read, directory, 100);
  await other.unlink(directory, nameOf(0));
  await other.mknod(directory, Buffer.from('new'), { ...OWNER, mode: 0o100644 }, 0);
  t.same(await list(read, directory, 100), ['n00001', 'n00002', 'new'].sort());
  await t.rejects(read.lookup(directory, nameOf(0), AS_ROOT), { code: 'ENOENT' });
  t.match(await read.lookup(directory, Buffer.from('new'), AS_ROOT), { nlink: 1 });
});

t.test('several readers of one directory, at different places, each read all of it', async t => {
  const { directories: read } = await directories(t);
  const all = await Promise.all([300, 700, 1024].map(async limit => await list(read, large, limit)));
  for (const names of all) t.same(names, namesUpTo(LARGE));
});

t.test('`..` is asked of the server: no listing has it', async t => {
  const directory = await directoryOf(1);
  const { asked, directories: read } = await directories(t);
  await list(read, directory, 100);
  t.equal((await read.lookup(directory, Buffer.from('..'), AS_ROOT)).inode, ROOT_INODE);
  t.same(asked, ['readdir', 'lookup']);
});

t.test(
  'whether somebody else than root may read a directory the server says, also of one that is known',
  async t => {
    const directory = await directoryOf(2);
    const { directories: read } = await directories(t);
    await list(read, directory, 100);
    t.equal((await read.page(directory, START, 100, STRANGER)).entries.length, 2);
    await other.setattr(directory, { mode: 0o700 });
    await t.rejects(read.page(directory, START, 100, STRANGER), { code: 'EACCES' });
    t.equal((await read.page(directory, START, 100, AS_ROOT)).entries.length, 2);
  },
);

t.test('who keeps nothing asks each time', async t => {
  const directory = await directoryOf(3);
  const { asked, directories: read } = await directories(t, false);
  for (let round = 0; round < 4; round += 1) await read.lookup(directory, nameOf(0), AS_ROOT);
  t.same(await list(read, directory, 2), namesUpTo(3));
  t.same(asked, [...Array.from({ length: 4 }, () => 'lookup'), 'readdir', 'readdir']);
});

t.test('what is no directory, or is gone, is refused as the server refuses it', async t => {
  const directory = await directoryOf(1);
  const { directories: read } = await directories(t);
  const { inode } = await read.lookup(directory, nameOf(0), AS_ROOT);
  await t.rejects(read.page(inode, START, 10, AS_ROOT), { code: 'ENOTDIR' });
  for (let round = 0; round < 4; round += 1) {
    await t.rejects(read.lookup(inode, nameOf(round), AS_ROOT), { code: 'ENOTDIR' });
    await t.rejects(read.lookup(2 ** 40, nameOf(round), AS_ROOT), { code: 'ENOENT' });
  }
  await t.rejects(read.page(2 ** 40, START, 10, AS_ROOT), { code: 'ENOENT' });
});

t.test('directories are listed ahead of a walk through them in order', async t => {
  const top = await directoryOf(0);
  const below: number[] = [];
  for (let index = 0; index < 8; index += 1) below.push(await directoryOf(1, top));
  const { asked, session, directories: read } = await directories(t);
  await list(read, top, 100);
  for (const [index, directory] of below.entries()) {
    // Three in order are a walk.
    const isThere = (): boolean => session.names.isKnown(directory);
    if (index >= 3)
      await waitUntil(isThere, { deadlineMs: 5000, what: `directory ${index} is listed ahead` });
    t.same(await list(read, directory, 100), namesUpTo(1));
    if (index < 3) t.equal(read.following(directory), below[index + 1]);
  }
  t.equal(asked.filter(name => name === 'readdir').length, 1 + below.length, 'none is listed twice');
});

t.test('a change in the middle of a listing loses no name that stays, and tells none twice', async t => {
  const { directories: read } = await directories(t);
  const first = await read.page(large, START, 500, AS_ROOT);
  await other.unlink(large, nameOf(100));
  await other.unlink(large, nameOf(1100));
  await other.mknod(large, Buffer.from('n00600a'), { ...OWNER, mode: 0o100644 }, 0);
  const names = first.entries.map(({ name }) => name.toString());
  for (let isLast = first.isLast; !isLast;) {
    const after = Buffer.from(names.at(-1) ?? '');
    const page = await read.page(large, after, 500, AS_ROOT);
    names.push(...page.entries.map(({ name }) => name.toString()));
    isLast = page.isLast;
  }
  const staying = namesUpTo(LARGE).filter(name => name !== 'n01100');
  t.same(names, staying.toSpliced(601, 0, 'n00600a'), 'and what is behind the reader is as it is now');
});

/** Every name of a listing without attributes, with types. `between` is called before each further page. */
async function listNames(
  read: Directories,
  directory: number,
  between: (names: readonly string[]) => Promise<void> = async () => undefined,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (let after: Uint8Array = START; ;) {
    const { names, isLast } = await read.names(directory, after, AS_ROOT);
    for (let index = 0; index < names.count; index += 1) {
      const name = names.nameAt(index).toString();
      t.notOk(found.has(name), `${name} comes once`);
      found.set(name, names.types[index] ?? 0);
    }
    if (isLast) return found;
    after = Buffer.from(names.nameAt(names.count - 1));
    await between([...found.keys()]);
  }
}

t.test('names alone are asked for in large pages, and attributes follow together', async t => {
  const directory = await directoryOf(10);
  const { asked, directories: read } = await directories(t);
  t.same([...(await listNames(read, directory)).keys()], namesUpTo(10));
  t.same(asked, ['readnames']);
  for (let index = 0; index < 10; index += 1)
    t.match(await read.lookup(directory, nameOf(index), AS_ROOT), { nlink: 1 });
  t.same(asked, ['readnames', 'lookup', 'lookup', 'readdir'], 'when names are looked up after all');
  await t.rejects(read.lookup(directory, Buffer.from('absent'), AS_ROOT), { code: 'ENOENT' });
  t.equal(asked.length, 4);
});

/** As large, and nobody changes it. */
const many = await directoryOf(LARGE);

t.test('attributes of a large directory follow page by page', async t => {
  const { asked, directories: read } = await directories(t);
  t.same([...(await listNames(read, many)).keys()], namesUpTo(LARGE));
  for (let index = 0; index < LARGE; index += 1) await read.lookup(many, nameOf(index), AS_ROOT);
  t.equal(asked.filter(name => name === 'readdir').length, 2);
  t.ok(asked.filter(name => name === 'lookup').length <= 6);
});

t.test('a directory is told with its attributes', async t => {
  const directory = await directoryOf(3);
  const { inode } = await other.mkdir(directory, Buffer.from('sub'), OWNER);
  const { asked, directories: read } = await directories(t);
  const { names, attributesOf, parent } = await read.names(directory, START, AS_ROOT);
  t.equal(parent, ROOT_INODE);
  t.same([...names.types], [8, 8, 8, 4]);
  t.match(attributesOf(inode), { inode, nlink: 2 });
  t.equal(attributesOf(names.inodes[0] ?? 0), undefined, 'a file is not');
  t.equal((await read.lookup(directory, Buffer.from('sub'), AS_ROOT)).inode, inode);
  t.same(asked, ['readnames'], 'and found by its name without a request');
});

t.test('what another mount changes in a directory that was listed by names is seen at once', async t => {
  const directory = await directoryOf(4);
  const { directories: read } = await directories(t);
  await listNames(read, directory);
  await other.unlink(directory, nameOf(0));
  await other.mknod(directory, Buffer.from('new'), { ...OWNER, mode: 0o100644 }, 0);
  await other.rename(directory, nameOf(1), directory, Buffer.from('renamed'), 0);
  await other.unlink(directory, nameOf(2));
  await other.mkdir(directory, nameOf(2), OWNER);
  t.same(
    [...(await listNames(read, directory))],
    [
      ['n00002', 4],
      ['n00003', 8],
      ['new', 8],
      ['renamed', 8],
    ],
  );
});

t.test('while a large directory is listed by names, the names that stay come once', async t => {
  const directory = await directoryOf(LARGE);
  const { directories: read } = await directories(t);
  let round = 0;
  const found = await listNames(read, directory, async () => {
    round += 1;
    await other.unlink(directory, nameOf(LARGE - round));
    await other.mknod(directory, Buffer.from(`z${round}`), { ...OWNER, mode: 0o100644 }, 0);
  });
  t.ok(round > 0);
  t.same([...found.keys()].slice(0, LARGE - 10), namesUpTo(LARGE - 10));
});

t.test('several read one directory by names at different places', async t => {
  const { directories: read } = await directories(t);
  const all = await Promise.all([1, 2, 3].map(async () => await listNames(read, many)));
  for (const names of all) t.same([...names.keys()], namesUpTo(LARGE));
});

t.test('a server of a version that lists no names alone is asked for attributes', async t => {
  const directory = await directoryOf(5);
  const { asked, session, directories: read } = await directories(t);
  session.serverCan = () => false;
  t.same([...(await listNames(read, directory)).keys()], namesUpTo(5));
  t.same(asked, ['readdir']);
});

t.test('so is one that has taken the place of a newer one since', async t => {
  const directory = await directoryOf(5);
  const { asked, session, directories: read } = await directories(t);
  const { ask } = session;
  session.ask = async (...request: Parameters<typeof ask>) => {
    if (request[0].name === 'readnames') throw new DfsError('ENOSYS', 'command 27 is not known here');
    return (await Reflect.apply(ask, session, request)) as never;
  };
  t.same([...(await listNames(read, directory)).keys()], namesUpTo(5));
  t.same(asked, ['readdir']);
});

t.test('whoever is not root is asked about, by names too', async t => {
  const directory = await directoryOf(2);
  const { asked, directories: read } = await directories(t);
  await listNames(read, directory);
  await other.setattr(directory, { mode: 0o700 });
  await t.rejects(read.names(directory, START, STRANGER), { code: 'EACCES' });
  t.same(asked, ['readnames', 'readnames']);
});

t.test('a walk by names finds the directories that follow listed', async t => {
  const parent = await directoryOf(0);
  const within = [];
  for (let index = 0; index < 12; index += 1) within.push(await directoryOf(2, parent));
  const { asked, directories: read } = await directories(t);
  await listNames(read, parent);
  for (const directory of within) {
    t.same([...(await listNames(read, directory)).keys()], namesUpTo(2));
    await new Promise(resolve => setImmediate(resolve));
  }
  t.same(
    asked,
    Array.from({ length: 13 }, () => 'readnames'),
    'each was asked for once',
  );
});
