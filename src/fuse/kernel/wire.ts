/**
 * The FUSE kernel protocol as <linux/fuse.h> has it: its numbers and flags, the header and the names of a request. The
 * structures are in structs.ts. Only what this driver sends and understands; names are the header's.
 */
import { DfsError } from '../../protocol/errors.js';
import { fuseBatchForgetIn, fuseForgetOne, fuseInHeader } from './structs.js';

export const FUSE_KERNEL_VERSION = 7;
/** What this driver was written against; the kernel answers with the lower of its own and this. */
export const FUSE_KERNEL_MINOR_VERSION = 38;
/** The oldest minor version whose structures are those used here (max_pages came with 7.28, setxattr_ext 7.33). */
export const FUSE_OLDEST_MINOR_VERSION = 31;

export const Opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  getlk: 31,
  setlk: 32,
  setlkw: 33,
  create: 35,
  interrupt: 36,
  destroy: 38,
  ioctl: 39,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  syncfs: 50,
  tmpfile: 51,
} as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** Flags of INIT, first 32 bits. */
export const InitFlag = {
  asyncRead: 1 << 0,
  posixLocks: 1 << 1,
  atomicTruncate: 1 << 3,
  /** `.` and `..` are looked up in inodes that the kernel knows only by number (open_by_handle_at(2), NFS). */
  exportSupport: 1 << 4,
  bigWrites: 1 << 5,
  /** The umask comes with each creation, for a default ACL may take its place. */
  dontMask: 1 << 6,
  flockLocks: 1 << 10,
  autoInvalidateData: 1 << 12,
  readdirplus: 1 << 13,
  readdirplusAuto: 1 << 14,
  asyncDirectIo: 1 << 15,
  parallelDirectoryOperations: 1 << 18,
  /** ACLs are kept here, and obeyed by the kernel. */
  posixAcl: 1 << 20,
  maxPages: 1 << 22,
  /** Setuid, setgid and capabilities are taken away here when a file is written, truncated or given away. */
  handleKillPrivileges: 1 << 28,
  setxattrExtended: 1 << 29,
  /** There are more flags, in flags2. */
  more: 1 << 30,
} as const;

/** fuse_init_in.flags2 and fuse_init_out.flags2 */
export const InitFlag2 = {
  /** A handle with OpenFlag.directIo may be mapped with MAP_SHARED (FUSE_DIRECT_IO_ALLOW_MMAP, Linux 6.6). */
  directIoMaps: 1 << 4,
} as const;

/** fuse_setattr_in.valid */
export const SetattrValid = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  /** By an open file. */
  handle: 1 << 6,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  killPrivileges: 1 << 11,
} as const;

/** fuse_write_in.write_flags, fuse_open_in.open_flags and fuse_create_in.open_flags, fuse_setxattr_in.setxattr_flags */
export const WRITE_KILL_PRIVILEGES = 1 << 2;
export const OPEN_KILL_PRIVILEGES = 1 << 0;
export const SETXATTR_ACL_KILL_SETGID = 1 << 0;

/**
 * fuse_read_in.read_flags and fuse_write_in.write_flags: the request goes past the kernel's pages. The header has it that an
 * owner of locks is named, which Linux does for such requests alone (fuse_direct_io).
 */
export const READ_LOCKOWNER = 1 << 1;
export const WRITE_LOCKOWNER = 1 << 1;

/** fuse_release_in.release_flags: the file had a flock. */
export const RELEASE_FLOCK_UNLOCK = 1 << 1;

/** How long the kernel may believe what it was told, in milliseconds. */
export interface EntryTimes {
  readonly entryTimeoutMs: number;
  readonly attrTimeoutMs: number;
}

/** The same with names that are not there. */
export interface CacheTimes extends EntryTimes {
  readonly negativeTimeoutMs: number;
}

/** Flags of fuse_open_out */
export const OpenFlag = { directIo: 1 << 0, keepCache: 1 << 1, cacheDirectory: 1 << 3 } as const;

export interface RequestHeader {
  readonly length: number;
  readonly opcode: number;
  /** Repeated in the answer. A bigint: the kernel counts in steps that pass 2^53 in no lifetime, but need not. */
  readonly unique: bigint;
  readonly inode: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
}

/** Reads fuse_in_header. EINVAL for fewer bytes than that. */
export function decodeHeader(bytes: Buffer): RequestHeader {
  if (bytes.length < fuseInHeader.bytes) {
    throw new DfsError('EINVAL', `the kernel sent a request of ${bytes.length} bytes, which has no header`);
  }
  const header = fuseInHeader.view(bytes, 0);
  return {
    length: header.len,
    opcode: header.opcode,
    unique: header.unique,
    inode: header.nodeid,
    uid: header.uid,
    gid: header.gid,
    pid: header.pid,
  };
}

/** ESTALE for a request about a number that no inode has: those end below 2^53. */
export function requireInode({ inode }: RequestHeader): void {
  if (!Number.isSafeInteger(inode))
    throw new DfsError('ESTALE', 'the kernel asks for an inode that there is not');
}

/**
 * The NUL-terminated strings of a request.
 * @param after the structure that they come after; the header when left out
 */
export function readNames(bytes: Buffer, count: number, after?: { readonly end: number }): Buffer[] {
  const names: Buffer[] = [];
  let at = after?.end ?? fuseInHeader.bytes;
  for (let index = 0; index < count; index += 1) {
    const end = bytes.indexOf(0, at);
    const until = end < 0 ? bytes.length : end;
    // Copied: the request's memory is used again while the name is still on its way.
    names.push(Buffer.from(bytes.subarray(at, until)));
    at = until + 1;
  }
  return names;
}

/** What the kernel does not know any more of an inode. */
export interface Forget {
  readonly inode: number;
  /** So many of the lookups that it was told. */
  readonly lookups: number;
}

/** The inodes of BATCH_FORGET. EINVAL when it counts more than came. */
export function readForgets(bytes: Buffer): Forget[] {
  const { count } = fuseBatchForgetIn.body(bytes);
  if (fuseBatchForgetIn.end + count * fuseForgetOne.bytes > bytes.length) {
    throw new DfsError('EINVAL', `the kernel sent ${bytes.length} bytes, too few to forget ${count} inodes`);
  }
  const forgets: Forget[] = [];
  for (let index = 0; index < count; index += 1) {
    const one = fuseForgetOne.view(bytes, fuseBatchForgetIn.end + index * fuseForgetOne.bytes);
    forgets.push({ inode: one.nodeid, lookups: one.nlookup });
  }
  return forgets;
}
