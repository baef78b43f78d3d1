/**
 * Flags of requests, as <linux/fuse.h> has them. A bit that this driver does not know is refused: a request that is done without
 * what it asks for in addition looks to its program as if all of it had been done.
 */
import { DfsError } from '../../protocol/errors.js';
import { SetattrValid } from './wire.js';

/** FATTR_LOCKOWNER, which comes with each truncate(2) and matters to mandatory locks alone. */
const FATTR_LOCKOWNER = 1 << 9;

/** Field of a request → the bits of it that are understood, or mean nothing here. */
const KNOWN = {
  /** FUSE_GETATTR_FH: the file is open; it has the same attributes by its inode. */
  getattr_flags: 1 << 0,
  'setattr valid': Object.values(SetattrValid).reduce((all, bit) => all | bit, FATTR_LOCKOWNER),
  /** FUSE_OPEN_KILL_SUIDGID */
  open_flags: 1 << 0,
  /** FUSE_READ_LOCKOWNER */
  read_flags: 1 << 1,
  /** FUSE_WRITE_CACHE, FUSE_WRITE_LOCKOWNER, FUSE_WRITE_KILL_SUIDGID */
  write_flags: (1 << 0) | (1 << 1) | (1 << 2),
  /** FUSE_FSYNC_FDATASYNC */
  fsync_flags: 1 << 0,
  /** FUSE_LK_FLOCK */
  lk_flags: 1 << 0,
  /** FUSE_SETXATTR_ACL_KILL_SGID */
  setxattr_flags: 1 << 0,
  /** copy_file_range(2): "The flags argument is provided to allow for future extensions and currently must be set to 0." */
  'copy_file_range flags': 0,
} as const;

/** EINVAL for a bit that is not known. */
export function checkFlags(field: keyof typeof KNOWN, flags: number): void {
  const unknown = (flags & ~KNOWN[field]) >>> 0;
  if (unknown !== 0) {
    throw new DfsError(
      'EINVAL',
      `the kernel asks for 0x${unknown.toString(16)} in ${field}, which is not known here`,
    );
  }
}
