import t from 'tap';
import { S_IFDIR } from '../../../src/protocol/file-mode.js';
import { MAX_LINKS } from '../../../src/protocol/limits.js';
import { RenameFlag } from '../../../src/protocol/namespace-commands.js';
import {
  renamed,
  renameFlagsRefusal,
  renameMeaning,
  renameRoomRefusal,
  renameTargetRefusal,
  replaceRefusal,
} from '../../../src/rules/rename.js';
import { NOW, record } from './records.js';

const NAME = Buffer.from('name');
const PLAIN = renameMeaning(0);
const EXCHANGE = renameMeaning(RenameFlag.exchange);
const from = record({ inode: 10, mode: S_IFDIR, nlink: 5 });
const to = record({ inode: 11, mode: S_IFDIR, nlink: 5 });
const file = record({ inode: 12 });
const directory = record({ inode: 13, mode: S_IFDIR, nlink: 2 });

t.test('renameat2(2): EINVAL for unknown flags and for an exchange with others', async t => {
  const { noreplace, exchange, whiteout } = RenameFlag;
  for (const flags of [0, noreplace, exchange, whiteout, noreplace | whiteout]) {
    t.equal(renameFlagsRefusal(flags), undefined, `flags ${flags}`);
  }
  for (const flags of [8, exchange | noreplace, exchange | whiteout]) {
    t.equal(renameFlagsRefusal(flags)?.code, 'EINVAL', `flags ${flags}`);
  }
});

t.test('renameat2(2): EEXIST with RENAME_NOREPLACE, ENOENT with RENAME_EXCHANGE', async t => {
  t.equal(renameTargetRefusal(file, NAME, renameMeaning(RenameFlag.noreplace))?.code, 'EEXIST');
  t.equal(renameTargetRefusal(undefined, NAME, EXCHANGE)?.code, 'ENOENT');
  t.equal(renameTargetRefusal(file, NAME, PLAIN), undefined);
});

t.test('POSIX rename(): EISDIR, ENOTDIR, EMLINK', async t => {
  t.equal(replaceRefusal(file, directory, NAME)?.code, 'EISDIR');
  t.equal(replaceRefusal(directory, file, NAME)?.code, 'ENOTDIR');
  t.equal(replaceRefusal(file, file, NAME), undefined);
  t.equal(replaceRefusal(directory, directory, NAME), undefined);
  const full = { ...to, nlink: MAX_LINKS };
  t.equal(renameRoomRefusal({ from, to: full, moved: directory, target: undefined })?.code, 'EMLINK');
  t.equal(renameRoomRefusal({ from: full, to: full, moved: directory, target: undefined }), undefined);
  t.equal(renameRoomRefusal({ from, to: full, moved: file, target: undefined }), undefined);
});

t.test('a directory that moves takes its `..` along, and a file changes no count', async t => {
  const after = renamed({ from, to, moved: directory, target: undefined }, PLAIN, NOW);
  t.equal(after.from.nlink, 4);
  t.equal(after.to.nlink, 6);
  t.same(after.moved, { ...directory, ctime: NOW });
  const small = renamed({ from, to, moved: file, target: undefined }, PLAIN, NOW);
  t.same([small.from.nlink, small.to.nlink], [5, 5]);
  t.same([small.from.mtime, small.to.mtime], [NOW, NOW]);
});

t.test('within one directory the record is one, and is touched once', async t => {
  const after = renamed({ from, to: from, moved: directory, target: undefined }, PLAIN, NOW);
  t.equal(after.from, after.to);
  t.match(after.to, { nlink: 5, version: from.version + 1 });
});

t.test('what is replaced has one name fewer', async t => {
  const linkedTwice = record({ inode: 14, nlink: 2 });
  const after = renamed({ from, to, moved: file, target: linkedTwice }, PLAIN, NOW);
  t.same(after.target, { ...linkedTwice, nlink: 1, ctime: NOW });
  const empty = record({ inode: 15, mode: S_IFDIR, nlink: 2 });
  const directories = renamed({ from, to, moved: directory, target: empty }, PLAIN, NOW);
  t.match(directories, { from: { nlink: 4 }, to: { nlink: 5 }, target: { nlink: 0 } });
});

t.test('an exchange moves a directory’s `..` one way and keeps all names', async t => {
  const after = renamed({ from, to, moved: directory, target: file }, EXCHANGE, NOW);
  t.match(after, { from: { nlink: 4 }, to: { nlink: 6 }, target: { nlink: 1, ctime: NOW } });
  const both = renamed({ from, to, moved: directory, target: { ...directory, inode: 16 } }, EXCHANGE, NOW);
  t.match(both, { from: { nlink: 5 }, to: { nlink: 5 }, target: { nlink: 2 } });
  const within = renamed({ from, to: from, moved: directory, target: file }, EXCHANGE, NOW);
  t.equal(within.to.nlink, 5);
});
