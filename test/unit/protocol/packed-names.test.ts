/** Names of a directory without attributes, as they come by the wire (protocol/packed-names.ts). */
import t from 'tap';
import { S_IFDIR, S_IFREG } from '../../../src/protocol/file-mode.js';
import { PackedNames } from '../../../src/protocol/packed-names.js';

const START = Buffer.alloc(0);

function decode(packed: string | Buffer, count: number, after: Buffer = START): PackedNames {
  return PackedNames.decode(
    typeof packed === 'string' ? Buffer.from(packed, 'latin1') : packed,
    count,
    after,
  );
}

t.test('each name has its inode and its type', async t => {
  const names = decode('README/86042/a\xff/:9007199254740991/src/46043/', 3);
  t.equal(names.count, 3);
  t.same(
    [0, 1, 2].map(index => names.nameAt(index).toString('latin1')),
    ['README', 'a\xff', 'src'],
  );
  t.same([...names.inodes], [6042, Number.MAX_SAFE_INTEGER, 6043]);
  t.same([...names.types], [8, 10, 4]);
  t.equal(names.nameAt(3).length, 0, 'behind the last there is none');
  t.equal(decode('', 0).count, 0);
});

t.test('the first name behind another one is found, and those from there on', async t => {
  const names = decode('b/81/bb/82/d/83/', 3);
  for (const [after, index] of [
    ['', 0],
    ['a', 0],
    ['b', 1],
    ['c', 2],
    ['d', 3],
  ] as const)
    t.equal(names.firstBehind(Buffer.from(after)), index, after);
  const rest = names.from(1);
  t.equal(rest.count, 2);
  t.equal(rest.nameAt(0).toString(), 'bb');
  t.equal(rest.inodes[1], 3);
});

t.test('entries of other listings are packed as well', async t => {
  const names = PackedNames.of([
    { name: Buffer.from('a'), inode: 7, mode: S_IFREG | 0o644 },
    { name: Buffer.from('dir'), inode: 8, mode: S_IFDIR | 0o755 },
  ]);
  t.same([names.nameAt(0).toString(), names.nameAt(1).toString()], ['a', 'dir']);
  t.same([...names.types], [8, 4]);
});

t.test('what no directory can have is refused', async t => {
  const long = 'n'.repeat(255);
  t.equal(decode(`${long}/81/`, 1).count, 1);
  const cases: readonly (readonly [what: string, packed: string, count: number, after?: string])[] = [
    ['a name that is too long', `${long}n/81/`, 1],
    ['no name', '/81/', 1],
    ['a dot', './81/', 1],
    ['two dots', '../81/', 1],
    ['a NUL', 'a\0b/81/', 1],
    ['a name twice', 'a/81/a/82/', 2],
    ['names out of order', 'b/81/a/82/', 2],
    ['a name before the last page', 'b/81/', 1, 'b'],
    ['no inode', 'a/8/', 1],
    ['inode 0', 'a/80/', 1],
    ['an inode beyond 2^53', 'a/89007199254740992/', 1],
    ['digits without end', `a/8${'9'.repeat(400)}/`, 1],
    ['an inode that is no number', 'a/81x/', 1],
    ['a type that is none', 'a/ 1/', 1],
    ['fewer than counted', 'aaa/81/', 2],
    ['fewer than counted, by length', 'a/81/', 100],
    ['more than counted', 'a/81/b/82/', 1],
    ['an end within an entry', 'a/81/b/82', 2],
    ['an end within a name', 'a/81/bbbbbb', 2],
  ];
  for (const [what, packed, count, after = ''] of cases)
    t.throws(() => decode(packed, count, Buffer.from(after)), { code: 'EPROTO' }, what);
});
