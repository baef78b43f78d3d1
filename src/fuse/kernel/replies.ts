/** The kernel's structures that answer more than one kind of request, and fields that more than one kind has. */
import type { Loans } from '../../platform/loans.js';
import { DfsError } from '../../protocol/errors.js';
import { S_IFMT } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { PlacedEntry } from './directory-stream.js';
import {
  DIRENT_NAME_OFFSET,
  IN_HEADER_BYTES,
  OPEN_OUT_BYTES,
  readU64,
  writeU64,
  type RequestHeader,
} from './wire.js';

/**
 * Answers one kind of request; `bytes` is the whole request and may be looked at until the promise settles.
 * @param signal aborted when a signal came for the process that waits for the answer
 * @param loans what the answer's memory may be borrowed by
 */
export type RequestHandler = (
  header: RequestHeader,
  bytes: Buffer,
  signal?: AbortSignal,
  loans?: Loans,
) => Promise<Payload>;

export const NOTHING: Payload = [];
/** Where what comes after fuse_in_header begins. */
export const BODY = IN_HEADER_BYTES;
/** st_mode's type, as a directory entry has it (IFTODT in <dirent.h>). */
const TYPE_SHIFT = 12;

export function nameOf(name: Buffer | undefined): Buffer {
  if (!name) throw new DfsError('EINVAL', 'the kernel sent a request without a name');
  return name;
}

export function handleOf(bytes: Buffer): number {
  return readU64(bytes, BODY);
}

export function sizeOf(value: number): number {
  if (!Number.isSafeInteger(value)) throw new DfsError('EFBIG', 'files end below 2^53 bytes');
  return value;
}

export async function done(work: Promise<void>): Promise<Payload> {
  await work;
  return NOTHING;
}

export function openOut(handle: number, flags: number): Buffer {
  const bytes = Buffer.alloc(OPEN_OUT_BYTES);
  writeU64(bytes, handle, 0);
  bytes.writeUInt32LE(flags, 8);
  return bytes;
}

export function sizeOut(size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(size, 0);
  return bytes;
}

/** getxattr(2), listxattr(2): size 0 asks how large the value is; one that does not fit is ERANGE. */
export function sized(value: Buffer, room: number): Payload {
  if (room === 0) return [sizeOut(value.length)];
  if (value.length > room) throw new DfsError('ERANGE', 'the buffer is too small for the value');
  return [value];
}

/** fuse_dirent, padded to 8 bytes, with room for `before` bytes in front of it. */
export function dirent({ name, inode, mode, next }: PlacedEntry, before: number): Buffer {
  const length = before + DIRENT_NAME_OFFSET + name.length;
  const bytes = Buffer.alloc(Math.ceil(length / 8) * 8);
  writeU64(bytes, inode, before);
  writeU64(bytes, next, before + 8);
  bytes.writeUInt32LE(name.length, before + 16);
  bytes.writeUInt32LE((mode & S_IFMT) >>> TYPE_SHIFT, before + 20);
  name.copy(bytes, before + DIRENT_NAME_OFFSET);
  return bytes;
}
