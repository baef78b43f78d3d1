/**
 * The structures of <linux/fuse.h> that this driver takes or gives, each once. Names are the header's, in camel case;
 * test/unit/fuse/kernel/structs.test.ts compares every layout with what a C compiler makes of the header.
 */
import { Struct } from './struct.js';

// ---- requests

export const fuseInHeader = new Struct('fuse_in_header', {
  len: 'u32',
  opcode: 'u32',
  /** Repeated in the answer. A bigint: the kernel counts in steps that pass 2^53 in no lifetime, but need not. */
  unique: 'bits64',
  nodeid: 'u64',
  uid: 'u32',
  gid: 'u32',
  pid: 'u32',
  totalExtlen: 'u16',
  padding: 2,
});

/** Before 7.36, and the beginning of what came with it. */
export const fuseShortInitIn = new Struct('fuse_init_in', {
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
});
/** With FUSE_INIT_EXT. */
export const fuseInitIn = new Struct('fuse_init_in', {
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
  flags2: 'u32',
  unused: 44,
});

export const fuseForgetIn = new Struct('fuse_forget_in', { nlookup: 'u64' });
export const fuseBatchForgetIn = new Struct('fuse_batch_forget_in', { count: 'u32', dummy: 4 });
/** One of those that come after fuse_batch_forget_in. */
export const fuseForgetOne = new Struct('fuse_forget_one', { nodeid: 'u64', nlookup: 'u64' });
export const fuseInterruptIn = new Struct('fuse_interrupt_in', { unique: 'bits64' });

export const fuseGetattrIn = new Struct('fuse_getattr_in', { getattrFlags: 'u32', dummy: 4, fh: 'u64' });
export const fuseSetattrIn = new Struct('fuse_setattr_in', {
  valid: 'u32',
  padding: 4,
  fh: 'u64',
  size: 'u64',
  lockOwner: 'bits64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  unused4: 4,
  uid: 'u32',
  gid: 'u32',
  unused5: 4,
});

export const fuseMknodIn = new Struct('fuse_mknod_in', {
  mode: 'u32',
  rdev: 'u32',
  umask: 'u32',
  padding: 4,
});
export const fuseMkdirIn = new Struct('fuse_mkdir_in', { mode: 'u32', umask: 'u32' });
export const fuseRenameIn = new Struct('fuse_rename_in', { newdir: 'u64' });
export const fuseRename2In = new Struct('fuse_rename2_in', { newdir: 'u64', flags: 'u32', padding: 4 });
export const fuseLinkIn = new Struct('fuse_link_in', { oldnodeid: 'u64' });
export const fuseCreateIn = new Struct('fuse_create_in', {
  flags: 'u32',
  mode: 'u32',
  umask: 'u32',
  openFlags: 'u32',
});

export const fuseOpenIn = new Struct('fuse_open_in', { flags: 'u32', openFlags: 'u32' });
export const fuseReleaseIn = new Struct('fuse_release_in', {
  fh: 'u64',
  flags: 'u32',
  releaseFlags: 'u32',
  lockOwner: 'bits64',
});
export const fuseFlushIn = new Struct('fuse_flush_in', {
  fh: 'u64',
  unused: 4,
  padding: 4,
  lockOwner: 'bits64',
});
/** Of READ, READDIR and READDIRPLUS. */
export const fuseReadIn = new Struct('fuse_read_in', {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  readFlags: 'u32',
  lockOwner: 'bits64',
  flags: 'u32',
  padding: 4,
});
export const fuseWriteIn = new Struct('fuse_write_in', {
  fh: 'u64',
  offset: 'u64',
  size: 'u32',
  writeFlags: 'u32',
  lockOwner: 'bits64',
  flags: 'u32',
  padding: 4,
});
export const fuseFsyncIn = new Struct('fuse_fsync_in', { fh: 'u64', fsyncFlags: 'u32', padding: 4 });
export const fuseFallocateIn = new Struct('fuse_fallocate_in', {
  fh: 'u64',
  offset: 'u64',
  length: 'u64',
  mode: 'u32',
  padding: 4,
});
export const fuseLseekIn = new Struct('fuse_lseek_in', {
  fh: 'u64',
  offset: 'u64',
  whence: 'u32',
  padding: 4,
});
export const fuseCopyFileRangeIn = new Struct('fuse_copy_file_range_in', {
  fhIn: 'u64',
  offIn: 'u64',
  nodeidOut: 'u64',
  fhOut: 'u64',
  offOut: 'u64',
  len: 'u64',
  flags: 'bits64',
});

const fuseFileLock = new Struct('fuse_file_lock', { start: 'u64', end: 'bits64', type: 'u32', pid: 'u32' });
export const fuseLkIn = new Struct('fuse_lk_in', {
  fh: 'u64',
  owner: 'bits64',
  lk: fuseFileLock,
  lkFlags: 'u32',
  padding: 4,
});

/** With FUSE_SETXATTR_EXT; without it fuseShortSetxattrIn. */
export const fuseSetxattrIn = new Struct('fuse_setxattr_in', {
  size: 'u32',
  flags: 'u32',
  setxattrFlags: 'u32',
  padding: 4,
});
/** FUSE_COMPAT_SETXATTR_IN_SIZE */
export const fuseShortSetxattrIn = new Struct('fuse_setxattr_in', { size: 'u32', flags: 'u32' });
/** Of GETXATTR and LISTXATTR. */
export const fuseGetxattrIn = new Struct('fuse_getxattr_in', { size: 'u32', padding: 4 });

// ---- answers

export const fuseOutHeader = new Struct('fuse_out_header', { len: 'u32', error: 'i32', unique: 'bits64' });

export const fuseInitOut = new Struct('fuse_init_out', {
  major: 'u32',
  minor: 'u32',
  maxReadahead: 'u32',
  flags: 'u32',
  maxBackground: 'u16',
  congestionThreshold: 'u16',
  maxWrite: 'u32',
  timeGran: 'u32',
  maxPages: 'u16',
  mapAlignment: 'u16',
  flags2: 'u32',
  unused: 28,
});

export const fuseAttr = new Struct('fuse_attr', {
  ino: 'u64',
  size: 'u64',
  blocks: 'u64',
  atime: 'i64',
  mtime: 'i64',
  ctime: 'i64',
  atimensec: 'u32',
  mtimensec: 'u32',
  ctimensec: 'u32',
  mode: 'u32',
  nlink: 'u32',
  uid: 'u32',
  gid: 'u32',
  rdev: 'u32',
  blksize: 'u32',
  flags: 'u32',
});
export const fuseAttrOut = new Struct('fuse_attr_out', {
  attrValid: 'u64',
  attrValidNsec: 'u32',
  dummy: 4,
  attr: fuseAttr,
});
export const fuseEntryOut = new Struct('fuse_entry_out', {
  nodeid: 'u64',
  generation: 'u64',
  entryValid: 'u64',
  attrValid: 'u64',
  entryValidNsec: 'u32',
  attrValidNsec: 'u32',
  attr: fuseAttr,
});
export const fuseOpenOut = new Struct('fuse_open_out', { fh: 'u64', openFlags: 'u32', padding: 4 });
export const fuseWriteOut = new Struct('fuse_write_out', { size: 'u32', padding: 4 });
export const fuseGetxattrOut = new Struct('fuse_getxattr_out', { size: 'u32', padding: 4 });
export const fuseLseekOut = new Struct('fuse_lseek_out', { offset: 'u64' });
export const fuseLkOut = new Struct('fuse_lk_out', { lk: fuseFileLock });
const fuseKstatfs = new Struct('fuse_kstatfs', {
  blocks: 'u64',
  bfree: 'u64',
  bavail: 'u64',
  files: 'u64',
  ffree: 'u64',
  bsize: 'u32',
  namelen: 'u32',
  frsize: 'u32',
  padding: 4,
  spare: 24,
});
export const fuseStatfsOut = new Struct('fuse_statfs_out', { st: fuseKstatfs });
/** A name of `namelen` bytes comes after it, and zeros up to the next 8 bytes. */
export const fuseDirent = new Struct('fuse_dirent', { ino: 'u64', off: 'u64', namelen: 'u32', type: 'u32' });

// ---- notifications

export const fuseNotifyInvalInodeOut = new Struct('fuse_notify_inval_inode_out', {
  ino: 'u64',
  off: 'i64',
  len: 'i64',
});
/** A name of `namelen` bytes comes after it, and a NUL. */
export const fuseNotifyInvalEntryOut = new Struct('fuse_notify_inval_entry_out', {
  parent: 'u64',
  namelen: 'u32',
  flags: 'u32',
});
/** Since 7.45: so many node ids of 64 bits come after it. */
export const fuseNotifyPruneOut = new Struct('fuse_notify_prune_out', { count: 'u32', padding: 4, spare: 8 });
export const fuseNodeid = new Struct('uint64_t', { nodeid: 'u64' });
