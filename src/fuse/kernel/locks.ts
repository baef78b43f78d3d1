/** fuse_lk_in and fuse_lk_out: flock(2) and fcntl(2) locks as the kernel has them. */
import { DfsError } from '../../protocol/errors.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import type { FileLock } from '../../vfs/file-system.js';
import { checkFlags } from './request-flags.js';
import { fuseLkIn, fuseLkOut } from './structs.js';

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
export function ownerOf(owner: bigint): string {
  return owner.toString(16);
}

/** Reads fuse_lk_in. EINVAL for a range that begins where no file reaches. */
export function readLock(bytes: Buffer): LockRequest {
  const { fh, owner, lk, lkFlags } = fuseLkIn.body(bytes);
  const { start, end, type, pid } = lk;
  const isUnlock = type === F_UNLCK;
  if (!isUnlock && type !== F_RDLCK && type !== F_WRLCK) throw new DfsError('EINVAL', `no lock type ${type}`);
  checkFlags('lk_flags', lkFlags);
  if (start > MAX_FILE_BYTES) throw new DfsError('EINVAL', 'files, and locks in them, end below 2^53 bytes');
  return {
    handle: fh,
    isUnlock,
    lock: {
      kind: (lkFlags & LK_FLOCK) === 0 ? 'posix' : 'flock',
      owner: ownerOf(owner),
      type: type === F_WRLCK ? 'write' : 'read',
      start,
      end: Math.min(Number(end), MAX_FILE_BYTES),
      pid,
    },
  };
}

/** What GETLK answers: a lock that stands in the way, or F_UNLCK. */
export function encodeLock(lock: FileLock | undefined): Buffer {
  const bytes = fuseLkOut.encode({});
  const { lk } = fuseLkOut.view(bytes, 0);
  lk.type = F_UNLCK;
  if (!lock) return bytes;
  lk.start = lock.start;
  lk.end = lock.end >= MAX_FILE_BYTES ? OFFSET_MAX : BigInt(lock.end);
  lk.type = lock.type === 'write' ? F_WRLCK : F_RDLCK;
  lk.pid = lock.pid;
  return bytes;
}
