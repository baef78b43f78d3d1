/** Structures and fields that several kinds of request have (fuse/kernel/replies.ts). */
import t from 'tap';
import {
  dirent,
  done,
  nameOf,
  NOTHING,
  openOut,
  sized,
  sizeOf,
  writeOut,
} from '../../../../src/fuse/kernel/replies.js';
import { fuseDirent } from '../../../../src/fuse/kernel/structs.js';
import { DfsError } from '../../../../src/protocol/errors.js';
import { S_IFLNK, S_IFSOCK } from '../../../../src/protocol/file-mode.js';

const entry = { inode: 5, next: 9, mode: S_IFLNK | 0o777, entry: undefined };

t.test('fuse_dirent ends at 8 bytes with zeros, however long the name is', async t => {
  for (const length of [1, 7, 8, 9, 255]) {
    const name = Buffer.alloc(length, 'n');
    const bytes = dirent({ ...entry, name }, 0);
    t.equal(bytes.length, Math.ceil((24 + length) / 8) * 8, `${length} bytes`);
    t.match(fuseDirent.view(bytes, 0), { ino: 5, off: 9, namelen: length, type: 10 });
    t.same(bytes.subarray(24, 24 + length), name);
    t.ok(bytes.subarray(24 + length).every(byte => byte === 0));
  }
});

t.test('room in front of fuse_dirent counts for the 8 bytes, and is empty', async t => {
  const bytes = dirent({ ...entry, mode: S_IFSOCK, name: Buffer.from([0xff, 0x80]) }, 128);
  t.equal(bytes.length, 160);
  t.ok(bytes.subarray(0, 128).every(byte => byte === 0));
  t.match(fuseDirent.view(bytes, 128), { ino: 5, off: 9, namelen: 2, type: 12 });
  t.same([...bytes.subarray(152, 154)], [0xff, 0x80], 'names are bytes');
});

t.test('a value is told by its size, whole, or not at all', async t => {
  const value = Buffer.from('blue');
  t.same(sized(value, 0), [Buffer.from([4, 0, 0, 0, 0, 0, 0, 0])], 'fuse_getxattr_out');
  t.same(sized(value, 4), [value], 'one that fits exactly');
  t.throws(() => sized(value, 3), { code: 'ERANGE' });
  t.same(sized(Buffer.alloc(0), 10), [Buffer.alloc(0)], 'an empty one');
});

t.test('numbers that no file can have are EFBIG, and a request without its name is EINVAL', async t => {
  t.equal(sizeOf(2 ** 53 - 1), 2 ** 53 - 1);
  t.throws(() => sizeOf(2 ** 53), { code: 'EFBIG' });
  t.throws(() => sizeOf(Number.POSITIVE_INFINITY), { code: 'EFBIG' });
  t.throws(() => nameOf(undefined), { code: 'EINVAL' });
  t.same(nameOf(Buffer.from('a')), Buffer.from('a'));
});

t.test('fuse_open_out and fuse_write_out, byte for byte', async t => {
  t.equal(openOut(2 ** 33 + 1, 3).toString('hex'), '01000000020000000300000000000000');
  t.equal(writeOut(0x0102).toString('hex'), '0201000000000000');
});

t.test('what answers nothing answers when it is done, and fails as it does', async t => {
  t.equal(await done(Promise.resolve()), NOTHING);
  const full = new DfsError('ENOSPC', 'full');
  await t.rejects(done(Promise.reject(full)), full);
});
