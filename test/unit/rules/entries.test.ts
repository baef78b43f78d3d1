import t from 'tap';
import { S_IFDIR } from '../../../src/protocol/file-mode.js';
import { MAX_LINKS } from '../../../src/protocol/limits.js';
import {
  linked,
  linkRefusal,
  rmdirRefusal,
  subdirectoryRefusal,
  touched,
  unlinked,
  unlinkRefusal,
} from '../../../src/rules/entries.js';
import { NOW, record, THEN } from './records.js';

const NAME = Buffer.from('name');
const DIRECTORY = record({ mode: S_IFDIR | 0o755, nlink: 3 });

t.test(
  'POSIX mkdir(), unlink(): a directory’s mtime and ctime are marked, and a subdirectory is a link',
  async t => {
    t.same(touched(DIRECTORY, 1, NOW), { ...DIRECTORY, nlink: 4, mtime: NOW, ctime: NOW, version: 5 });
    t.equal(touched(DIRECTORY, -1, NOW).nlink, 2);
    t.same(touched(DIRECTORY, 0, NOW).atime, THEN);
    t.same(touched({ ...DIRECTORY, parent: 9 }, 0, NOW).parent, 9, 'what else a record has stays');
  },
);

t.test(
  'POSIX link() and unlink(): the count goes by one, the ctime is marked and the mtime is not',
  async t => {
    t.same(linked(record(), NOW), record({ nlink: 2, ctime: NOW }));
    t.same(unlinked(record({ nlink: 2 }), NOW), record({ nlink: 1, ctime: NOW }));
    t.equal(unlinked(DIRECTORY, NOW).nlink, 0, 'rmdir(): no link is left');
  },
);

t.test('link(2): EPERM for a directory, ENOENT for a removed file, EMLINK beyond LINK_MAX', async t => {
  t.equal(linkRefusal(record(), false), undefined);
  t.equal(linkRefusal(DIRECTORY, false)?.code, 'EPERM');
  t.equal(linkRefusal(record({ nlink: 0 }), false)?.code, 'ENOENT');
  t.equal(linkRefusal(record({ nlink: 0 }), true), undefined, 'O_TMPFILE');
  t.equal(linkRefusal(record({ nlink: MAX_LINKS }), false)?.code, 'EMLINK');
});

t.test('unlink(2) and rmdir(2) refuse each other’s kind; mkdir(2) refuses one link too many', async t => {
  t.equal(unlinkRefusal(DIRECTORY, NAME)?.code, 'EISDIR');
  t.equal(unlinkRefusal(record(), NAME), undefined);
  t.equal(rmdirRefusal(record(), NAME)?.code, 'ENOTDIR');
  t.equal(rmdirRefusal(DIRECTORY, NAME), undefined);
  t.equal(subdirectoryRefusal(record({ nlink: MAX_LINKS }))?.code, 'EMLINK');
  t.equal(subdirectoryRefusal(DIRECTORY), undefined);
});
