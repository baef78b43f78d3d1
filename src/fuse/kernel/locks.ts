/** fuse_lk_in and fuse_lk_out: flock(2) and fcntl(2) locks as the kernel has them. */
import { DfsError } from '../../protocol/errors.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import type { FileLock } from '../../vfs/file-system.js';
import { checkFlags } from './request-flags.js';
import { IN_HEADER_BYTES, readU64, writeU64 } from './wire.js';

const BODY = IN_HEADER_BYTES;
const LK_OUT_BYTES = 24;
const LK_FLOCK = 1 << 0;
/** Types of struct flock (<asm-generic/fcntl.h>). */
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** How the kernel says "to the end of the file" (OFFSET_MAX). */
const OFFSET_MAX = 0x7fff_ffff_ffff_ffffn;

export interface LockRequest {
  readonly handle: number;
  readonly isUnlock: boolean;
  /** For an unlock, the type says nothing. */
  readonly lock: FileLock;
}

/** An owner's number, as it travels. */
export function readOwner(bytes: Buffer, offset: number): string {
  return bytes.readBigUInt64LE(offset).toString(16);
}

/** EINVAL for a range that begins where no file reaches. */
export function readLock(bytes: Buffer): LockRequest {
  const type = bytes.readUInt32LE(BODY + 32);
  const isUnlock = type === F_UNLCK;
  if (!isUnlock && type !== F_RDLCK && type !== F_WRLCK) throw new DfsError('EINVAL', `no lock type ${type}`);
  const flags = bytes.readUInt32LE(BODY + 40);
  checkFlags('lk_flags', flags);
  const start = readU64(bytes, BODY + 16);
  if (start > MAX_FILE_BYTES) throw new DfsError('EINVAL', 'files, and locks in them, end below 2^53 bytes');
  return {
    handle: readU64(bytes, BODY),
    isUnlock,
    lock: {
      kind: (flags & LK_FLOCK) === 0 ? 'posix' : 'flock',
      owner: readOwner(bytes, BODY + 8),
      type: type === F_WRLCK ? 'write' : 'read',
      start,
      end: Math.min(readU64(bytes, BODY + 24), MAX_FILE_BYTES),
      pid: bytes.readUInt32LE(BODY + 36),
    },
  };
}

/** What GETLK answers: a lock that stands in the way, or F_UNLCK. */
export function encodeLock(lock: FileLock | undefined): Buffer {
  const bytes = Buffer.alloc(LK_OUT_BYTES);
  if (!lock) {
    bytes.writeUInt32LE(F_UNLCK, 16);
    return bytes;
  }
  writeU64(bytes, lock.start, 0);
  if (lock.end >= MAX_FILE_BYTES) bytes.writeBigUInt64LE(OFFSET_MAX, 8);
  else writeU64(bytes, lock.end, 8);
  bytes.writeUInt32LE(lock.type === 'write' ? F_WRLCK : F_RDLCK, 16);
  bytes.writeUInt32LE(lock.pid, 20);
  return bytes;
}
