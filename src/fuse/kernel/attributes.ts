/** What stat(2) shows of an inode, in the kernel's structures. */
import type { Attributes } from '../../protocol/types.js';
import { fuseAttrOut, fuseEntryOut, type fuseAttr } from './structs.js';
import type { EntryTimes } from './wire.js';

/** Preferred size of a request, st_blksize: programs such as cp read and write in pieces of it. */
const BLOCK_SIZE_BYTES = 1 << 20;
/** st_blocks counts in these (stat(2)). */
const STAT_BLOCK_BYTES = 512;

function writeAttr(attr: ReturnType<typeof fuseAttr.view>, attributes: Attributes): void {
  attr.ino = attributes.inode;
  attr.size = attributes.size;
  attr.blocks = Math.ceil(attributes.allocated / STAT_BLOCK_BYTES);
  attr.atime = attributes.atime.sec;
  attr.mtime = attributes.mtime.sec;
  attr.ctime = attributes.ctime.sec;
  attr.atimensec = attributes.atime.nsec;
  attr.mtimensec = attributes.mtime.nsec;
  attr.ctimensec = attributes.ctime.nsec;
  attr.mode = attributes.mode;
  attr.nlink = attributes.nlink;
  attr.uid = attributes.uid;
  attr.gid = attributes.gid;
  attr.rdev = attributes.rdev;
  attr.blksize = BLOCK_SIZE_BYTES;
  attr.flags = 0;
}

/** Fills in the fuse_entry_out with which `bytes` begin. */
export function writeEntry(bytes: Buffer, attributes: Attributes, times: EntryTimes): void {
  const entry = fuseEntryOut.view(bytes, 0);
  entry.nodeid = attributes.inode;
  entry.generation = attributes.generation;
  entry.entryValid = wholeSeconds(times.entryTimeoutMs);
  entry.entryValidNsec = nanoseconds(times.entryTimeoutMs);
  entry.attrValid = wholeSeconds(times.attrTimeoutMs);
  entry.attrValidNsec = nanoseconds(times.attrTimeoutMs);
  writeAttr(entry.attr, attributes);
}

/** A name's fuse_entry_out. */
export function encodeEntry(attributes: Attributes, times: EntryTimes): Buffer {
  // Every byte of it is a field.
  const bytes = Buffer.allocUnsafe(fuseEntryOut.bytes);
  writeEntry(bytes, attributes, times);
  return bytes;
}

/** fuse_entry_out for a name that leads nowhere: inode 0, and how long that may be believed. */
export function encodeNoEntry(entryTimeoutMs: number): Buffer {
  const [entryValid, entryValidNsec] = [wholeSeconds(entryTimeoutMs), nanoseconds(entryTimeoutMs)];
  return fuseEntryOut.encode({ entryValid, entryValidNsec });
}

/** What GETATTR and SETATTR answer. */
export function encodeAttr(attributes: Attributes, attrTimeoutMs: number): Buffer {
  const bytes = Buffer.alloc(fuseAttrOut.bytes);
  const out = fuseAttrOut.view(bytes, 0);
  out.attrValid = wholeSeconds(attrTimeoutMs);
  out.attrValidNsec = nanoseconds(attrTimeoutMs);
  writeAttr(out.attr, attributes);
  return bytes;
}

function wholeSeconds(durationMs: number): number {
  return Math.floor(durationMs / 1000);
}

function nanoseconds(durationMs: number): number {
  return Math.round((durationMs - wholeSeconds(durationMs) * 1000) * 1e6);
}
