/** What `setattr` makes of an inode, where client/log/delegated-changes.ts has to foretell what the metadata server will do. */
import type { Timespec } from '../platform/clock.js';
import { isDirectory } from './file-mode.js';
import { clampTime } from './file-time.js';
import type { PrivilegeLoss, TimeOrNow } from './types.js';

interface OwnerChange {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly privilegeLoss?: PrivilegeLoss | undefined;
}

/**
 * What an inode of this mode loses, unless a mode is given too. chown(2): "When the owner or group of an executable file is
 * changed … the S_ISUID and S_ISGID mode bits are cleared", which Linux does for root too. Truncating does it for those
 * without CAP_FSETID; who that is the kernel knows, and the request says.
 */
export function privilegesLost(mode: number, request: OwnerChange): PrivilegeLoss | undefined {
  if (isDirectory(mode)) return undefined;
  const isOwnerChanged = request.uid !== undefined || request.gid !== undefined;
  return request.privilegeLoss ?? (isOwnerChanged ? 'ordinary' : undefined);
}

/** A time after it was asked to be `wanted`; undefined: it stays. */
export function newTime(wanted: TimeOrNow | undefined, old: Timespec, now: Timespec): Timespec {
  if (wanted === undefined) return old;
  return wanted === 'now' ? now : clampTime(wanted);
}
