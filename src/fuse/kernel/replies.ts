/** The kernel's structures that answer more than one kind of request, and fields that more than one kind has. */
import type { Loans } from '../../platform/loans.js';
import { DfsError } from '../../protocol/errors.js';
import { S_IFMT } from '../../protocol/file-mode.js';
import type { Payload } from '../../protocol/frame.js';
import type { PlacedEntry } from './directory-stream.js';
import { fuseDirent, fuseGetxattrOut, fuseOpenOut, fuseWriteOut } from './structs.js';
import type { RequestHeader } from './wire.js';

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
/** st_mode's type, as a directory entry has it (IFTODT in <dirent.h>). */
const TYPE_SHIFT = 12;

export function nameOf(name: Buffer | undefined): Buffer {
  if (!name) throw new DfsError('EINVAL', 'the kernel sent a request without a name');
  return name;
}

export function sizeOf(value: number): number {
  if (!Number.isSafeInteger(value)) throw new DfsError('EFBIG', 'files end below 2^53 bytes');
  return value;
}

export async function done(work: Promise<void>): Promise<Payload> {
  await work;
  return NOTHING;
}

/** What OPEN, OPENDIR and CREATE answer. */
export function openOut(fh: number, openFlags: number): Buffer {
  return fuseOpenOut.encode({ fh, openFlags });
}

/** What WRITE and COPY_FILE_RANGE answer. */
export function writeOut(size: number): Buffer {
  return fuseWriteOut.encode({ size });
}

/** getxattr(2), listxattr(2): size 0 asks how large the value is; one that does not fit is ERANGE. */
export function sized(value: Buffer, room: number): Payload {
  if (room === 0) return [fuseGetxattrOut.encode({ size: value.length })];
  if (value.length > room) throw new DfsError('ERANGE', 'the buffer is too small for the value');
  return [value];
}

/** fuse_dirent, padded to 8 bytes, with room for `before` bytes in front of it. */
export function dirent({ name, inode, mode, next }: PlacedEntry, before: number): Buffer {
  const length = before + fuseDirent.bytes + name.length;
  const bytes = Buffer.alloc(Math.ceil(length / 8) * 8);
  const out = fuseDirent.view(bytes, before);
  out.ino = inode;
  out.off = next;
  out.namelen = name.length;
  out.type = (mode & S_IFMT) >>> TYPE_SHIFT;
  name.copy(bytes, before + fuseDirent.bytes);
  return bytes;
}
