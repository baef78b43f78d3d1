/** What the driver tells the kernel unasked (fuse_notify in fs/fuse/dev.c): drop this from your caches. */
import { OUT_HEADER_BYTES, writeU64 } from './wire.js';

const NOTIFY_INVAL_INODE = 2;
const NOTIFY_INVAL_ENTRY = 3;
const NOTIFY_INC_EPOCH = 8;
const NOTIFY_PRUNE = 9;
/** The minor version of the protocol with which FUSE_NOTIFY_INC_EPOCH came. */
export const INC_EPOCH_MINOR_VERSION = 44;

/** The same of FUSE_NOTIFY_PRUNE. */
export const PRUNE_MINOR_VERSION = 45;

/** fuse_out_header: where an answer has its errno, a notification has its code, and `unique` is 0. */
function notification(code: number, bodyBytes: number): Buffer {
  const bytes = Buffer.alloc(OUT_HEADER_BYTES + bodyBytes);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeInt32LE(code, 4);
  return bytes;
}

function invalidateInode(inode: number, offset: bigint, length = 0): Buffer {
  const bytes = notification(NOTIFY_INVAL_INODE, 24);
  writeU64(bytes, inode, OUT_HEADER_BYTES);
  bytes.writeBigInt64LE(offset, OUT_HEADER_BYTES + 8);
  writeU64(bytes, length, OUT_HEADER_BYTES + 16);
  return bytes;
}

/** fuse_notify_inval_inode_out with a negative offset: the attributes, and nothing that could be locked. */
export function invalidateAttributes(inode: number): Buffer {
  return invalidateInode(inode, -1n);
}

/** The same from offset 0, length 0 for all: the attributes and every page. Waits for pages that are being read. */
export function invalidateContent(inode: number): Buffer {
  return invalidateInode(inode, 0n);
}

/** The same with the pages of a range alone, of at least one byte. */
export function invalidateRange(inode: number, offset: number, length: number): Buffer {
  return invalidateInode(inode, BigInt(offset), length);
}

/** fuse_notify_inval_entry_out: one name. Waits for whoever works in the directory. */
export function invalidateEntry(parent: number, name: Uint8Array): Buffer {
  const bytes = notification(NOTIFY_INVAL_ENTRY, 16 + name.length + 1);
  writeU64(bytes, parent, OUT_HEADER_BYTES);
  bytes.writeUInt32LE(name.length, OUT_HEADER_BYTES + 8);
  bytes.set(name, OUT_HEADER_BYTES + 16);
  return bytes;
}

/** Every name of the mount. Takes no lock. */
export function invalidateAllEntries(): Buffer {
  return notification(NOTIFY_INC_EPOCH, 0);
}

/** fuse_notify_prune_out: inodes that nobody uses are to be forgotten, with their names. */
export function pruneInodes(inodes: readonly number[]): Buffer {
  const bytes = notification(NOTIFY_PRUNE, 16 + 8 * inodes.length);
  bytes.writeUInt32LE(inodes.length, OUT_HEADER_BYTES);
  for (const [index, inode] of inodes.entries()) writeU64(bytes, inode, OUT_HEADER_BYTES + 16 + 8 * index);
  return bytes;
}
