/** The requests about open directories (fuse/kernel/directory-requests.ts), on a real metadata server. */
import { constants } from 'node:fs';
import t from 'tap';
import { DirectoryRequests } from '../../../../src/fuse/kernel/directory-requests.js';
import {
  fuseDirent,
  fuseEntryOut,
  fuseFsyncIn,
  fuseOpenIn,
  fuseOpenOut,
  fuseReadIn,
  fuseReleaseIn,
} from '../../../../src/fuse/kernel/structs.js';
import { Opcode, OpenFlag } from '../../../../src/fuse/kernel/wire.js';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import type { Requester } from './support/fake-device.js';
import { ordinaryProcess, WHY_NO_ORDINARY_PROCESS } from './support/ordinary-process.js';
import { openHarness } from './support/request-harness.js';

const OWNER = { mode: 0o755, uid: 0, gid: 0 };
const LARGE = 1 << 20;
/** fuse_direntplus with a name of one to eight bytes. */
const ENTRY_BYTES = fuseEntryOut.bytes + fuseDirent.bytes + 8;
const DOTS = 2;

/** One file system for all tests; each has directories of its own. */
const harness = await openHarness(t, (vfs, cache, callers) => new DirectoryRequests(vfs, cache, callers));
const { vfs, cache } = harness;
let made = 0;

/** A directory with directories of these names in it, of which the kernel knows none. */
async function directoryOf(...names: readonly string[]): Promise<number> {
  made += 1;
  const { inode } = await vfs.mkdir(ROOT_INODE, Buffer.from(`d${made}`), OWNER);
  for (const name of names) await vfs.mkdir(inode, Buffer.from(name), OWNER);
  return inode;
}

async function opendir(inode: number, flags = 0, by: Requester = {}) {
  const answer = await harness.ask(Opcode.opendir, inode, fuseOpenIn.encode({ flags }), by);
  return fuseOpenOut.view(answer, 0);
}

interface Read {
  readonly name: string;
  readonly next: number;
  /** What the entry tells of its inode; 0 for nothing. */
  readonly nodeid: number;
}

/** The entries of a page. */
function entriesIn(page: Buffer, before: number): Read[] {
  const entries: Read[] = [];
  for (let at = 0; at < page.length;) {
    const { namelen, off } = fuseDirent.view(page, at + before);
    const start = at + before + fuseDirent.bytes;
    const nodeid = before === 0 ? 0 : fuseEntryOut.view(page, at).nodeid;
    entries.push({ name: page.toString('latin1', start, start + namelen), next: off, nodeid });
    at = Math.ceil((start + namelen) / 8) * 8;
  }
  return entries;
}

async function readdir(inode: number, fh: number, offset: number, size = LARGE): Promise<Read[]> {
  return entriesIn(await harness.ask(Opcode.readdir, inode, fuseReadIn.encode({ fh, offset, size })), 0);
}

async function readdirplus(inode: number, fh: number, offset: number, size = LARGE): Promise<Read[]> {
  const page = await harness.ask(Opcode.readdirplus, inode, fuseReadIn.encode({ fh, offset, size }));
  return entriesIn(page, fuseEntryOut.bytes);
}

const namesOf = (entries: readonly Read[]): string[] => entries.map(({ name }) => name);

t.test('a directory is read once through, page by page, whatever the kernel’s room', async t => {
  const names = Array.from({ length: 30 }, (_, index) => 'n'.repeat(1 + index));
  const directory = await directoryOf(...names);
  for (const read of [readdir, readdirplus]) {
    const { fh } = await opendir(directory);
    const seen: string[] = [];
    for (let offset = 0; ;) {
      const page = await read(directory, fh, offset, 600);
      if (page.length === 0) break;
      seen.push(...namesOf(page));
      offset = page.at(-1)?.next ?? 0;
    }
    t.same(seen, ['.', '..', ...names]);
  }
});

t.test('only entries that fit are told, and only these the kernel will forget', async t => {
  const directory = await directoryOf('a', 'b', 'c');
  const { fh } = await opendir(directory);
  const page = await readdirplus(directory, fh, DOTS, 2 * ENTRY_BYTES + ENTRY_BYTES - 1);
  t.same(namesOf(page), ['a', 'b']);
  const [told, untold] = [page[1]?.nodeid ?? 0, (await vfs.lookup(directory, Buffer.from('c'))).inode];
  t.ok(cache.lastAttributes(told), 'a lookup of each is counted');
  t.notOk(cache.lastAttributes(untold));
  cache.forget(told, 1);
  t.notOk(cache.lastAttributes(told), 'just one');
});

t.test('`.` and `..` tell no inode, and READDIR counts no lookups at all', async t => {
  const directory = await directoryOf('a');
  const { fh } = await opendir(directory);
  t.match(await readdirplus(directory, fh, 0), [{ nodeid: 0 }, { nodeid: 0 }, { name: 'a' }]);
  const other = await directoryOf('a');
  const inode = (await vfs.lookup(other, Buffer.from('a'))).inode;
  await readdir(other, (await opendir(other)).fh, 0);
  t.notOk(cache.lastAttributes(inode));
});

t.test('going back, and beyond the end, and where nothing was read', async t => {
  const directory = await directoryOf('a', 'b', 'c');
  const { fh } = await opendir(directory);
  for (const read of [readdir, readdirplus]) {
    t.same(namesOf(await read(directory, fh, 4)), ['c'], 'seekdir(3)');
    t.same(namesOf(await read(directory, fh, 1)), ['..', 'a', 'b', 'c']);
    t.same(await read(directory, fh, 5), []);
    t.same(await read(directory, fh, 1000), []);
    t.same(await read(directory, fh, 0, 0), [], 'no room at all');
    const body = fuseReadIn.encode({ fh, size: LARGE });
    body.writeBigInt64LE(-1n, 8);
    const opcode = read === readdir ? Opcode.readdir : Opcode.readdirplus;
    t.equal((await harness.ask(opcode, directory, body)).length, 0, 'a place that is none');
  }
});

t.test('each handle reads by itself; one that is released, or never was, is EBADF', async t => {
  const directory = await directoryOf('a');
  const [one, two] = [await opendir(directory), await opendir(directory)];
  t.not(one.fh, two.fh);
  t.equal((await harness.ask(Opcode.releasedir, directory, fuseReleaseIn.encode({ fh: one.fh }))).length, 0);
  for (const fh of [one.fh, 9999]) {
    await t.rejects(readdir(directory, fh, 0), { code: 'EBADF' });
    await t.rejects(readdirplus(directory, fh, 0), { code: 'EBADF' });
  }
  t.same(namesOf(await readdir(directory, two.fh, DOTS)), ['a']);
});

t.test(
  'whoever opens a directory must be allowed to read it; who reads on by the handle is not asked',
  { skip: WHY_NO_ORDINARY_PROCESS },
  async t => {
    const user = await ordinaryProcess(t);
    const directory = await directoryOf('a', 'b');
    const open = await opendir(directory, 0, user);
    t.equal((await readdirplus(directory, open.fh, 0, DOTS * ENTRY_BYTES)).length, DOTS);
    await vfs.setattr(directory, { mode: 0o700 });
    t.same(namesOf(await readdirplus(directory, open.fh, DOTS)), ['a', 'b'], 'as open(2) has it');
    const late = await opendir(directory, 0, user);
    await t.rejects(readdir(directory, late.fh, 0), { code: 'EACCES' });
    await vfs.setattr(directory, { mode: 0o755 });
    t.equal((await readdir(directory, late.fh, 0)).length, 4, 'what was refused is asked anew');
  },
);

t.test('reading moves the access time, unless it was opened with O_NOATIME', async t => {
  const directory = await directoryOf('a');
  const seen: number[] = [];
  vfs.accessed = inode => void seen.push(inode);
  const quiet = await opendir(directory, constants.O_NOATIME);
  await readdir(directory, quiet.fh, 0);
  t.same(seen, []);
  await readdir(directory, (await opendir(directory)).fh, 0);
  t.same(seen, [directory]);
});

t.test('the kernel may keep a listing that it has read since, until names change', async t => {
  const directory = await directoryOf('a');
  cache.noteLookup(await vfs.getattr(directory));
  const { cacheDirectory, keepCache } = OpenFlag;
  t.equal(
    (await opendir(directory)).openFlags,
    cacheDirectory,
    'it forgets what it had, and keeps what it reads',
  );
  t.equal((await opendir(directory)).openFlags, cacheDirectory | keepCache);
  cache.listingChanges(directory);
  t.equal((await opendir(directory)).openFlags, cacheDirectory);
});

t.test('torn structures, and flags that do not exist, are EINVAL', async t => {
  const directory = await directoryOf();
  for (const opcode of harness.requests.handlers.keys())
    await t.rejects(harness.ask(opcode, directory, Buffer.alloc(7)), { code: 'EINVAL' }, `request ${opcode}`);
  t.equal((await harness.ask(Opcode.fsyncdir, directory, fuseFsyncIn.encode({ fsyncFlags: 1 }))).length, 0);
  const odd = fuseFsyncIn.encode({ fsyncFlags: 2 });
  await t.rejects(harness.ask(Opcode.fsyncdir, directory, odd), { code: 'EINVAL' });
});

t.test('a directory that is gone is ENOENT when it is read, and a file is ENOTDIR', async t => {
  await t.rejects(readdir(2 ** 40, (await opendir(2 ** 40)).fh, 0), { code: 'ENOENT' });
  const { inode } = await harness.create('file');
  await t.rejects(readdir(inode, (await opendir(inode)).fh, 0), { code: 'ENOTDIR' });
});

t.test(
  'a program that is not known yet is told few names at first, since it may look each of them up',
  async t => {
    const pid = 4243;
    const directory = await directoryOf();
    const COUNT = 60;
    for (let file = 10; file < 10 + COUNT; file += 1)
      await vfs.mknod(directory, Buffer.from(`f${file}`), { ...OWNER, mode: 0o100644 }, 0);
    const { fh } = await opendir(directory);
    const read = async (offset: number, by: Requester): Promise<readonly Read[]> => {
      const body = fuseReadIn.encode({ fh, offset, size: LARGE });
      return entriesIn(await harness.ask(Opcode.readdirplus, directory, body, by), fuseEntryOut.bytes);
    };
    const first = (await read(0, { pid })).slice(DOTS);
    t.ok(first.length > 0 && first.length <= 12, `${first.length} names`);
    t.ok(first.every(({ nodeid }) => nodeid === 0));
    t.equal(
      (await read(DOTS + first.length, { pid })).length,
      COUNT - first.length,
      'it goes on with all the others',
    );
    harness.requests.lookedUp({ pid, inode: directory });
    const behind = await read(DOTS + first.length, { pid });
    t.same(namesOf([...first, ...behind]), namesOf(await readdir(directory, fh, DOTS)));
    t.equal(
      behind.filter(({ nodeid }) => nodeid === 0).length,
      1,
      'with attributes, as soon as it has looked one up',
    );
    t.equal((await read(0, { pid })).length, DOTS + COUNT, 'by then it is known');
  },
);

t.test('files are told by their names alone until the program looks one of them up', async t => {
  const pid = 4242;
  const lists = async (directory: number): Promise<readonly Read[]> => {
    const body = fuseReadIn.encode({ fh: (await opendir(directory)).fh, offset: DOTS, size: LARGE });
    const page = await harness.ask(Opcode.readdirplus, directory, body, { pid });
    return entriesIn(page, fuseEntryOut.bytes);
  };
  const withFiles = async (): Promise<number> => {
    const directory = await directoryOf('sub');
    for (const name of ['a', 'b', 'c'])
      await vfs.mknod(directory, Buffer.from(name), { ...OWNER, mode: 0o100644 }, 0);
    return directory;
  };
  const directory = await withFiles();
  const sub = (await vfs.lookup(directory, Buffer.from('sub'))).inode;
  const [a, b, c, last] = await lists(directory);
  t.match([a, b, c], [{ name: 'a', nodeid: 0 }, { nodeid: 0 }, { nodeid: 0 }]);
  t.match(last, { name: 'sub', nodeid: sub }, 'programs go into directories');
  harness.requests.lookedUp({ pid, inode: directory });
  const told = (await lists(await withFiles())).map(({ nodeid }) => nodeid !== 0);
  t.same(told, [false, true, true, true], 'all but one, by which it is seen when it stops');
});

t.test(
  'a program that is not known is told all directories at first, for these come with attributes',
  async t => {
    const names = Array.from({ length: 40 }, (_, index) => `d${index}`);
    const directory = await directoryOf(...names);
    await vfs.mknod(directory, Buffer.from('file'), { ...OWNER, mode: 0o100644 }, 0);
    const { fh } = await opendir(directory);
    const body = fuseReadIn.encode({ fh, offset: 0, size: LARGE });
    const page = await harness.ask(Opcode.readdirplus, directory, body, { pid: 4244 });
    const told = entriesIn(page, fuseEntryOut.bytes).slice(DOTS);
    t.strictSame(namesOf(told), [...names.toSorted(), 'file']);
    t.equal(told.filter(({ nodeid }) => nodeid !== 0).length, names.length);
  },
);
