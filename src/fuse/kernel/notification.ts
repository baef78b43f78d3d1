/** What the driver tells the kernel unasked (fuse_notify in fs/fuse/dev.c): drop this from your caches. */
import {
  fuseNodeid,
  fuseNotifyInvalEntryOut,
  fuseNotifyInvalInodeOut,
  fuseNotifyPruneOut,
  fuseOutHeader,
} from './structs.js';

const NOTIFY_INVAL_INODE = 2;
const NOTIFY_INVAL_ENTRY = 3;
const NOTIFY_INC_EPOCH = 8;
const NOTIFY_PRUNE = 9;
/** The minor version of the protocol with which FUSE_NOTIFY_INC_EPOCH came. */
export const INC_EPOCH_MINOR_VERSION = 44;

/** The same of FUSE_NOTIFY_PRUNE. */
export const PRUNE_MINOR_VERSION = 45;

/** fuse_out_header: where an answer has its errno, a notification has its code, and `unique` is 0. */
function notification(code: number, body: Uint8Array = new Uint8Array()): Buffer {
  const bytes = fuseOutHeader.encode({ len: fuseOutHeader.bytes + body.length, error: code }, body.length);
  bytes.set(body, fuseOutHeader.bytes);
  return bytes;
}

function invalidateInode(ino: number, off: number, len = 0): Buffer {
  return notification(NOTIFY_INVAL_INODE, fuseNotifyInvalInodeOut.encode({ ino, off, len }));
}

/** fuse_notify_inval_inode_out with a negative offset: the attributes, and nothing that could be locked. */
export function invalidateAttributes(inode: number): Buffer {
  return invalidateInode(inode, -1);
}

/** The same from offset 0, length 0 for all: the attributes and every page. Waits for pages that are being read. */
export function invalidateContent(inode: number): Buffer {
  return invalidateInode(inode, 0);
}

/** The same with the pages of a range alone, of at least one byte. */
export function invalidateRange(inode: number, offset: number, length: number): Buffer {
  return invalidateInode(inode, offset, length);
}

/** fuse_notify_inval_entry_out: one name. Waits for whoever works in the directory. */
export function invalidateEntry(parent: number, name: Uint8Array): Buffer {
  const body = fuseNotifyInvalEntryOut.encode({ parent, namelen: name.length }, name.length + 1);
  body.set(name, fuseNotifyInvalEntryOut.bytes);
  return notification(NOTIFY_INVAL_ENTRY, body);
}

/** Every name of the mount. Takes no lock. */
export function invalidateAllEntries(): Buffer {
  return notification(NOTIFY_INC_EPOCH);
}

/** fuse_notify_prune_out: inodes that nobody uses are to be forgotten, with their names. */
export function pruneInodes(inodes: readonly number[]): Buffer {
  const body = fuseNotifyPruneOut.encode({ count: inodes.length }, fuseNodeid.bytes * inodes.length);
  for (const [index, inode] of inodes.entries()) {
    fuseNodeid.view(body, fuseNotifyPruneOut.bytes + fuseNodeid.bytes * index).nodeid = inode;
  }
  return notification(NOTIFY_PRUNE, body);
}
