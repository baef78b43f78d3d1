/** What stat(2) shows of an inode, in the kernel's structures. */
import type { Timespec } from '../../platform/clock.js';
import type { Attributes } from '../../protocol/types.js';
import { ATTR_OUT_BYTES, ATTR_BYTES, ENTRY_OUT_BYTES, writeU64, type EntryTimes } from './wire.js';

/** Preferred size of a request, st_blksize: programs such as cp read and write in pieces of it. */
const BLOCK_SIZE_BYTES = 1 << 20;
/** st_blocks counts in these (stat(2)). */
const STAT_BLOCK_BYTES = 512;

/** fuse_attr */
export function writeAttr(bytes: Buffer, attributes: Attributes, offset: number): void {
  writeU64(bytes, attributes.inode, offset);
  writeU64(bytes, attributes.size, offset + 8);
  writeU64(bytes, Math.ceil(attributes.allocated / STAT_BLOCK_BYTES), offset + 16);
  writeSeconds(bytes, attributes.atime, offset + 24);
  writeSeconds(bytes, attributes.mtime, offset + 32);
  writeSeconds(bytes, attributes.ctime, offset + 40);
  bytes.writeUInt32LE(attributes.atime.nsec, offset + 48);
  bytes.writeUInt32LE(attributes.mtime.nsec, offset + 52);
  bytes.writeUInt32LE(attributes.ctime.nsec, offset + 56);
  bytes.writeUInt32LE(attributes.mode, offset + 60);
  bytes.writeUInt32LE(attributes.nlink, offset + 64);
  bytes.writeUInt32LE(attributes.uid, offset + 68);
  bytes.writeUInt32LE(attributes.gid, offset + 72);
  bytes.writeUInt32LE(attributes.rdev, offset + 76);
  bytes.writeUInt32LE(BLOCK_SIZE_BYTES, offset + 80);
  bytes.writeUInt32LE(0, offset + ATTR_BYTES - 4);
}

/** fuse_entry_out */
export function writeEntry(bytes: Buffer, attributes: Attributes, times: EntryTimes, offset: number): void {
  writeU64(bytes, attributes.inode, offset);
  writeU64(bytes, attributes.generation, offset + 8);
  writeDuration(bytes, times.entryTimeoutMs, offset + 16, offset + 32);
  writeDuration(bytes, times.attrTimeoutMs, offset + 24, offset + 36);
  writeAttr(bytes, attributes, offset + 40);
}

export function encodeEntry(attributes: Attributes, times: EntryTimes): Buffer {
  const bytes = Buffer.allocUnsafe(ENTRY_OUT_BYTES);
  writeEntry(bytes, attributes, times, 0);
  return bytes;
}

/** fuse_entry_out for a name that leads nowhere: inode 0, and how long that may be believed. */
export function encodeNoEntry(entryTimeoutMs: number): Buffer {
  const bytes = Buffer.alloc(ENTRY_OUT_BYTES);
  writeDuration(bytes, entryTimeoutMs, 16, 32);
  return bytes;
}

/** fuse_attr_out */
export function encodeAttr(attributes: Attributes, attrTimeoutMs: number): Buffer {
  const bytes = Buffer.allocUnsafe(ATTR_OUT_BYTES);
  writeDuration(bytes, attrTimeoutMs, 0, 8);
  bytes.writeUInt32LE(0, 12);
  writeAttr(bytes, attributes, 16);
  return bytes;
}

function writeDuration(bytes: Buffer, durationMs: number, secondsAt: number, nanosecondsAt: number): void {
  const seconds = Math.floor(durationMs / 1000);
  writeU64(bytes, seconds, secondsAt);
  bytes.writeUInt32LE(Math.round((durationMs - seconds * 1000) * 1e6), nanosecondsAt);
}

/** Seconds are signed: files may be older than 1970. */
function writeSeconds(bytes: Buffer, time: Timespec, offset: number): void {
  bytes.writeBigInt64LE(BigInt(time.sec), offset);
}

/** A time as SETATTR brings it. */
export function readTime(bytes: Buffer, secondsAt: number, nanosecondsAt: number): Timespec {
  return { sec: Number(bytes.readBigInt64LE(secondsAt)), nsec: bytes.readUInt32LE(nanosecondsAt) };
}
