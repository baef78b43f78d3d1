import t from 'tap';
import type { Attributes } from '../../../../src/protocol/types.js';
import { DirectoryStream } from '../../../../src/fuse/kernel/directory-stream.js';
import type { DirectoryPage } from '../../../../src/vfs/file-system.js';

const NOW = { sec: 0, nsec: 0 };

function attributes(inode: number): Attributes {
  const times = { atime: NOW, mtime: NOW, ctime: NOW };
  const owner = { uid: 0, gid: 0, rdev: 0 };
  return {
    inode,
    generation: 1,
    mode: 0o100644,
    nlink: 1,
    ...owner,
    size: 0,
    allocated: 0,
    ...times,
    version: 1,
    goal: 2,
  };
}

/** A directory of `count` files, handed out in pages of three. */
function pagesOf(count: number): { readdirPage(inode: number, after: Uint8Array): Promise<DirectoryPage> } {
  const names = Array.from({ length: count }, (_, index) => `f${String(index).padStart(3, '0')}`);
  return {
    async readdirPage(_inode, after) {
      const start = names.findIndex(name => name > Buffer.from(after).toString());
      const page = start < 0 ? [] : names.slice(start, start + 3);
      const entries = page.map(name => ({ name: Buffer.from(name), attributes: attributes(1) }));
      return { entries, parent: 1, isLast: start < 0 || start + 3 >= names.length };
    },
  };
}

t.test('reading on from each position gives every entry once, dots first', async t => {
  const stream = new DirectoryStream(pagesOf(10), 5);
  const seen: string[] = [];
  let position = 0;
  for (;;) {
    const entries = await stream.from(position);
    const last = entries.at(-1);
    if (!last) break;
    seen.push(...entries.map(entry => entry.name.toString()));
    position = last.next;
  }
  t.equal(seen.length, 12);
  t.same(seen.slice(0, 3), ['.', '..', 'f000']);
  t.equal(new Set(seen).size, 12);
});

t.test('going back to a position that was told reads on from there (seekdir)', async t => {
  const stream = new DirectoryStream(pagesOf(10), 5);
  const first = await stream.from(0);
  const second = await stream.from(first.at(-1)?.next ?? 0);
  await stream.from(second.at(-1)?.next ?? 0);
  const again = await stream.from(first[3]?.next ?? 0);
  t.equal(again[0]?.name.toString(), first[4]?.name.toString());
});

t.test('an empty directory has its dots and then ends', async t => {
  const stream = new DirectoryStream(pagesOf(0), 5);
  t.equal((await stream.from(0)).length, 2);
  t.equal((await stream.from(2)).length, 0);
});
