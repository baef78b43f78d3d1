/** Attributes in the form in which fuse-native takes them. */
import type { Timespec } from '../../platform/clock.js';
import type { Attributes } from '../../protocol/types.js';
import type { Statfs } from '../../vfs/file-system.js';

export interface StatFields {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly dev: number;
  readonly nlink: number;
  readonly ino: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly blocks: number;
  /** Milliseconds since the epoch. */
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

const STAT_BLOCK_BYTES = 512;
/** The size of the requests that programs such as cp should make. */
const IO_BYTES = 128 << 10;
/** statvfs has 32-bit counts here, so blocks are large: 4 PiB can be told. */
const STATFS_BLOCK_BYTES = 1 << 20;
const U32_MAX = 0xffff_ffff;
const MAX_NAME_BYTES = 255;
/** There is no table of inodes that could be full; programs only want to see that some are free. */
const FREE_INODES = 1 << 28;

/** Milliseconds; the library's unsigned numbers cannot carry times before 1970. */
function milliseconds(time: Timespec): number {
  return Math.max(0, time.sec * 1000 + Math.floor(time.nsec / 1e6));
}

export function statFields(attributes: Attributes): StatFields {
  return {
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.size,
    dev: 0,
    nlink: attributes.nlink,
    ino: attributes.inode % (U32_MAX + 1),
    rdev: attributes.rdev,
    blksize: IO_BYTES,
    blocks: Math.ceil(attributes.allocated / STAT_BLOCK_BYTES),
    atime: milliseconds(attributes.atime),
    mtime: milliseconds(attributes.mtime),
    ctime: milliseconds(attributes.ctime),
  };
}

export function statfsFields(statfs: Statfs): Record<string, number> {
  const blocks = (bytes: number): number => Math.min(U32_MAX, Math.floor(bytes / STATFS_BLOCK_BYTES));
  return {
    bsize: STATFS_BLOCK_BYTES,
    frsize: STATFS_BLOCK_BYTES,
    blocks: blocks(statfs.totalBytes),
    bfree: blocks(statfs.freeBytes),
    bavail: blocks(statfs.freeBytes),
    files: Math.min(U32_MAX, statfs.inodes + FREE_INODES),
    ffree: FREE_INODES,
    favail: FREE_INODES,
    fsid: 0,
    flag: 0,
    namemax: MAX_NAME_BYTES,
  };
}
