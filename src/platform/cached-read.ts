/**
 * Reads from the page cache without waiting for a disk, and asks the kernel to read the rest ahead: preadv2(2) with
 * RWF_NOWAIT and posix_fadvise(2), which Node does not offer, by libc's own functions through koffi. A cached read takes some
 * 5 µs for 16 KiB; one by a thread of libuv's pool, which has to be woken and to wake the event loop in turn, takes 40 µs and
 * more where processors sleep deeply.
 */
import type { KoffiFunc } from 'koffi';

/** What may be asked for at once with memory that is used for every read. */
export const MAX_CACHED_READ_BYTES = 144 << 10;
/** <linux/fs.h>: "per-IO, return -EAGAIN if operation would block". */
const RWF_NOWAIT = 8;
/** <linux/fadvise.h> of 64-bit machines: "will need these pages". */
const POSIX_FADV_WILLNEED = 3;
/** cachestat(2), since Linux 6.5: the same number on every machine. */
const SYS_CACHESTAT = 451;
/** struct cachestat_range: offset, length; struct cachestat: five counts, the first one of pages in the cache. */
const CACHE_RANGE_BYTES = 16;
const CACHE_STAT_BYTES = 40;
/** struct iovec of 64-bit Linux: address, length. */
const VECTOR_BYTES = 16;

type Preadv2 = KoffiFunc<
  (fd: number, vector: Buffer, count: number, position: number, flags: number) => number
>;
type Fadvise = KoffiFunc<(fd: number, position: number, length: number, advice: number) => number>;

type Cachestat = KoffiFunc<
  (number: number, fd: number, range: Buffer, stat: Buffer, flags: number) => number
>;

export interface CachedReads {
  /**
   * Whether the page cache has nothing of these bytes. `read` and `readInto` cannot tell: they have the kernel read ahead what they
   * do not find. False where the system does not say (before Linux 6.5).
   */
  isAbsent(fd: number, position: number, length: number): boolean;
  /**
   * `length` bytes of an open file, at most MAX_CACHED_READ_BYTES, if all of them are in the page cache; undefined when
   * they are not, or the file is shorter, or the system cannot tell. Never waits. The bytes are good until the next call.
   */
  read(fd: number, length: number, position: number): Buffer | undefined;
  /** The same into memory of the caller's: whether all of `target` was filled. */
  readInto(fd: number, target: Buffer, position: number): boolean;
  /** Has the page cache read bytes that will be wanted; waits, on a thread, until the disk has been told. Never rejects. */
  prefetch(fd: number, position: number, length: number): Promise<void>;
}

const NOTHING_CACHED: CachedReads = {
  isAbsent: () => false,
  read: () => undefined,
  readInto: () => false,
  prefetch: async () => undefined,
};

let loading: Promise<CachedReads> | undefined;

/** Those of this system, loaded once. */
export async function cachedReads(): Promise<CachedReads> {
  return await (loading ??= loadCachedReads());
}

/** Where there is no preadv2(2), they find nothing. */
async function loadCachedReads(): Promise<CachedReads> {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return NOTHING_CACHED;
  let preadv2: Preadv2;
  let fadvise: Fadvise;
  let cachestat: Cachestat;
  let addressOf: (memory: Buffer) => bigint;
  try {
    // Not loaded before somebody reads: it takes 30 ms, which `dfs ls` need not wait.
    const { default: koffi } = await import('koffi');
    const libc = koffi.load(null);
    preadv2 = libc.func(
      'intptr_t preadv2(int fd, void *vector, int count, int64_t position, int flags)',
    ) as Preadv2;
    fadvise = libc.func('int posix_fadvise(int fd, int64_t position, int64_t length, int advice)') as Fadvise;
    cachestat = libc.func(
      'long syscall(long number, int fd, void *range, void *stat, unsigned int flags)',
    ) as Cachestat;
    addressOf = memory => koffi.address(memory);
  } catch {
    // A libc without them.
    return NOTHING_CACHED;
  }
  const shared = Buffer.alloc(MAX_CACHED_READ_BYTES);
  const vector = Buffer.alloc(VECTOR_BYTES);
  const readInto = (fd: number, target: Buffer, position: number): boolean => {
    vector.writeBigUInt64LE(addressOf(target), 0);
    vector.writeUInt32LE(target.length, 8);
    return preadv2(fd, vector, 1, position, RWF_NOWAIT) === target.length;
  };
  const range = Buffer.alloc(CACHE_RANGE_BYTES);
  const stat = Buffer.alloc(CACHE_STAT_BYTES);
  return {
    isAbsent(fd, position, length) {
      range.writeBigUInt64LE(BigInt(position), 0);
      range.writeBigUInt64LE(BigInt(length), 8);
      return cachestat(SYS_CACHESTAT, fd, range, stat, 0) === 0 && stat.readBigUInt64LE(0) === 0n;
    },
    read(fd, length, position) {
      if (length > MAX_CACHED_READ_BYTES) return undefined;
      const target = shared.subarray(0, length);
      return readInto(fd, target, position) ? target : undefined;
    },
    readInto,
    async prefetch(fd, position, length) {
      await new Promise<void>(resolve => {
        fadvise.async(fd, position, length, POSIX_FADV_WILLNEED, () => resolve());
      });
    },
  };
}
