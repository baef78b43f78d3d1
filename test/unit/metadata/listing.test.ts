import t from 'tap';
import { mknod } from '../../../src/metadata/operations/mknod.js';
import { list } from '../../../src/metadata/operations/list.js';
import { readdir } from '../../../src/metadata/operations/readdir.js';
import { readnames } from '../../../src/metadata/operations/readnames.js';
import { rmdir } from '../../../src/metadata/operations/rmdir.js';
import { unlink } from '../../../src/metadata/operations/unlink.js';
import { encodeMessage } from '../../../src/protocol/message.js';
import { ROOT_INODE, S_IFREG } from '../../../src/protocol/file-mode.js';
import { MAX_FRAME_HEADER_BYTES } from '../../../src/protocol/limits.js';
import { PackedNames } from '../../../src/protocol/packed-names.js';
import { refusal, startHarness, type TestClient } from './support/harness.js';

async function listAll(client: TestClient, limit: number, recursive = true): Promise<string[]> {
  const paths: string[] = [];
  let after: Uint8Array[] = [];
  for (;;) {
    const page = await client.ask(list, { root: ROOT_INODE, after, limit, recursive });
    for (const { path } of page.entries) paths.push(path.map(name => Buffer.from(name).toString()).join('/'));
    if (page.end) return paths;
    after = page.entries.at(-1)?.path ?? [];
  }
}

t.test('readdir goes through a directory in byte order, page by page', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const names = Array.from({ length: 25 }, (_, index) => `n${String((index * 7) % 25).padStart(2, '0')}`);
  for (const name of names) await client.file(name);
  const found: string[] = [];
  let after = Buffer.alloc(0);
  for (;;) {
    const page = await client.ask(readdir, { inode: ROOT_INODE, after, limit: 10 });
    t.equal(page.parent, ROOT_INODE);
    for (const entry of page.entries) {
      found.push(Buffer.from(entry.name).toString());
      t.equal(entry.attributes.inode, (await client.lookup(found.at(-1) ?? '')).inode);
    }
    after = Buffer.from(page.entries.at(-1)?.name ?? '');
    if (page.end) break;
  }
  t.same(found, names.toSorted());
  const directory = await client.mkdir('sub');
  const empty = await client.ask(readdir, { inode: directory.inode, after: Buffer.alloc(0), limit: 10 });
  t.same(empty, { entries: [], parent: ROOT_INODE, end: true, withXattrs: [] });
  const file = await client.lookup('n00');
  const request = { inode: file.inode, after: Buffer.alloc(0), limit: 1 };
  t.equal(await refusal(client.ask(readdir, request)), 'ENOTDIR');
});

t.test(
  'readnames tells the same names, with their inodes and types, and attributes of directories',
  async t => {
    const harness = await startHarness(t);
    const client = await harness.client();
    const names = Array.from({ length: 25 }, (_, index) => `n${String((index * 7) % 25).padStart(2, '0')}`);
    for (const [index, name] of names.entries())
      await (index % 5 === 0 ? client.mkdir(name) : client.file(name));
    const found: string[] = [];
    for (let after = Buffer.alloc(0); ;) {
      const page = await client.ask(readnames, { inode: ROOT_INODE, after, limit: 10 });
      t.equal(page.parent, ROOT_INODE);
      const packed = PackedNames.decode(page.names, page.count, after);
      const directories: number[] = [];
      for (let index = 0; index < packed.count; index += 1) {
        const name = packed.nameAt(index).toString();
        const { inode, mode } = await client.lookup(name);
        t.equal(packed.inodes[index], inode, name);
        t.equal(packed.types[index], mode >>> 12, name);
        if (mode >>> 12 === 4) directories.push(inode);
        found.push(name);
      }
      t.same(
        page.directories.map(({ inode }) => inode),
        directories,
      );
      after = Buffer.from(packed.nameAt(packed.count - 1));
      if (page.end) break;
    }
    t.same(found, names.toSorted());
    const { inode } = await client.lookup(names[0] ?? '');
    const empty = await client.ask(readnames, { inode, after: Buffer.alloc(0), limit: 10 });
    t.match(empty, { count: 0, directories: [], parent: ROOT_INODE, end: true });
    const file = await client.lookup('n07');
    const request = { inode: file.inode, after: Buffer.alloc(0), limit: 1 };
    t.equal(await refusal(client.ask(readnames, request)), 'ENOTDIR');
  },
);

t.test('names of any bytes are listed as they are', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const names = Array.from({ length: 255 }, (_, index) => index + 1)
    .filter(byte => byte !== 0x2f && byte !== 0x2e)
    .map(byte => Buffer.from([byte]));
  names.push(Buffer.alloc(255, 0xff), Buffer.from([0xc3, 0xc3]), Buffer.from('\u{1f600}'));
  const file = { parent: ROOT_INODE, mode: S_IFREG | 0o644, uid: 0, gid: 0, rdev: 0, open: false };
  for (const name of names) await client.execute(mknod, { ...file, name, exclusive: true });
  const request = { inode: ROOT_INODE, after: Buffer.alloc(0), limit: 1000 };
  const page = await client.ask(readnames, request);
  const packed = PackedNames.decode(page.names, page.count, Buffer.alloc(0));
  const found = Array.from({ length: packed.count }, (_, index) => packed.nameAt(index).toString('hex'));
  t.same(found, [...new Set(names.map(name => name.toString('hex')))].sort());
});

t.test('list finds every file depth first, whatever the page', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const a = await client.mkdir('a');
  const deep = await client.mkdir('deep', a.inode);
  await client.mkdir('empty', a.inode);
  await client.file('z', a.inode);
  await client.file('x', deep.inode);
  await client.file('y', deep.inode);
  await client.file('b');
  await client.mkdir('c');
  await client.file('a-file');
  const wanted = ['a/deep/x', 'a/deep/y', 'a/z', 'a-file', 'b'];
  for (const limit of [1, 2, 3, 100]) t.same(await listAll(client, limit), wanted, `pages of ${limit}`);
  t.same(await listAll(client, 2, false), ['a', 'a-file', 'b', 'c'], 'not recursive: directories too');
});

t.test('list goes on after a path that is gone meanwhile', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const a = await client.mkdir('a');
  await client.file('x', a.inode);
  await client.file('b');
  const page = await client.ask(list, { root: ROOT_INODE, after: [], limit: 1, recursive: true });
  t.equal(page.end, false);
  await client.execute(unlink, { parent: a.inode, name: Buffer.from('x') });
  await client.execute(rmdir, { parent: ROOT_INODE, name: Buffer.from('a') });
  const rest = await client.ask(list, {
    root: ROOT_INODE,
    after: page.entries[0]?.path ?? [],
    limit: 10,
    recursive: true,
  });
  t.equal(rest.entries.length, 1);
  t.equal(rest.end, true);
});

t.test('a tree of empty directories does not keep others waiting', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  await Promise.all(Array.from({ length: 10_000 }, async (_, index) => await client.mkdir(`d${index}`)));
  let isListed = false;
  const listing = client
    .ask(list, { root: ROOT_INODE, after: [], limit: 10, recursive: true })
    .finally(() => (isListed = true));
  await new Promise<void>(resolve => setImmediate(resolve));
  await client.stat(ROOT_INODE);
  t.notOk(isListed, 'another request was answered in between');
  t.same(await listing, { entries: [], end: true });
});

t.test('long paths end a page early rather than outgrow a frame', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  let parent = ROOT_INODE;
  for (let depth = 0; depth < 16; depth += 1) parent = (await client.mkdir('d'.repeat(250), parent)).inode;
  await Promise.all(
    Array.from({ length: 600 }, async (_, index) => await client.file(`f${1000 + index}`, parent)),
  );
  const page = await client.ask(list, { root: ROOT_INODE, after: [], limit: 1024, recursive: true });
  t.equal(page.end, false);
  t.ok(encodeMessage(page).length < MAX_FRAME_HEADER_BYTES);
  t.equal((await listAll(client, 1024)).length, 600);
});
