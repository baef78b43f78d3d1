/** chmod(2), chown(2), utimensat(2) and truncate(2): what `setattr` makes of an inode, and who may ask for it. */
import type { Timespec } from '../platform/clock.js';
import type { RequestOf } from '../protocol/command.js';
import { DfsError } from '../protocol/errors.js';
import { isDirectory, isRegularFile, isSymlink, PERMISSION_BITS, S_ISGID } from '../protocol/file-mode.js';
import type { setattr } from '../protocol/namespace-commands.js';
import type { Attributes, TimeOrNow } from '../protocol/types.js';
import { clampTime } from './file-time.js';
import { Access, accessRefusal, isInGroup, isPrivileged, ownerRefusal } from './permissions.js';
import type { Acl } from './posix-acl.js';
import { privilegesLost, withoutPrivileges } from './privileges.js';
import type { Refusal } from './refusal.js';

export type SetattrRequest = Omit<RequestOf<typeof setattr>, 'once'>;

/**
 * What no caller may do. chmod(2): EOPNOTSUPP for a symbolic link, whose permissions mean nothing (symlink(7)). truncate(2):
 * EISDIR for a directory, EINVAL for what is not a regular file.
 */
export function setattrRefusal({ mode, inode }: Attributes, request: SetattrRequest): Refusal {
  if (request.mode !== undefined && isSymlink(mode)) {
    return new DfsError('EOPNOTSUPP', 'the mode of a symbolic link cannot be changed');
  }
  if (request.size === undefined || isRegularFile(mode)) return undefined;
  if (isDirectory(mode)) return new DfsError('EISDIR', `inode ${inode} is a directory`);
  return new DfsError('EINVAL', `inode ${inode} is not a regular file`);
}

/**
 * chmod(2), chown(2), utimensat(2) and truncate(2): the mode and given times are for the owner; the owner may be changed
 * by root alone, the group by the owner to one of its own; the time of now and the size are for writers, too. EPERM, EACCES.
 * @param acl the inode's access ACL, if isAclConsulted()
 */
export function setattrPermissionRefusal(
  inode: Attributes,
  { caller, mode, uid, gid, size, atime, mtime }: SetattrRequest,
  acl: Acl | undefined,
): Refusal {
  if (isPrivileged(caller)) return undefined;
  const notOwner = ownerRefusal(inode, caller);
  if (mode !== undefined && notOwner) return notOwner;
  if (uid !== undefined && (uid !== inode.uid || notOwner)) {
    return new DfsError('EPERM', 'only root may give a file to another user');
  }
  if (gid !== undefined) {
    if (notOwner) return notOwner;
    if (gid !== inode.gid && !isInGroup(caller, gid)) {
      return new DfsError('EPERM', `user ${caller.uid} is not in group ${gid}`);
    }
  }
  const needsWriting = size !== undefined || notOwner !== undefined;
  const notWriter = needsWriting ? accessRefusal(inode, caller, Access.write, acl) : undefined;
  if (size !== undefined && notWriter) return notWriter;
  if (atime === 'now' && mtime === 'now') return notOwner && notWriter;
  const isTimeGiven = atime !== undefined || (mtime !== undefined && size === undefined);
  return isTimeGiven ? notOwner : undefined;
}

/**
 * The inode with what the request sets, except its size. POSIX truncate() marks the mtime; every change marks the ctime.
 */
export function withAttributes<Inode extends Attributes>(
  inode: Inode,
  request: SetattrRequest,
  now: Timespec,
): Inode {
  const mtime = request.mtime ?? (request.size === undefined ? undefined : 'now');
  return {
    ...inode,
    mode: modeAfter(inode, request),
    uid: request.uid ?? inode.uid,
    gid: request.gid ?? inode.gid,
    atime: timeAfter(request.atime, inode.atime, now),
    mtime: timeAfter(mtime, inode.mtime, now),
    ctime: now,
  };
}

/**
 * A mode that is given holds, whatever else is changed. POSIX chmod(): S_ISGID is cleared when the caller is not in the
 * file's group. Without one, the inode loses the privileges of privilegesLost().
 */
function modeAfter(inode: Attributes, request: SetattrRequest): number {
  const { mode, caller } = request;
  if (mode === undefined) return withoutPrivileges(inode.mode, privilegesLost(inode.mode, request));
  const isMember = isPrivileged(caller) || isInGroup(caller, request.gid ?? inode.gid);
  return (inode.mode & ~PERMISSION_BITS) | (mode & PERMISSION_BITS & (isMember ? ~0 : ~S_ISGID));
}

function timeAfter(wanted: TimeOrNow | undefined, old: Timespec, now: Timespec): Timespec {
  if (wanted === undefined) return old;
  return wanted === 'now' ? now : clampTime(wanted);
}
