/**
 * Attributes, content and extended attributes that the client changes alone, what it leaves to the server, and what comes of
 * an answer that it did not foretell (client/log/foretold-*.ts).
 */
import t from 'tap';
import { ACCESS_ACL, CAPABILITY } from '../../../../src/protocol/attribute-names.js';
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../../../src/protocol/file-mode.js';
import { GOAL_ATTRIBUTE } from '../../../../src/protocol/limits.js';
import type { Attributes, Extent } from '../../../../src/protocol/types.js';
import { caller } from '../../rules/records.js';
import { DecidingClient, DIRECTORY } from './support/deciding-client.js';

const FILE = 5;
const OWNER = { caller: caller(7, 8) };
const STRANGER = { caller: caller(9) };
const ROOT = {};
const NAME = Buffer.from('user.a');
const LARGE = 2 << 20;
const TIME = { sec: 9, nsec: 1 };

/** What a client knows of a file's extents: each of `pieces` bytes has its own. */
function extentsOf({ version }: Attributes, pieces = 4096) {
  const covered = (start: number, end: number) => {
    const bytes = Math.max(0, end - start);
    return { bytes, extents: Math.ceil(bytes / pieces) };
  };
  return { version, covered };
}

function written(...extents: (readonly [offset: number, length: number])[]) {
  const stored = { length: 1, checksum: 1, nodes: [1] };
  const grant = { chunk: 1, nodes: [1], maxBytes: 1 << 20, expiresMs: 1, signature: Buffer.alloc(16) };
  return {
    inode: FILE,
    extents: extents.map(([offset, length]): Extent => ({ offset, length, chunk: 1, chunkOffset: 0 })),
    chunks: [{ ...stored, chunk: 1, grant }],
    size: 0,
    mtime: TIME,
    durable: false,
  };
}

const ignore = (): void => undefined;
const ANSWERS = { committed: ignore, refused: ignore };
const value = (text: string) => ({ name: NAME, value: Buffer.from(text), flags: 0, stripSetgid: false });

t.test('mode, owner and times are changed at once', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: FILE });
  const { attributes } = client.foretold;
  t.match(attributes.setattr({ inode: FILE, mode: 0o600, ...OWNER }, undefined), { mode: S_IFREG | 0o600 });
  t.match(attributes.setattr({ inode: FILE, uid: 1, gid: 2 }, undefined), { uid: 1, gid: 2 });
  t.match(attributes.setattr({ inode: FILE, mtime: TIME }, undefined), { mtime: TIME });
  t.match(client.kept(FILE), {
    mode: S_IFREG | 0o600,
    uid: 1,
    gid: 2,
    mtime: TIME,
    ctime: client.clock.now(),
  });
  t.match(await client.answered(), [
    { name: 'setattr', request: { inode: FILE, mode: 0o600 } },
    { name: 'setattr', request: { inode: FILE, uid: 1, gid: 2 } },
    { name: 'setattr', request: { inode: FILE, mtime: TIME } },
  ]);
});

t.test('a file is cut where it is known what that frees', async t => {
  const client = await DecidingClient.start();
  const { attributes } = client.foretold;
  const file = client.know({ inode: FILE, size: LARGE, allocated: LARGE });
  const grown = attributes.setattr({ inode: FILE, size: 2 * LARGE }, undefined);
  t.match(grown, { size: 2 * LARGE, allocated: LARGE }, 'to grow frees nothing');
  client.know(file);
  const cut = attributes.setattr({ inode: FILE, size: LARGE - 10 }, extentsOf(file));
  t.match(cut, { size: LARGE - 10, allocated: LARGE - 10, version: file.version + 1 }, 'by its extents');
  client.know({ ...file, size: 100, allocated: 100 });
  const emptied = attributes.setattr({ inode: FILE, size: 0 }, undefined);
  t.match(emptied, { size: 0, allocated: 0 }, 'a small file is in few extents');
  client.know({ ...file, allocated: 0 });
  t.match(attributes.setattr({ inode: FILE, size: 0 }, undefined), { size: 0 }, 'a hole has none');
});

t.test('a cut whose effect is not known, or that takes long, is the server’s', async t => {
  const client = await DecidingClient.start();
  const { attributes } = client.foretold;
  const file = client.know({ inode: FILE, size: LARGE, allocated: LARGE });
  const stale = { ...extentsOf(file), version: file.version - 1 };
  t.equal(
    attributes.setattr({ inode: FILE, size: LARGE - 10 }, stale),
    undefined,
    'extents of an older version',
  );
  t.equal(attributes.setattr({ inode: FILE, size: 10 }, undefined), undefined);
  t.equal(attributes.setattr({ inode: FILE, size: 0 }, undefined), undefined, 'perhaps in very many pieces');
  t.equal(attributes.setattr({ inode: FILE, size: 0 }, extentsOf(file, 1024)), undefined, 'in very many');
  t.ok(client.hasDecidedNothing);
});

t.test('a change of attributes that is not allowed, or not certain, is the server’s', async t => {
  const client = await DecidingClient.start();
  const { attributes } = client.foretold;
  client.know({ inode: FILE });
  client.know({ inode: 6, mode: S_IFLNK | 0o777 });
  client.know({ inode: 7, mode: S_IFREG | 0o666 });
  client.caches.xattrs.changed(7);
  t.equal(attributes.setattr({ inode: FILE, mode: 0o600, ...STRANGER }, undefined), undefined, 'EPERM');
  t.equal(attributes.setattr({ inode: FILE, uid: 9, ...OWNER }, undefined), undefined, 'EPERM');
  t.equal(attributes.setattr({ inode: DIRECTORY, size: 0 }, undefined), undefined, 'EISDIR');
  t.equal(attributes.setattr({ inode: 6, mode: 0o600 }, undefined), undefined, 'EOPNOTSUPP');
  t.equal(attributes.setattr({ inode: 99, mode: 0o600 }, undefined), undefined, 'not known');
  t.equal(attributes.setattr({ inode: 7, mode: 0o600 }, undefined), undefined, 'an ACL would change, too');
  t.equal(attributes.setattr({ inode: 7, uid: 1 }, undefined), undefined, 'a capability would go');
  t.equal(attributes.setattr({ inode: 7, size: 0, privilegeLoss: 'all' }, undefined), undefined);
  t.equal(attributes.setattr({ inode: 7, atime: 'now', mtime: 'now', ...STRANGER }, undefined), undefined);
  client.isBusy = true;
  t.equal(attributes.setattr({ inode: FILE, mode: 0o600 }, undefined), undefined, 'busy');
  t.ok(client.hasDecidedNothing);
  client.isBusy = false;
  t.ok(attributes.setattr({ inode: 7, mtime: TIME }, undefined), 'times have nothing to do with an ACL');
});

t.test('what the server would not take for its shape does not go into the log', async t => {
  const client = await DecidingClient.start();
  const before = client.know({ inode: FILE });
  t.equal(client.foretold.attributes.setattr({ inode: FILE, uid: 2 ** 32 }, undefined), undefined);
  t.ok(client.hasDecidedNothing);
  t.same(client.kept(FILE), before);
});

t.test('written bytes are committed at once', async t => {
  const client = await DecidingClient.start();
  const file = client.know({ inode: FILE, size: 100, allocated: 100 });
  const told: string[] = [];
  const answers = { committed: () => void told.push('committed'), refused: () => void told.push('refused') };
  const commit = written([50, 100]);
  const changed = client.foretold.content.commit(commit, extentsOf(file), answers);
  t.match(changed, { size: 150, allocated: 150, version: file.version + 1, mtime: TIME });
  t.same(client.kept(FILE), changed);
  t.same(told, []);
  t.match(await client.answered(), [{ name: 'blocks', request: { inode: FILE, extents: commit.extents } }]);
  t.same(told, ['committed']);
});

t.test('an append goes to the end that nobody else can move', async t => {
  const client = await DecidingClient.start();
  const file = client.know({ inode: FILE, size: 100, allocated: 100 });
  const { content } = client.foretold;
  const elsewhere = { ...written([90, 10]), append: true };
  t.equal(content.commit(elsewhere, extentsOf(file), ANSWERS), undefined, 'it was moved');
  const append = { ...written([100, 10]), append: true };
  t.match(content.commit(append, { version: -1, covered: () => undefined }, ANSWERS), {
    size: 110,
    allocated: 110,
  });
  const [sent] = await client.answered();
  t.notOk(sent && 'append' in sent.request);
});

t.test('a commit that is not certain, or not only the client’s, is the server’s', async t => {
  const client = await DecidingClient.start();
  const file = client.know({ inode: FILE, size: LARGE, allocated: LARGE });
  const extents = extentsOf(file);
  const { content } = client.foretold;
  const cases = [
    ['nothing is committed', written()],
    ['it is to be durable', { ...written([0, 1]), durable: true }],
    ['privileges go', { ...written([0, 1]), privilegeLoss: 'all' as const }],
    ['bytes are only moved', { ...written([0, 1]), replaces: [] }],
    ['of another file', { ...written([0, 1]), inode: 6 }],
    ['very many extents', written(...Array.from({ length: 257 }, (_, index) => [LARGE + index, 1] as const))],
  ] as const;
  for (const [what, commit] of cases) {
    const mine = { ...commit, extents: [...commit.extents] };
    const request = 'replaces' in mine ? { ...mine, replaces: [...mine.replaces] } : mine;
    t.equal(content.commit(request, extents, ANSWERS), undefined, what);
  }
  const stale = { ...extents, version: file.version - 1 };
  t.equal(content.commit(written([0, 1]), stale, ANSWERS), undefined, 'what it covers is not known');
  const pieces = extentsOf(file, 1024);
  t.equal(content.commit(written([0, LARGE]), pieces, ANSWERS), undefined, 'it covers very many extents');
  client.isBusy = true;
  t.equal(content.commit(written([0, 1]), extents, ANSWERS), undefined, 'busy');
  t.ok(client.hasDecidedNothing);
});

t.test('a commit into its place in the log waits for no request that waits for the log', async t => {
  const client = await DecidingClient.start();
  const file = client.know({ inode: FILE });
  const place = client.changes.reserve(ignore);
  client.isBusy = true;
  const { content } = client.foretold;
  client.isBusyBefore = true;
  t.equal(content.commit(written([0, 1]), extentsOf(file), ANSWERS, place), undefined);
  client.isBusyBefore = false;
  t.ok(content.commit(written([0, 1]), extentsOf(file), ANSWERS, place));
  client.changes.leave(place);
  t.equal(content.commit(written([1, 1]), extentsOf(file), ANSWERS, place), undefined, 'it was left');
});

t.test(
  'a commit that the server refuses is told to who wrote, and nothing kept of it is believed',
  async t => {
    const client = await DecidingClient.start();
    const file = client.know({ inode: FILE });
    const dropped: number[] = [];
    const drop = async ({ inodes }: { readonly inodes: readonly { readonly inode: number }[] }) =>
      void dropped.push(...inodes.map(({ inode }) => inode));
    client.lease.addKeeper({ drop, dropAll: async () => undefined });
    const codes: string[] = [];
    client.refusal = 'ESTALE';
    const answers = {
      committed: ignore,
      refused: ({ code }: { readonly code: string }) => void codes.push(code),
    };
    client.foretold.content.commit(written([0, 1]), extentsOf(file), answers);
    await client.answered();
    t.same(codes, ['ESTALE']);
    t.same(dropped, [FILE]);
    t.equal(client.kept(FILE), undefined);
    t.same(client.lost, [], 'who wrote stores it anew');
  },
);

t.test('another change that the server refuses makes its files lost, not its directories', async t => {
  const client = await DecidingClient.start();
  client.knowAs('file', { inode: FILE });
  client.refusal = 'ENOENT';
  client.foretold.names.unlink(DIRECTORY, Buffer.from('file'), ROOT);
  await client.answered();
  t.same(client.lost, [FILE]);
});

t.test('an extended attribute is set, replaced and removed at once', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: FILE });
  client.clock.advance(1000);
  const { xattrs } = client.foretold;
  const mine = value('one');
  t.ok(xattrs.set(FILE, mine, OWNER));
  mine.value.fill(0);
  t.equal(client.caches.xattrs.all(FILE)?.get('user.a')?.toString(), 'one', 'a copy is kept');
  t.same(client.kept(FILE)?.ctime, client.clock.now());
  t.ok(xattrs.set(FILE, value('two'), OWNER));
  t.ok(xattrs.remove(FILE, NAME, OWNER));
  t.equal(client.caches.xattrs.all(FILE)?.size, 0);
  t.match(await client.answered(), [
    { name: 'setxattr', request: { inode: FILE, name: NAME, value: Buffer.from('one') } },
    { name: 'setxattr', request: { inode: FILE, name: NAME, value: Buffer.from('two') } },
    { name: 'removexattr', request: { inode: FILE, name: NAME } },
  ]);
});

t.test('an extended attribute with a meaning, or that may be refused, is the server’s', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: FILE });
  client.know({ inode: 6 });
  client.caches.xattrs.changed(6);
  const { xattrs } = client.foretold;
  const [create, replace] = [1, 2];
  for (const name of [
    ACCESS_ACL,
    CAPABILITY,
    Buffer.from(GOAL_ATTRIBUTE),
    Buffer.from('bad'),
    Buffer.alloc(0),
  ]) {
    t.notOk(xattrs.set(FILE, { ...value('1'), name }, ROOT), name.toString());
    t.notOk(xattrs.remove(FILE, name, ROOT));
  }
  t.notOk(xattrs.set(FILE, value('1'.repeat(4097)), ROOT), 'a long value');
  t.notOk(xattrs.set(FILE, { ...value('1'), flags: replace }, ROOT), 'ENODATA');
  t.notOk(xattrs.set(FILE, { ...value('1'), flags: 8 }, ROOT), 'EINVAL');
  t.notOk(xattrs.set(FILE, value('1'), STRANGER), 'EACCES');
  t.notOk(xattrs.set(6, value('1'), OWNER), 'what it has is not known');
  t.notOk(xattrs.set(99, value('1'), OWNER));
  t.notOk(xattrs.remove(FILE, NAME, OWNER), 'ENODATA');
  t.ok(client.hasDecidedNothing);
  t.ok(xattrs.set(FILE, { ...value('1'), flags: create }, OWNER));
  t.notOk(xattrs.set(FILE, { ...value('2'), flags: create }, OWNER), 'EEXIST');
  t.ok(xattrs.set(FILE, { ...value('2'), flags: replace }, OWNER));
});

t.test('names of extended attributes that would become too many are the server’s to refuse', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: FILE });
  const { xattrs } = client.foretold;
  const name = (index: number): Buffer => Buffer.from(`user.${String(index).padStart(249, '0')}`);
  let count = 0;
  while (count < 1000 && xattrs.set(FILE, { ...value('1'), name: name(count) }, ROOT)) count += 1;
  t.ok(count > 100 && count < 1000, `${count} have room`);
  t.ok(xattrs.set(FILE, { ...value('2'), name: name(0) }, ROOT), 'one that is there takes none');
});

t.test('an answer that was foretold confirms it; another one is told and forgotten', async t => {
  const client = await DecidingClient.start();
  const file = client.know({ inode: FILE });
  const { foretold } = client;
  t.same(foretold.confirm([file]), []);
  for (const other of [
    { mode: 1 },
    { size: 1 },
    { version: 99 },
    { ctime: TIME },
    { mtime: { sec: 100, nsec: 6 } },
  ]) {
    const actual = { ...file, ...other };
    t.same(foretold.confirm([file, actual]), [actual], Object.keys(other).join());
  }
  t.equal(client.mispredicted.length, 5);
  t.same(client.mispredicted[0], [file, { ...file, mode: 1 }]);
  t.same(foretold.confirm([{ ...file, generation: 9 }]), [], 'nobody is shown that');
});

t.test('an answer is compared with nothing while more changes are on their way', async t => {
  const client = await DecidingClient.start();
  const file = client.know({ inode: FILE });
  const actual = { ...file, size: 1 };
  const { foretold } = client;
  client.isBusy = true;
  t.same(foretold.confirm([actual]), []);
  client.isBusy = false;
  foretold.attributes.setattr({ inode: FILE, mode: 0o600 }, undefined);
  t.same(foretold.confirm([actual]), [], 'it is changed again');
  t.same(foretold.confirm([{ ...actual, inode: 99 }]), [], 'nothing is kept of it');
  await client.answered();
  t.same(foretold.confirm([actual]), [actual]);
});

t.test('a directory of mode 0 is the owner’s to change, not to write in', async t => {
  const client = await DecidingClient.start();
  client.know({ inode: DIRECTORY, mode: S_IFDIR, nlink: 2 });
  const creation = { mode: 0o600, uid: 7, gid: 8 };
  t.equal(client.foretold.names.create(DIRECTORY, NAME, creation, 1, OWNER), undefined);
  t.ok(client.foretold.attributes.setattr({ inode: DIRECTORY, mode: 0o700, ...OWNER }, undefined));
  t.ok(client.foretold.names.create(DIRECTORY, NAME, creation, 1, OWNER));
});
