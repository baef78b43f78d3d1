/** Locks as the kernel has them (fuse/kernel/locks.ts). */
import t from 'tap';
import { encodeLock, ownerOf, readLock } from '../../../../src/fuse/kernel/locks.js';
import { fuseInHeader, fuseLkIn, fuseLkOut } from '../../../../src/fuse/kernel/structs.js';
import { MAX_FILE_BYTES } from '../../../../src/protocol/limits.js';
import type { FileLock } from '../../../../src/vfs/file-system.js';

const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const LK_FLOCK = 1;
const OFFSET_MAX = 2n ** 63n - 1n;

interface Asked {
  readonly type: number;
  readonly start?: number;
  readonly end?: bigint;
  readonly lkFlags?: number;
}

function request({ type, start = 0, end = OFFSET_MAX, lkFlags = 0 }: Asked): Buffer {
  const body = fuseLkIn.encode({ fh: 12, owner: 0xfedc_ba98_7654_3210n, lkFlags });
  Object.assign(fuseLkIn.view(body, 0).lk, { start, end, type, pid: 99 });
  return Buffer.concat([fuseInHeader.encode({}), body]);
}

t.test('a lock of fcntl(2) has its range, and all 64 bits of its owner', async t => {
  t.same(readLock(request({ type: F_WRLCK, start: 10, end: 19n })), {
    handle: 12,
    isUnlock: false,
    lock: { kind: 'posix', owner: 'fedcba9876543210', type: 'write', start: 10, end: 19, pid: 99 },
  });
  t.match(readLock(request({ type: F_RDLCK })), { isUnlock: false, lock: { type: 'read' } });
  t.equal(ownerOf(0n), '0');
});

t.test('LK_FLOCK tells flock(2) from fcntl(2), and F_UNLCK an unlock', async t => {
  t.match(readLock(request({ type: F_WRLCK, lkFlags: LK_FLOCK })).lock, { kind: 'flock' });
  const unlock = readLock(request({ type: F_UNLCK, start: 4, end: 7n }));
  t.match(unlock, { isUnlock: true, lock: { kind: 'posix', start: 4, end: 7 } });
});

t.test('the end of the file is as far as a file can reach, and comes back as the kernel has it', async t => {
  const { lock } = readLock(request({ type: F_WRLCK, start: 3 }));
  t.equal(lock.end, MAX_FILE_BYTES);
  const { lk } = fuseLkOut.view(encodeLock(lock), 0);
  t.match(lk, { start: 3, end: OFFSET_MAX, type: F_WRLCK, pid: 99 });
});

t.test('a range that begins where no file reaches is EINVAL', async t => {
  const bytes = request({ type: F_RDLCK });
  bytes.writeBigUInt64LE(2n ** 53n, fuseInHeader.bytes + 16);
  t.throws(() => readLock(bytes), { code: 'EINVAL' });
  bytes.writeBigUInt64LE(2n ** 64n - 1n, fuseInHeader.bytes + 16);
  t.throws(() => readLock(bytes), { code: 'EINVAL' });
  t.equal(readLock(request({ type: F_RDLCK, start: MAX_FILE_BYTES })).lock.start, MAX_FILE_BYTES);
});

t.test('types, flags and sizes that no kernel has are EINVAL', async t => {
  for (const type of [3, 4, 0xffff_ffff]) {
    t.throws(() => readLock(request({ type })), { code: 'EINVAL', message: /no lock type/ });
  }
  t.throws(() => readLock(request({ type: F_RDLCK, lkFlags: 2 })), { code: 'EINVAL' });
  t.throws(() => readLock(request({ type: F_UNLCK, lkFlags: 2 })), { code: 'EINVAL' });
  const torn = request({ type: F_RDLCK });
  t.throws(() => readLock(torn.subarray(0, torn.length - 1)), { code: 'EINVAL' });
});

t.test('GETLK answers F_UNLCK where nothing stands in the way, else the lock that does', async t => {
  t.match(fuseLkOut.view(encodeLock(undefined), 0).lk, { type: F_UNLCK, start: 0, end: 0n, pid: 0 });
  const found: FileLock = { kind: 'posix', owner: '1', type: 'read', start: 5, end: 9, pid: 0 };
  t.match(fuseLkOut.view(encodeLock(found), 0).lk, { type: F_RDLCK, start: 5, end: 9n, pid: 0 });
});
