/** INIT, the first request of a mount: what the kernel can do, and what of it this driver takes. */
import { DfsError } from '../../protocol/errors.js';
import type { KernelState } from '../../protocol/take-over.js';
import { fuseInitIn, fuseInitOut, fuseShortInitIn } from './structs.js';
import {
  FUSE_KERNEL_MINOR_VERSION,
  FUSE_KERNEL_VERSION,
  FUSE_OLDEST_MINOR_VERSION,
  InitFlag,
  InitFlag2,
} from './wire.js';

/** The largest READ and WRITE: fuse's own limit of 256 pages. */
export const MAX_REQUEST_BYTES = 1 << 20;
const PAGE_BYTES = 4096;
const MAX_READAHEAD_BYTES = 1 << 20;
/** Requests that the kernel has under way without anybody waiting for them (read-ahead, write-back). */
const MAX_BACKGROUND = 32;
/** Times to the nanosecond. */
const TIME_GRAN_NS = 1;

const WANTED =
  InitFlag.asyncRead |
  InitFlag.posixLocks |
  InitFlag.flockLocks |
  InitFlag.atomicTruncate |
  InitFlag.exportSupport |
  InitFlag.bigWrites |
  InitFlag.autoInvalidateData |
  InitFlag.readdirplus |
  InitFlag.readdirplusAuto |
  InitFlag.asyncDirectIo |
  InitFlag.parallelDirectoryOperations |
  InitFlag.maxPages |
  InitFlag.dontMask |
  InitFlag.posixAcl |
  InitFlag.handleKillPrivileges |
  InitFlag.setxattrExtended |
  InitFlag.more;

/** What both sides agreed on. */
export interface Negotiated {
  /** The kernel's minor version. */
  readonly minor: number;
  readonly flags: number;
  readonly flags2: number;
  /** A file that is opened without pages may be mapped all the same. */
  readonly mayBypassPages: boolean;
  /** SETXATTR has the long structure. */
  readonly hasLongSetxattr: boolean;
  /** fuse_init_out */
  readonly answer: Buffer;
}

/** What was agreed on, as one process that serves the mount tells the next one. */
export function meaningOf({ minor, flags, flags2 }: KernelState['init']): Omit<Negotiated, 'answer'> {
  return {
    minor,
    flags,
    flags2,
    mayBypassPages: (flags2 & InitFlag2.directIoMaps) !== 0,
    hasLongSetxattr: (flags & InitFlag.setxattrExtended) !== 0,
  };
}

/** Answers INIT. EPROTO for a kernel that is too old. */
export function negotiate(request: Buffer): Negotiated {
  const { major, minor, flags: offered } = fuseShortInitIn.body(request);
  if (major !== FUSE_KERNEL_VERSION || minor < FUSE_OLDEST_MINOR_VERSION) {
    throw new DfsError(
      'EPROTO',
      `this kernel speaks FUSE ${major}.${minor}, but DFS needs ${FUSE_KERNEL_VERSION}.${FUSE_OLDEST_MINOR_VERSION} or newer; mount with --driver fuse-native`,
    );
  }
  const offered2 = (offered & InitFlag.more) === 0 ? 0 : fuseInitIn.body(request).flags2;
  const taken = (offered & WANTED) >>> 0;
  const taken2 = offered2 & InitFlag2.directIoMaps;
  return {
    ...meaningOf({ minor, flags: taken, flags2: taken2, maxWrite: MAX_REQUEST_BYTES }),
    answer: fuseInitOut.encode({
      major: FUSE_KERNEL_VERSION,
      minor: FUSE_KERNEL_MINOR_VERSION,
      maxReadahead: MAX_READAHEAD_BYTES,
      flags: taken,
      maxBackground: MAX_BACKGROUND,
      congestionThreshold: Math.floor((MAX_BACKGROUND * 3) / 4),
      maxWrite: MAX_REQUEST_BYTES,
      timeGran: TIME_GRAN_NS,
      maxPages: MAX_REQUEST_BYTES / PAGE_BYTES,
      flags2: taken2,
    }),
  };
}
