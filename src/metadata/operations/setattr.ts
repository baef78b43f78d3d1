/** chmod(2), chown(2), truncate(2) and utimensat(2). */
import { ACCESS_ACL } from '../../protocol/attribute-names.js';
import { DfsError } from '../../protocol/errors.js';
import {
  isDirectory,
  isRegularFile,
  isSymlink,
  PERMISSION_BITS,
  S_ISGID,
  withoutPrivileges,
} from '../../protocol/file-mode.js';
import type { RequestOf } from '../../protocol/command.js';
import { setattr as command } from '../../protocol/namespace-commands.js';
import { newTime, privilegesLost } from '../../protocol/setattr-rules.js';
import type { Timespec } from '../../platform/clock.js';
import { ChunkReferences } from '../content/chunk-references.js';
import { cutTail } from '../content/extent-map.js';
import { attributesOf, requireInode } from '../namespace/inodes.js';
import { Access, checkAccess, checkOwner, isInGroup, isPrivileged } from '../namespace/permissions.js';
import { aclWithMode, decodeAcl, encodeAcl } from '../namespace/posix-acl.js';
import { dropCapability } from '../namespace/capabilities.js';
import { operation, type OperationContext } from '../operation.js';
import type { InodeRecord, StoreTransaction } from '../store/store.js';

/** Extents cut off in one transaction. A file of a million is truncated in a few hundred, with others in between. */
const CUT_EXTENTS = 2048;

export const setattr = operation(command, async (begun, request, context) => {
  let tx = begun;
  let inode = await requireInode(tx, request.inode);
  check(inode, request);
  await checkPermission(tx, inode, request);
  if (request.size !== undefined) {
    for (;;) {
      inode = await resize(tx, inode, request.size, context);
      if (inode.size === request.size) break;
      // As a local file system does it: a crash in between leaves the file with a size between the two.
      await tx.inodes.update(inode);
      tx = await context.control.pause();
      inode = await requireInode(tx, request.inode);
    }
  }
  const changed = change(inode, request, context.now);
  await tx.inodes.update(changed);
  if (request.mode !== undefined) await changeAcl(tx, changed);
  if (privilegesLost(inode.mode, request)) await dropCapability(tx, inode.inode);
  return { attributes: attributesOf(changed) };
});

function check({ mode, inode }: InodeRecord, request: RequestOf<typeof command>): void {
  // chmod(2): EOPNOTSUPP for a symbolic link, whose permissions mean nothing (symlink(7)).
  if (request.mode !== undefined && isSymlink(mode)) {
    throw new DfsError('EOPNOTSUPP', 'the mode of a symbolic link cannot be changed');
  }
  if (request.size === undefined || isRegularFile(mode)) return;
  // truncate(2): EISDIR for a directory, EINVAL for what is not a regular file.
  if (isDirectory(mode)) throw new DfsError('EISDIR', `inode ${inode} is a directory`);
  throw new DfsError('EINVAL', `inode ${inode} is not a regular file`);
}

/**
 * chmod(2), chown(2), utimensat(2) and truncate(2): the mode and given times are for the owner; the owner may be changed
 * by root alone, the group by the owner to one of his own; the time of now and the size are for who may write, too.
 */
async function checkPermission(
  tx: StoreTransaction,
  inode: InodeRecord,
  { caller, mode, uid, gid, size, atime, mtime }: RequestOf<typeof command>,
): Promise<void> {
  if (isPrivileged(caller)) return;
  if (mode !== undefined) checkOwner(inode, caller);
  if (uid !== undefined && (uid !== inode.uid || caller.uid !== inode.uid)) {
    throw new DfsError('EPERM', 'only root may give a file to another user');
  }
  if (gid !== undefined) {
    checkOwner(inode, caller);
    if (gid !== inode.gid && !isInGroup(caller, gid)) {
      throw new DfsError('EPERM', `user ${caller.uid} is not in group ${gid}`);
    }
  }
  if (size !== undefined) await checkAccess(tx, inode, caller, Access.write);
  if (atime === 'now' && mtime === 'now') {
    if (caller.uid !== inode.uid) await checkAccess(tx, inode, caller, Access.write);
  } else if (atime !== undefined || (mtime !== undefined && size === undefined)) checkOwner(inode, caller);
}

/** Towards the new size; a file with many extents beyond it gets there in several calls. */
async function resize(
  tx: StoreTransaction,
  inode: InodeRecord,
  size: number,
  context: OperationContext,
): Promise<InodeRecord> {
  // POSIX truncate(): the bytes between the old end and a new one read as zeros, which is what a hole does.
  if (size >= inode.size || inode.allocated === 0) return { ...inode, size, version: inode.version + 1 };
  const references = new ChunkReferences();
  const { freed, end } = await cutTail(tx, inode.inode, size, CUT_EXTENTS, references);
  await references.apply(tx, context.nowMs + context.state.graceMs);
  return {
    ...inode,
    size: end,
    allocated: inode.allocated - freed,
    version: inode.version + 1,
    mtime: context.now,
    ctime: context.now,
  };
}

function change(inode: InodeRecord, request: RequestOf<typeof command>, now: Timespec): InodeRecord {
  const mtime = request.mtime ?? (request.size === undefined ? undefined : 'now');
  return {
    ...inode,
    mode: newMode(inode, request),
    uid: request.uid ?? inode.uid,
    gid: request.gid ?? inode.gid,
    atime: newTime(request.atime, inode.atime, now),
    mtime: newTime(mtime, inode.mtime, now),
    ctime: now,
  };
}

/** A mode that is given holds, whatever else is changed. */
function newMode(inode: InodeRecord, request: RequestOf<typeof command>): number {
  const { mode, caller } = request;
  if (mode !== undefined) {
    // POSIX chmod(): S_ISGID is cleared when the caller is not in the file's group.
    const isMember = isPrivileged(caller) || isInGroup(caller, request.gid ?? inode.gid);
    return (inode.mode & ~PERMISSION_BITS) | (mode & PERMISSION_BITS & (isMember ? ~0 : ~S_ISGID));
  }
  const loss = privilegesLost(inode.mode, request);
  return loss ? withoutPrivileges(inode.mode, loss) : inode.mode;
}

/** acl(5): chmod(2) changes the ACL entries that the permission bits stand for. */
async function changeAcl(tx: StoreTransaction, { inode, mode }: InodeRecord): Promise<void> {
  const value = await tx.xattrs.get(inode, ACCESS_ACL);
  const acl = value && decodeAcl(value);
  if (acl) await tx.xattrs.put(inode, ACCESS_ACL, encodeAcl(aclWithMode(acl, mode)));
}
