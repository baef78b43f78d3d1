import t from 'tap';
import type { Attributes } from '../../../../src/protocol/types.js';
import { DirectoryStream, DOTS, type PageSource } from '../../../../src/fuse/kernel/directory-stream.js';
import { namesPageOf } from '../../../../src/vfs/names-page.js';

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

const NAMES = 10;

/** A directory of `count` files, handed out in pages of three; `asked` has the names behind which pages were asked for. */
function pagesOf(count: number, asked: string[] = []): PageSource {
  const names = Array.from({ length: count }, (_, index) => `f${String(index).padStart(3, '0')}`);
  const page = async (after: Uint8Array, limit = 3) => {
    const behind = Buffer.from(after).toString();
    asked.push(behind);
    const start = names.findIndex(name => name > behind);
    const taken = start < 0 ? [] : names.slice(start, start + limit);
    const entries = taken.map(name => ({ name: Buffer.from(name), attributes: attributes(1) }));
    return namesPageOf({ entries, parent: 1, isLast: start < 0 || start + limit >= names.length });
  };
  return { names: async after => await page(after), entries: page, namesNow: () => undefined };
}

/** The names of the current page from a position on. */
function namesFrom({ page, position: start }: DirectoryStream, position: number): string[] {
  const first = Math.max(0, position - start);
  return Array.from({ length: Math.max(0, page.names.count - first) }, (_, index) =>
    page.names.nameAt(first + index).toString(),
  );
}

for (const withAttributes of [false, true]) {
  const way = withAttributes ? 'with attributes' : 'by names';
  t.test(`reading on from each position gives every entry once, ${way}`, async t => {
    const stream = new DirectoryStream(pagesOf(NAMES));
    const seen: string[] = [];
    for (let position = 0; ;) {
      await stream.goTo(position, withAttributes);
      const names = namesFrom(stream, position);
      if (names.length === 0) break;
      seen.push(...names);
      position = Math.max(position, DOTS) + names.length;
    }
    t.equal(seen.length, NAMES);
    t.equal(new Set(seen).size, NAMES);
  });

  t.test(`going back to a position that was told reads on from there (seekdir), ${way}`, async t => {
    const stream = new DirectoryStream(pagesOf(NAMES));
    for (const position of [0, 5, 8, 11]) await stream.goTo(position, withAttributes);
    await stream.goTo(4, withAttributes);
    t.equal(namesFrom(stream, 4)[0], 'f002');
    await stream.goToFresh(7, withAttributes, 2);
    t.equal(namesFrom(stream, 7)[0], 'f005');
    await stream.goToFresh(1000, withAttributes, 2);
    t.same(namesFrom(stream, 1000), [], 'behind the end there is nothing');
  });

  t.test(`what is to be fresh is asked for anew, ${way}`, async t => {
    const asked: string[] = [];
    const stream = new DirectoryStream(pagesOf(NAMES, asked));
    await stream.goTo(0, withAttributes);
    await stream.goTo(3, withAttributes);
    t.same(asked, [''], 'one that is there serves both');
    await stream.goToFresh(4, withAttributes, 3);
    t.same(asked, ['', 'f001']);
    t.same(namesFrom(stream, 4), ['f002', 'f003', 'f004']);
  });
}

t.test('a page by names goes on with attributes, and the other way round', async t => {
  const stream = new DirectoryStream(pagesOf(NAMES));
  await stream.goTo(0, false);
  await stream.goToFresh(5, true, 2);
  t.same(namesFrom(stream, 5), ['f003', 'f004']);
  await stream.goTo(7, false);
  t.same(namesFrom(stream, 7), ['f005', 'f006', 'f007']);
});

t.test('a successor goes on from every position that was told last', async t => {
  const stream = new DirectoryStream(pagesOf(NAMES));
  await stream.goTo(0, false);
  await stream.goTo(5, false);
  for (const position of [DOTS, 5, 6, 7, 8]) {
    const successor = new DirectoryStream(pagesOf(NAMES), stream.state());
    await successor.goTo(position, false);
    t.equal(namesFrom(successor, position)[0], `f00${position - DOTS}`);
  }
});

t.test('an empty directory ends', async t => {
  const stream = new DirectoryStream(pagesOf(0));
  await stream.goTo(0, false);
  t.same(namesFrom(stream, 0), []);
  t.ok(stream.page.isLast);
});

t.test('a page that is there is read on without waiting, and none is asked for', async t => {
  const asked: string[] = [];
  const stream = new DirectoryStream(pagesOf(NAMES, asked));
  t.equal(stream.goToNow(0), false);
  t.equal(stream.goToNow(DOTS), false, 'nothing was read yet');
  await stream.goTo(0, false);
  t.equal(stream.goToNow(DOTS + 2), true);
  t.strictSame(namesFrom(stream, DOTS + 2), ['f002']);
  t.equal(stream.goToNow(DOTS + 3), false, 'the next page is not there');
  t.equal(asked.length, 1);
  await stream.goTo(DOTS + 9, false);
  t.equal(stream.goToNow(DOTS + NAMES), true, 'the directory ends there');
  t.strictSame(namesFrom(stream, DOTS + NAMES), []);
  t.equal(stream.goToNow(DOTS), false, 'an earlier page has to be asked for again');
});

t.test('names that are known are taken at once, as those that are asked for would be', async t => {
  const pages = pagesOf(NAMES);
  const known = [await pages.names(Buffer.alloc(0)), await pages.names(Buffer.from('f002'))];
  const asked: string[] = [];
  const stream = new DirectoryStream({
    ...pages,
    namesNow: after => {
      asked.push(Buffer.from(after).toString());
      return known.shift();
    },
  });
  t.equal(stream.goToFreshNow(0), true);
  t.strictSame(namesFrom(stream, 0), ['f000', 'f001', 'f002']);
  t.equal(stream.goToFreshNow(DOTS + 3), true);
  t.strictSame(namesFrom(stream, DOTS + 3), ['f003', 'f004', 'f005']);
  t.equal(stream.goToFreshNow(DOTS + 6), false, 'nothing more is known');
  t.equal(stream.goToFreshNow(DOTS + 1), false, 'the name before it is in another page');
  t.strictSame(asked, ['', 'f002', 'f005']);
  await stream.goTo(DOTS + 1, false);
  t.strictSame(namesFrom(stream, DOTS + 1), ['f001', 'f002'], 'the place of each page is remembered');
});
