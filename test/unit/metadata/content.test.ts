import Database from 'better-sqlite3';
import t from 'tap';
import { amend } from '../../../src/metadata/operations/amend.js';
import { blocks } from '../../../src/metadata/operations/blocks.js';
import { get, getfiles } from '../../../src/metadata/operations/get.js';
import { grant } from '../../../src/metadata/operations/grant.js';
import { put } from '../../../src/metadata/operations/put.js';
import { setattr } from '../../../src/metadata/operations/setattr.js';
import { isGrantSigned } from '../../../src/protocol/grant-signature.js';
import { expiryOf, ReadGrantKey, readGrantAt } from '../../../src/protocol/read-grants.js';
import { ROOT_INODE, S_IFREG } from '../../../src/protocol/file-mode.js';
import type { StoredChunk } from '../../../src/protocol/content-commands.js';
import type { Grant } from '../../../src/protocol/types.js';
import { refusal, startHarness, type Harness, type TestClient } from './support/harness.js';

const bytes = (text: string): Buffer => Buffer.from(text);
const CHUNK_BYTES = 1 << 22;

async function withNodes(harness: Harness): Promise<TestClient> {
  for (const name of ['node-1', 'node-2', 'node-3']) await harness.node(name);
  return await harness.client();
}

function only<T>(values: readonly T[]): T {
  const [value] = values;
  if (value === undefined || values.length !== 1) throw new Error(`${values.length} values`);
  return value;
}

const putRequest = {
  parent: ROOT_INODE,
  name: bytes('f'),
  uid: 1,
  gid: 2,
  mode: 0o640,
  exclusive: true,
  count: 3,
  goal: 2,
  maxBytes: CHUNK_BYTES,
  exclude: [],
};

t.test('put creates a file with its goal, and grants that this cluster signed', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const reply = await client.execute(put, { ...putRequest, goal: 3 });
  t.ok(reply.created);
  t.equal(reply.attributes.mode, S_IFREG | 0o640);
  t.equal(reply.attributes.goal, 3);
  t.equal(reply.grants.length, 3);
  t.equal(new Set(reply.grants.map(each => each.chunk)).size, 3);
  t.equal(reply.nodes.length, 3);
  for (const each of reply.grants) {
    t.equal(each.nodes.length, 3);
    t.equal(each.maxBytes, CHUNK_BYTES);
    t.ok(each.expiresMs > harness.clock.wallMs);
  }
  const first = reply.grants[0];
  t.notOk(first && isGrantSigned(Buffer.alloc(32), first));
  t.equal(harness.count('grants'), 3);

  t.equal(await refusal(client.execute(put, putRequest)), 'EEXIST');
  const again = await client.execute(put, { ...putRequest, exclusive: false, count: 0, goal: 1 });
  t.equal(again.created, false);
  t.equal(again.attributes.inode, reply.attributes.inode);
  t.equal(again.attributes.goal, 3, 'the goal of a file that is there stays');
  t.same(again.grants, []);
  await client.mkdir('d');
  const onDirectory = { ...putRequest, name: bytes('d'), exclusive: false };
  t.equal(await refusal(client.execute(put, onDirectory)), 'EISDIR');
});

t.test('the same bytes in another chunk take the place of nothing but themselves', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const file = await client.file('f');
  const chunks = await client.chunks([1000, 400, 300]);
  const [old, newer, copy] = chunks as [StoredChunk, StoredChunk, StoredChunk];
  const before = await client.commit(
    file.inode,
    [{ offset: 0, length: 1000, chunk: old.chunk, chunkOffset: 0 }],
    [old],
  );
  const replacement = {
    inode: file.inode,
    extents: [{ offset: 200, length: 300, chunk: copy.chunk, chunkOffset: 0 }],
    chunks: [copy],
    size: 0,
    mtime: { sec: 99, nsec: 0 },
    durable: false,
    replaces: [{ offset: 200, length: 300, chunk: old.chunk, chunkOffset: 200 }],
  };
  const replaced = await client.execute(blocks, replacement);
  t.notOk(replaced.overtaken);
  t.same(replaced.attributes, { ...before, version: before.version + 1 }, 'nothing else changes');
  const [again] = await client.chunks([300]);
  const late = { ...replacement, chunks: [again as StoredChunk] };
  late.extents = [{ offset: 200, length: 300, chunk: late.chunks[0]?.chunk ?? 0, chunkOffset: 0 }];
  t.equal((await client.execute(blocks, late)).overtaken, true, 'what was replaced is not there any more');
  const written = await client.commit(
    file.inode,
    [{ offset: 600, length: 400, chunk: newer.chunk, chunkOffset: 0 }],
    [newer],
  );
  const overtaken = await client.execute(blocks, {
    ...late,
    replaces: [{ offset: 500, length: 300, chunk: old.chunk, chunkOffset: 500 }],
    extents: [{ offset: 500, length: 300, chunk: late.chunks[0]?.chunk ?? 0, chunkOffset: 0 }],
  });
  t.equal(overtaken.overtaken, true, 'somebody wrote to a part of it');
  t.equal(overtaken.attributes.version, written.version);
  const { extents } = await client.ask(get, { inode: file.inode, offset: 600, limit: 1 });
  t.same(extents, [{ offset: 600, length: 400, chunk: newer.chunk, chunkOffset: 0 }]);
});

t.test('a file can be created without any data node; storing waits for one', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const reply = await client.execute(put, putRequest);
  t.ok(reply.created);
  t.same(reply.grants, []);
  const request = { count: 1, goal: 2, maxBytes: CHUNK_BYTES, exclude: [] };
  t.equal(await refusal(client.ask(grant, request)), 'EAGAIN');
  await harness.node('full-1', 1000);
  t.equal(await refusal(client.ask(grant, request)), 'ENOSPC');
  t.same((await client.ask(grant, { ...request, count: 0 })).grants, []);
});

t.test('what is committed is what get finds', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const file = await client.file('f');
  const chunks = await client.chunks([1000, 500]);
  const [first, second] = chunks as [StoredChunk, StoredChunk];
  harness.clock.advance(5);
  const attributes = await client.commit(
    file.inode,
    // In the wrong order, with a hole between them.
    [
      { offset: 5000, length: 400, chunk: second.chunk, chunkOffset: 100 },
      { offset: 0, length: 1000, chunk: first.chunk, chunkOffset: 0 },
    ],
    chunks,
  );
  t.equal(attributes.size, 5400);
  t.equal(attributes.allocated, 1400);
  t.equal(attributes.version, file.version + 1);
  t.same(attributes.mtime, { sec: 5, nsec: 6 });
  t.same(attributes.ctime, harness.clock.now());
  const got = await client.ask(get, { inode: file.inode, offset: 0, limit: 10 });
  t.same(got.attributes, attributes);
  t.same(got.extents, [
    { offset: 0, length: 1000, chunk: first.chunk, chunkOffset: 0 },
    { offset: 5000, length: 400, chunk: second.chunk, chunkOffset: 100 },
  ]);
  t.same(
    got.chunks,
    chunks.map(({ chunk, length, checksum, nodes }) => ({ chunk, length, checksum, nodes })),
  );
  t.equal(got.next, -1);
  const ports = new Map(got.nodes.map(node => [node.node, node.port]));
  for (const node of first.nodes) t.ok(ports.has(node));
  t.equal(harness.count('grants'), 0, 'a commit ends its grants');
});

t.test('get returns pages, and the extent in which an offset lies', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const { inode } = await client.file('f');
  for (let index = 0; index < 5; index += 1) await client.write(inode, index * 100, 80);
  const page = await client.ask(get, { inode, offset: 150, limit: 2 });
  t.same(
    page.extents.map(extent => extent.offset),
    [100, 200],
  );
  t.equal(page.next, 300);
  const last = await client.ask(get, { inode, offset: page.next, limit: 2 });
  t.same(
    last.extents.map(extent => extent.offset),
    [300, 400],
  );
  t.equal(last.next, -1);
  const hole = await client.ask(get, { inode, offset: 180, limit: 1 });
  t.equal(hole.extents[0]?.offset, 200, 'an extent that ended before is not in the page');
  t.same((await client.ask(get, { inode, offset: 10_000, limit: 1 })).extents, []);
});

t.test('getfiles says of each file what get does, and leaves out what is none', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const small = await client.file('small');
  const empty = await client.file('empty');
  const scattered = await client.file('scattered');
  await client.write(small.inode, 0, 4096);
  for (let index = 0; index < 20; index += 1) await client.write(scattered.inode, index * 100, 80);
  const inodes = [scattered.inode, 1, 9999, empty.inode, small.inode];
  const { files, nodes } = await client.ask(getfiles, { inodes });
  t.same(
    files.map(({ attributes }) => attributes.inode),
    [scattered.inode, empty.inode, small.inode],
    'neither the root nor what is not there',
  );
  for (const { attributes, extents, chunks, next } of files) {
    const { nodes: own, ...rest } = await client.ask(get, { inode: attributes.inode, offset: 0, limit: 16 });
    const { readGrants: _, ...page } = rest;
    t.same({ attributes, extents, chunks, next }, page);
    for (const node of own) t.ok(nodes.some(known => known.node === node.node));
  }
  t.equal(files[0]?.next, 1600, 'there is more of it');
});

t.test('whoever is told where chunks are gets the grants to read them, which expire in an hour', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const files = [await client.file('a'), await client.file('b'), await client.file('c')];
  for (const [index, { inode }] of files.entries()) {
    for (let at = 0; at <= index; at += 1) await client.write(inode, at * 1000, 500);
  }
  const database = new Database(harness.path, { readonly: true });
  const select = database.prepare<[], Buffer>(`SELECT value FROM settings WHERE name = 'grant-key'`).pluck();
  const key = new ReadGrantKey(select.get() ?? Buffer.alloc(0));
  database.close();
  const check = (ids: readonly number[], readGrants: Uint8Array, what: string): void => {
    const parts = ids.map((chunk, index) => ({ chunk, grant: readGrantAt(readGrants, index) }));
    t.same(key.areSigned(parts), Array(ids.length).fill(true), what);
    t.equal(expiryOf(readGrants), harness.clock.wallMs + 3_600_000);
  };
  const told = await client.ask(getfiles, { inodes: files.map(({ inode }) => inode) });
  const ids = told.files.flatMap(({ chunks }) => chunks.map(({ chunk }) => chunk));
  t.equal(ids.length, 6);
  check(ids, told.readGrants, 'getfiles');
  const page = await client.ask(get, { inode: files[2]?.inode ?? 0, offset: 1000, limit: 1 });
  t.equal(page.chunks.length, 1);
  check([page.chunks[0]?.chunk ?? 0], page.readGrants, 'get');
  const made = await client.execute(put, putRequest);
  check(
    made.grants.map(({ chunk }) => chunk),
    made.readGrants,
    'put',
  );
});

t.test('a write inside an extent splits it, and covers count to the byte', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const { inode } = await client.file('f');
  await client.write(inode, 0, 1000);
  const { allocated, size } = await client.write(inode, 300, 200);
  t.equal(size, 1000);
  t.equal(allocated, 1000);
  const { extents, chunks } = await client.ask(get, { inode, offset: 0, limit: 10 });
  t.equal(chunks.length, 2);
  t.same(
    extents.map(({ offset, length, chunkOffset }) => [offset, length, chunkOffset]),
    [
      [0, 300, 0],
      [300, 200, 0],
      [500, 500, 500],
    ],
  );
  await client.write(inode, 0, 1000);
  t.equal((await client.ask(get, { inode, offset: 0, limit: 10 })).extents.length, 1);
  t.equal(harness.count('doomed'), 2, 'what nobody refers to is doomed');
});

t.test('a commit that is not right changes nothing', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const { inode } = await client.file('f');
  const chunks = await client.chunks([1000]);
  const stored = only(chunks);
  const { chunk } = stored;
  const extent = { offset: 0, length: 1000, chunk, chunkOffset: 0 };
  const other = only(await client.chunks([10]));
  const { grant: granted } = stored;
  const bad: [string, string, Promise<unknown>][] = [
    ['overlapping', 'EINVAL', client.commit(inode, [extent, { ...extent, offset: 999, length: 1 }], chunks)],
    ['beyond its chunk', 'EINVAL', client.commit(inode, [{ ...extent, chunkOffset: 1 }], chunks)],
    ['of an unknown chunk', 'EINVAL', client.commit(inode, [{ ...extent, chunk: 4711 }], chunks)],
    [
      'beyond the largest file',
      'EFBIG',
      client.commit(inode, [{ ...extent, offset: Number.MAX_SAFE_INTEGER - 1 }], chunks),
    ],
    [
      'longer than granted',
      'EINVAL',
      client.commit(inode, [extent], [{ ...stored, length: CHUNK_BYTES + 1 }]),
    ],
    ['on no node', 'EINVAL', client.commit(inode, [extent], [{ ...stored, nodes: [] }])],
    ['on a strange node', 'EINVAL', client.commit(inode, [extent], [{ ...stored, nodes: [77] }])],
    ['twice on a node', 'EINVAL', client.commit(inode, [extent], [{ ...stored, nodes: [1, 1] }])],
    ['named twice', 'EINVAL', client.commit(inode, [extent], [stored, stored])],
    ['with another grant', 'EINVAL', client.commit(inode, [extent], [{ ...stored, grant: other.grant }])],
    [
      'with a forged grant',
      'EINVAL',
      client.commit(inode, [extent], [{ ...stored, grant: { ...granted, maxBytes: 1 << 25 } }]),
    ],
    ['of a directory', 'EISDIR', client.commit(ROOT_INODE, [extent], chunks)],
    ['of what is not there', 'ENOENT', client.commit(98_765, [extent], chunks)],
  ];
  for (const [what, code, promise] of bad) t.equal(await refusal(promise), code, what);
  t.equal((await client.stat(inode)).version, 1);
  t.equal(harness.count('extents'), 0);
  t.equal(harness.count('chunks'), 0);
  await client.commit(inode, [extent], chunks);
  harness.clock.advance(3_600_001);
  const late = { offset: 0, length: 10, chunk: other.chunk, chunkOffset: 0 };
  t.equal(await refusal(client.commit(inode, [late], [other])), 'ESTALE', 'expired, or its session ended');
});

t.test('a client cannot have the bytes of another one in a file of its own', async t => {
  const harness = await startHarness(t);
  const victim = await withNodes(harness);
  const secret = await victim.file('secret');
  const stored = only(await victim.chunks([1000]));
  const { chunk } = stored;
  const extent = { offset: 0, length: 1000, chunk, chunkOffset: 0 };
  await victim.commit(secret.inode, [extent], [stored]);

  const attacker = await harness.client();
  const own = await attacker.file('own');
  const granted = only(await attacker.chunks([1000]));
  const forged = { ...granted.grant, chunk };
  const replaces = [{ ...extent, chunk: granted.chunk }];
  const request = { inode: own.inode, size: 0, mtime: { sec: 5, nsec: 6 }, durable: false };
  const foreign = { ...request, extents: [extent] };
  const attempts: [string, Promise<unknown>][] = [
    ['its number', attacker.execute(blocks, { ...foreign, chunks: [] })],
    ['beside a chunk of its own', attacker.execute(blocks, { ...foreign, chunks: [granted] })],
    [
      'its own grant',
      attacker.execute(blocks, { ...foreign, chunks: [{ ...stored, grant: granted.grant }] }),
    ],
    ['a forged grant', attacker.execute(blocks, { ...foreign, chunks: [{ ...stored, grant: forged }] })],
    ['in place of its own', attacker.execute(blocks, { ...foreign, chunks: [granted], replaces })],
  ];
  for (const [what, attempt] of attempts) t.equal(await refusal(attempt), 'EINVAL', what);
  t.same((await attacker.ask(get, { inode: own.inode, offset: 0, limit: 10 })).extents, []);
  t.equal(harness.count('extents'), 1, 'the victim has the only one');
});

t.test('a grant is good for what it says, and for no more', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const { inode } = await client.file('f');
  const { grants } = await client.ask(grant, { count: 1, goal: 2, maxBytes: 1000, exclude: [] });
  const granted = only(grants);
  const { chunk, nodes } = granted;
  const stored = { chunk, length: 1000, checksum: 7, nodes: [...nodes], grant: granted };
  const extent = { offset: 0, length: 1000, chunk, chunkOffset: 0 };
  const changes: Partial<Grant>[] = [
    { maxBytes: 2000 },
    { expiresMs: granted.expiresMs + 1 },
    { nodes: [...nodes, 9] },
    { chunk: chunk + 1 },
    { signature: Buffer.alloc(16) },
  ];
  for (const change of changes) {
    const forged = { ...granted, ...change };
    const request = { grant: forged, goal: 3, stored: [], failed: [] };
    const what = Object.keys(change).join();
    t.equal(await refusal(client.ask(amend, request)), 'EINVAL', `amend, another ${what}`);
    const commit = client.commit(inode, [extent], [{ ...stored, grant: forged }]);
    t.equal(await refusal(commit), 'EINVAL', `blocks, another ${what}`);
  }
  const longer = { ...stored, length: 1001 };
  t.equal(await refusal(client.commit(inode, [extent], [longer])), 'EINVAL', 'more bytes than granted');
  await client.commit(inode, [extent], [stored]);
  t.equal(await refusal(client.ask(amend, { grant: granted, goal: 3, stored: [], failed: [] })), 'EINVAL');
  const shorter = { ...stored, length: 10, checksum: 8 };
  const replayed = client.commit(inode, [{ ...extent, length: 10 }], [shorter]);
  t.equal(await refusal(replayed), 'EINVAL', 'the same grant again, for other bytes');
});

t.test('a commit may make a file longer without data, and is durable on request', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const { inode } = await client.file('f');
  const request = {
    inode,
    extents: [],
    chunks: [],
    size: 2 ** 40,
    mtime: { sec: 9, nsec: 0 },
    durable: true,
  };
  const { attributes } = await client.execute(blocks, request);
  t.equal(attributes.size, 2 ** 40);
  t.equal(attributes.allocated, 0);
});

t.test('truncating trims the extent at the end, and what grows again reads as a hole', async t => {
  const harness = await startHarness(t);
  const client = await withNodes(harness);
  const { inode } = await client.file('f');
  await client.write(inode, 0, 1000);
  await client.write(inode, 1000, 1000);
  harness.clock.advance(5);
  const { attributes } = await client.execute(setattr, { inode, size: 700 });
  t.equal(attributes.size, 700);
  t.equal(attributes.allocated, 700);
  t.same(attributes.mtime, harness.clock.now());
  await client.execute(setattr, { inode, size: 5000 });
  const { extents } = await client.ask(get, { inode, offset: 0, limit: 10 });
  t.same(
    extents.map(({ offset, length }) => [offset, length]),
    [[0, 700]],
  );
  t.equal(harness.count('doomed'), 1);
});

t.test(
  'the same chunk committed again, by one who lost its session, is fine; with other bytes not',
  async t => {
    const harness = await startHarness(t);
    const client = await withNodes(harness);
    const { inode } = await client.file('f');
    const chunks = await client.chunks([100]);
    const stored = only(chunks);
    const extent = { offset: 0, length: 100, chunk: stored.chunk, chunkOffset: 0 };
    await client.commit(inode, [extent], chunks);
    await client.commit(inode, [extent], chunks);
    t.equal(harness.count('doomed'), 0, 'its references were counted in and out');
    t.equal(await refusal(client.commit(inode, [extent], [{ ...stored, checksum: 4711 }])), 'EINVAL');
    const { extents } = await client.ask(get, { inode, offset: 0, limit: 10 });
    t.same(extents, [extent]);
  },
);
