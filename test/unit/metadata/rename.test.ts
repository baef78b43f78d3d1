import t from 'tap';
import { link } from '../../../src/metadata/operations/link.js';
import { readdir } from '../../../src/metadata/operations/readdir.js';
import { rename } from '../../../src/metadata/operations/rename.js';
import { ROOT_INODE, S_IFCHR } from '../../../src/protocol/file-mode.js';
import { RenameFlag } from '../../../src/protocol/namespace-commands.js';
import { refusal, startHarness, type TestClient } from './support/harness.js';

const bytes = (text: string): Buffer => Buffer.from(text);

/** Renames within and between directories given by number. */
async function move(client: TestClient, from: [number, string], to: [number, string], flags = 0) {
  return await client.execute(rename, {
    parent: from[0],
    name: bytes(from[1]),
    newParent: to[0],
    newName: bytes(to[1]),
    flags,
  });
}

async function names(client: TestClient, inode: number): Promise<string[]> {
  const { entries } = await client.ask(readdir, { inode, after: Buffer.alloc(0), limit: 100 });
  return entries.map(entry => Buffer.from(entry.name).toString());
}

t.test('a file moves, and takes the place of another', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const directory = await client.mkdir('d');
  const file = await client.file('a');
  const other = await client.file('b', directory.inode);
  harness.clock.advance(5);
  t.same(await move(client, [ROOT_INODE, 'a'], [ROOT_INODE, 'c']), { inode: file.inode, replaced: 0 });
  t.same(await move(client, [ROOT_INODE, 'c'], [directory.inode, 'b']), {
    inode: file.inode,
    replaced: other.inode,
  });
  t.same(await names(client, ROOT_INODE), ['d']);
  t.same(await names(client, directory.inode), ['b']);
  t.equal((await client.lookup('b', directory.inode)).inode, file.inode);
  await harness.pass(5000);
  t.equal(await refusal(client.stat(other.inode)), 'ENOENT', 'the replaced file had no other name');
  const moved = await client.stat(file.inode);
  t.not(moved.ctime.nsec, file.ctime.nsec);
  t.same((await client.stat(directory.inode)).mtime, moved.ctime);
});

t.test('a directory moves with its link counts and its parent', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const a = await client.mkdir('a');
  const b = await client.mkdir('b');
  const moved = await client.mkdir('m', a.inode);
  const empty = await client.mkdir('e', b.inode);
  await move(client, [a.inode, 'm'], [b.inode, 'e']);
  t.equal((await client.stat(a.inode)).nlink, 2);
  t.equal((await client.stat(b.inode)).nlink, 3);
  t.equal((await client.lookup('..', moved.inode)).inode, b.inode);
  t.equal(await refusal(client.stat(empty.inode)), 'ENOENT');
  t.equal((await client.stat(ROOT_INODE)).nlink, 4);
});

t.test('what POSIX refuses', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const a = await client.mkdir('a');
  const b = await client.mkdir('b', a.inode);
  const c = await client.mkdir('c', b.inode);
  await client.mkdir('empty');
  await client.file('f');
  const root = ROOT_INODE;
  t.equal(await refusal(move(client, [root, 'a'], [c.inode, 'x'])), 'EINVAL', 'below itself');
  t.equal(await refusal(move(client, [root, 'a'], [a.inode, 'x'])), 'EINVAL', 'into itself');
  t.equal(await refusal(move(client, [root, 'f'], [root, 'a'])), 'EISDIR');
  t.equal(await refusal(move(client, [root, 'a'], [root, 'f'])), 'ENOTDIR');
  t.equal(await refusal(move(client, [root, 'empty'], [root, 'a'])), 'ENOTEMPTY');
  t.equal(await refusal(move(client, [a.inode, 'b'], [root, 'a'])), 'ENOTEMPTY', 'over its own parent');
  t.equal(await refusal(move(client, [root, 'x'], [root, 'y'])), 'ENOENT');
  t.equal(await refusal(move(client, [root, '.'], [root, 'y'])), 'EINVAL');
  t.equal(await refusal(move(client, [root, 'f'], [root, '..'])), 'EINVAL');
  t.equal(await refusal(move(client, [root, 'f'], [root, ''])), 'ENOENT');
  t.equal(await refusal(move(client, [root, 'f'], [12_345, 'f'])), 'ENOENT');
  t.same(await names(client, root), ['a', 'empty', 'f'], 'nothing moved');
});

t.test('two names of one file: nothing happens', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const file = await client.file('a');
  await client.execute(link, { parent: ROOT_INODE, name: bytes('b'), inode: file.inode });
  t.same(await move(client, [ROOT_INODE, 'a'], [ROOT_INODE, 'b']), { inode: file.inode, replaced: 0 });
  t.same(await names(client, ROOT_INODE), ['a', 'b']);
  t.same(await move(client, [ROOT_INODE, 'a'], [ROOT_INODE, 'a']), { inode: file.inode, replaced: 0 });
  t.equal((await client.stat(file.inode)).nlink, 2);
});

t.test('noreplace keeps the target, exchange swaps', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const directory = await client.mkdir('d');
  const below = await client.mkdir('below', directory.inode);
  const file = await client.file('f', below.inode);
  const other = await client.mkdir('other');
  const { noreplace, exchange } = RenameFlag;
  const root = ROOT_INODE;
  t.equal(await refusal(move(client, [root, 'd'], [root, 'other'], noreplace)), 'EEXIST');
  t.equal(await refusal(move(client, [root, 'd'], [root, 'x'], exchange)), 'ENOENT');
  t.equal(await refusal(move(client, [root, 'd'], [root, 'x'], exchange | noreplace)), 'EINVAL');
  t.equal(await refusal(move(client, [root, 'd'], [below.inode, 'f'], exchange)), 'EINVAL', 'below itself');
  t.equal(await refusal(move(client, [below.inode, 'f'], [root, 'd'], exchange)), 'EINVAL', 'the other way');

  await move(client, [below.inode, 'f'], [root, 'other'], exchange);
  t.equal((await client.lookup('other')).inode, file.inode);
  t.equal((await client.lookup('f', below.inode)).inode, other.inode);
  t.equal((await client.lookup('..', other.inode)).inode, below.inode);
  t.equal((await client.stat(root)).nlink, 3, 'one subdirectory fewer');
  t.equal((await client.stat(below.inode)).nlink, 3, 'one more');
  await move(client, [root, 'other'], [root, 'free'], noreplace);
  t.same(await names(client, root), ['d', 'free']);
});

t.test('a whiteout stays at the old place, in the same transaction', async t => {
  const harness = await startHarness(t);
  const client = await harness.client();
  const directory = await client.mkdir('d');
  const file = await client.file('f', directory.inode);
  const replaced = await client.file('g');
  const { noreplace, exchange, whiteout } = RenameFlag;
  const root = ROOT_INODE;
  for (const flags of [whiteout | exchange, whiteout | 8, 1 << 31]) {
    const unsigned = flags >>> 0;
    t.equal(
      await refusal(move(client, [directory.inode, 'f'], [root, 'g'], unsigned)),
      'EINVAL',
      `${unsigned}`,
    );
  }
  t.equal(await refusal(move(client, [directory.inode, 'f'], [root, 'g'], whiteout | noreplace)), 'EEXIST');
  t.equal((await client.lookup('f', directory.inode)).inode, file.inode, 'what was refused changed nothing');

  const reply = await move(client, [directory.inode, 'f'], [root, 'g'], whiteout);
  const left = await client.lookup('f', directory.inode);
  t.same(reply, { inode: file.inode, replaced: replaced.inode, whiteout: left.inode });
  t.match(left, { mode: S_IFCHR, rdev: 0, nlink: 1, uid: 0, gid: 0 });
  t.equal((await client.lookup('g')).inode, file.inode);
  t.same(await names(client, directory.inode), ['f']);
});
