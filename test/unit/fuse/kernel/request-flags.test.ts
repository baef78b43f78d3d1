/** Flags that this driver does not know, in each request of the kernel that has some. */
import { closeSync, openSync } from 'node:fs';
import t, { type Test } from 'tap';
import { KernelCache } from '../../../../src/fuse/kernel/kernel-cache.js';
import { checkFlags } from '../../../../src/fuse/kernel/request-flags.js';
import { FuseRequests } from '../../../../src/fuse/kernel/requests.js';
import { IN_HEADER_BYTES } from '../../../../src/fuse/kernel/struct.js';
import { Opcode } from '../../../../src/fuse/kernel/wire.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { createLogger } from '../../../../src/platform/log.js';
import { hasCode } from '../../../../src/protocol/errors.js';
import { ROOT_INODE } from '../../../../src/protocol/file-mode.js';
import { MemoryFileSystem } from '../../../bench/null/memory-file-system.js';

const log = createLogger('test', 'silent');
const BODY_BYTES = 128;
const OWNER = { uid: 0, gid: 0, mode: 0o644 };

/** The requests of a mount of a file system in memory, and a file in it. */
async function openRequests(t: Test): Promise<{ requests: FuseRequests; inode: number; handle: number }> {
  const fd = openSync('/dev/null', 'w');
  const fileSystem = new MemoryFileSystem();
  const times = { entryTimeoutMs: 0, attrTimeoutMs: 0, negativeTimeoutMs: 0 };
  const options = {
    fd,
    fileSystem,
    times,
    keepsNames: true,
    clock: systemClock,
    log: log,
    writeNow: () => undefined,
  };
  const cache = await KernelCache.open(options);
  t.teardown(async () => {
    // What keeps a mount's process is its device; the cache's threads do not.
    const alive = setInterval(() => undefined, 60_000);
    await cache.close();
    clearInterval(alive);
    closeSync(fd);
  });
  const made = await fileSystem.create(ROOT_INODE, Buffer.from('f'), OWNER, true, 2);
  const requests = new FuseRequests(fileSystem, cache, log);
  requests.hasLongSetxattr = true;
  return { requests, inode: made.attributes.inode, handle: made.handle };
}

/** Request, its field, where that is in the request's body, and a bit that the field does not have. */
const FIELDS: readonly [name: keyof typeof Opcode, field: string, offset: number, unknownBit: number][] = [
  ['getattr', 'getattr_flags', 0, 1 << 1],
  ['setattr', 'valid', 0, 1 << 10],
  ['open', 'open_flags', 4, 1 << 1],
  ['create', 'open_flags', 12, 1 << 1],
  ['read', 'read_flags', 20, 1 << 2],
  ['write', 'write_flags', 20, 1 << 3],
  ['fsync', 'fsync_flags', 8, 1 << 1],
  ['fsyncdir', 'fsync_flags', 8, 1 << 1],
  ['setlk', 'lk_flags', 40, 1 << 1],
  ['setlkw', 'lk_flags', 40, 1 << 1],
  ['getlk', 'lk_flags', 40, 1 << 1],
  ['setlk', 'type', 32, 1 << 4],
  ['setxattr', 'setxattr_flags', 8, 1 << 1],
  ['copyFileRange', 'flags', 48, 1 << 0],
  ['copyFileRange', 'flags', 52, 1 << 0],
  ['lseek', 'whence', 16, 1 << 3],
];

t.test('a bit of a request that is not known here is EINVAL, and nothing is done', async t => {
  const { requests, inode, handle } = await openRequests(t);
  const errnoOf = async (name: keyof typeof Opcode, offset: number, value: number): Promise<string> => {
    const bytes = Buffer.alloc(IN_HEADER_BYTES + BODY_BYTES);
    // Most begin with the handle; what begins otherwise is overwritten.
    bytes.writeUInt32LE(name === 'setattr' || name === 'getattr' ? 0 : handle, IN_HEADER_BYTES);
    bytes.writeUInt32LE(value, IN_HEADER_BYTES + offset);
    const header = { length: bytes.length, opcode: Opcode[name], unique: 1n, inode, uid: 0, gid: 0, pid: 1 };
    try {
      await requests.handlers.get(Opcode[name])?.(header, bytes);
      return 'done';
    } catch (error) {
      return hasCode(error, 'EINVAL') ? 'EINVAL' : String(error);
    }
  };
  for (const [name, field, offset, unknownBit] of FIELDS) {
    t.equal(
      await errnoOf(name, offset, unknownBit),
      'EINVAL',
      `${name}: ${field} 0x${unknownBit.toString(16)}`,
    );
  }
  t.equal(await errnoOf('getattr', 0, 1), 'done', 'a bit that is known');
  t.equal(await errnoOf('fsync', 8, 1), 'done', 'another one');
});

t.test('of each field the bits of <linux/fuse.h> that are understood pass, and no other one', async t => {
  const known = {
    getattr_flags: 1,
    // FATTR_LOCKOWNER is bit 9, FATTR_CTIME, which nothing sets without FUSE_WRITEBACK_CACHE, bit 10.
    'setattr valid': 0b1011_1111_1111,
    open_flags: 1,
    read_flags: 2,
    write_flags: 7,
    fsync_flags: 1,
    lk_flags: 1,
    setxattr_flags: 1,
    'copy_file_range flags': 0,
  } as const;
  for (const [name, bits] of Object.entries(known)) {
    const field = name as keyof typeof known;
    t.doesNotThrow(() => checkFlags(field, bits), `${name}: all of them`);
    for (let bit = 0; bit < 32; bit += 1) {
      const flag = (1 << bit) >>> 0;
      if ((bits & flag) !== 0) continue;
      t.throws(() => checkFlags(field, (bits | flag) >>> 0), {
        code: 'EINVAL',
        message: new RegExp(`0x${flag.toString(16)} in ${name}`),
      });
    }
  }
});
