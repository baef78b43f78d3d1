/** Structures and fields that several kinds of request have (fuse/kernel/replies.ts). */
import t from 'tap';
import {
  done,
  nameOf,
  NOTHING,
  openOut,
  sized,
  sizeOf,
  writeOut,
} from '../../../../src/fuse/kernel/replies.js';
import { DfsError } from '../../../../src/protocol/errors.js';

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
