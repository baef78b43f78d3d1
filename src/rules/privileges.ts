/** When a file loses setuid and setgid (and, beside the record, its capabilities). */
import { isDirectory, S_ISGID, S_ISUID, S_IXGRP } from '../protocol/file-mode.js';
import type { PrivilegeLoss } from '../protocol/types.js';

interface OwnerChange {
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly privilegeLoss?: PrivilegeLoss | undefined;
}

/**
 * The mode without the bits that `loss` takes; undefined takes none. POSIX write(): "if the file is a regular file, the S_ISUID
 * and S_ISGID bits of the file mode may be cleared". S_ISGID without S_IXGRP stays for a member of the group
 * (setattr_should_drop_suidgid() in Linux).
 */
export function withoutPrivileges(mode: number, loss: PrivilegeLoss | undefined): number {
  if (!loss) return mode;
  const isSetgidLost = loss === 'all' || (mode & S_IXGRP) !== 0;
  return mode & ~(S_ISUID | (isSetgidLost ? S_ISGID : 0));
}

/**
 * What an inode of this mode loses, unless a mode is given too. chown(2): "When the owner or group of an executable file is
 * changed … the S_ISUID and S_ISGID mode bits are cleared", which Linux does for root too. Truncating does it for callers
 * without CAP_FSETID; the kernel knows who has it, and the request says so.
 */
export function privilegesLost(mode: number, request: OwnerChange): PrivilegeLoss | undefined {
  if (isDirectory(mode)) return undefined;
  const isOwnerChanged = request.uid !== undefined || request.gid !== undefined;
  return request.privilegeLoss ?? (isOwnerChanged ? 'ordinary' : undefined);
}
