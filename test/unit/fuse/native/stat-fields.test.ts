/** Attributes as fuse-native takes them (fuse/native/stat-fields.ts). */
import t from 'tap';
import { statFields, statfsFields } from '../../../../src/fuse/native/stat-fields.js';
import { attributesOf } from '../../../support/attributes-of.js';

const U32_MAX = 0xffff_ffff;

t.test('attributes come through, times in milliseconds, and a part of a block counts as a block', async t => {
  const given = attributesOf({
    inode: 9,
    mode: 0o104755,
    nlink: 3,
    uid: 1000,
    gid: 1001,
    rdev: 259,
    size: 2 ** 40 + 1,
    allocated: 1025,
    atime: { sec: 1, nsec: 999_999 },
    mtime: { sec: 2, nsec: 1_000_000 },
    ctime: { sec: 3, nsec: 999_999_999 },
  });
  t.same(statFields(given), {
    mode: 0o104755,
    uid: 1000,
    gid: 1001,
    size: 2 ** 40 + 1,
    dev: 0,
    nlink: 3,
    ino: 9,
    rdev: 259,
    blksize: 128 << 10,
    blocks: 3,
    atime: 1000,
    mtime: 2001,
    ctime: 3999,
  });
});

t.test('what the library’s unsigned numbers cannot carry is brought into their range', async t => {
  const before = { sec: -1, nsec: 5 };
  const fields = statFields(
    attributesOf({ inode: 2 ** 40 + 7, atime: before, mtime: before, ctime: before }),
  );
  t.match(fields, { ino: 7, atime: 0, mtime: 0, ctime: 0 });
});

t.test('statvfs: room in blocks of 1 MiB, as far as 32 bits count', async t => {
  const plain = { totalBytes: 10 << 20, freeBytes: (3 << 20) - 1, inodes: 5, liveNodes: 1 };
  t.match(statfsFields(plain), {
    bsize: 1 << 20,
    frsize: 1 << 20,
    blocks: 10,
    bfree: 2,
    bavail: 2,
    namemax: 255,
  });
  const { files = 0, ffree = 0 } = statfsFields(plain);
  t.equal(files - ffree, 5);
  const huge = statfsFields({ totalBytes: 2 ** 60, freeBytes: 2 ** 59, inodes: 2 ** 40, liveNodes: 1 });
  t.match(huge, { blocks: U32_MAX, bfree: U32_MAX, files: U32_MAX });
});
