/**
 * Reading what the page cache has, without waiting for a disk: preadv2(2) with RWF_NOWAIT, which Node does not offer, by
 * libc's own function through koffi. It takes some 5 µs for 16 KiB; a read by a thread of libuv's pool, which has to be
 * woken and to wake the event loop in turn, takes 40 µs and more where processors sleep deeply.
 */
import type { KoffiFunc } from 'koffi';

/** What may be asked for at once. More takes so long to copy that a thread had better do it. */
export const MAX_CACHED_READ_BYTES = 144 << 10;
/** <linux/fs.h>: "per-IO, return -EAGAIN if operation would block". */
const RWF_NOWAIT = 8;
/** struct iovec of 64-bit Linux: address, length. */
const VECTOR_BYTES = 16;

type Preadv2 = KoffiFunc<
  (fd: number, vector: Buffer, count: number, position: number, flags: number) => number
>;

/**
 * `length` bytes of an open file, at most MAX_CACHED_READ_BYTES, if all of them are in the page cache; undefined when they
 * are not, or the file is shorter, or the system cannot tell. Never waits. The bytes are good until the next call.
 */
export type ReadCached = (fd: number, length: number, position: number) => Buffer | undefined;

const readNothing: ReadCached = () => undefined;

/** The function for this system; where there is no preadv2(2), one that finds nothing. */
export async function loadReadCached(): Promise<ReadCached> {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return readNothing;
  let preadv2: Preadv2;
  const target = Buffer.alloc(MAX_CACHED_READ_BYTES);
  const vector = Buffer.alloc(VECTOR_BYTES);
  try {
    // Not loaded before somebody reads: it takes 30 ms, which `dfs ls` need not wait.
    const { default: koffi } = await import('koffi');
    preadv2 = koffi
      .load(null)
      .func('intptr_t preadv2(int fd, void *vector, int count, int64_t position, int flags)') as Preadv2;
    vector.writeBigUInt64LE(koffi.address(target), 0);
  } catch {
    // A libc without it.
    return readNothing;
  }
  return (fd, length, position) => {
    if (length > MAX_CACHED_READ_BYTES) return undefined;
    vector.writeUInt32LE(length, 8);
    return preadv2(fd, vector, 1, position, RWF_NOWAIT) === length ? target.subarray(0, length) : undefined;
  };
}
