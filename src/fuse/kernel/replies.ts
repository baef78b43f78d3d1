/** The kernel's structures that answer more than one kind of request, and fields that more than one kind has. */
import type { Loans } from '../../platform/loans.js';
import { DfsError } from '../../protocol/errors.js';
import type { Payload } from '../../protocol/frame.js';
import { fuseGetxattrOut, fuseOpenOut, fuseWriteOut } from './structs.js';
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
