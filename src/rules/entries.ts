/** What a name that comes, goes or moves does to its directory and to the inode it leads to. */
import type { Timespec } from '../platform/clock.js';
import { DfsError } from '../protocol/errors.js';
import { isDirectory } from '../protocol/file-mode.js';
import { MAX_LINKS } from '../protocol/limits.js';
import type { Attributes } from '../protocol/types.js';
import { quoted } from './names.js';
import type { Refusal } from './refusal.js';

/**
 * A directory in which a name came, went or changed: POSIX mkdir(), unlink(), rename() and others "mark for update the last
 * data modification and last file status change timestamps of the parent directory".
 * @param subdirectories how many came; each one's `..` is a link to the directory
 */
export function touched<Directory extends Attributes>(
  directory: Directory,
  subdirectories: number,
  now: Timespec,
): Directory {
  return {
    ...directory,
    nlink: directory.nlink + subdirectories,
    mtime: now,
    ctime: now,
    version: directory.version + 1,
  };
}

/** One name more. POSIX link(): "the link count of the file shall be incremented by one", and its ctime is marked. */
export function linked<Inode extends Attributes>(inode: Inode, now: Timespec): Inode {
  return { ...inode, nlink: inode.nlink + 1, ctime: now };
}

/**
 * One name fewer. POSIX unlink(): "shall decrement the link count of the file", and marks its ctime. A directory has one name, and
 * without it no links are left (rmdir()).
 */
export function unlinked<Inode extends Attributes>(inode: Inode, now: Timespec): Inode {
  return { ...inode, nlink: isDirectory(inode.mode) ? 0 : inode.nlink - 1, ctime: now };
}

/** The links of a directory that one more inode of this mode in it, or one fewer, makes. */
export function subdirectoriesIn(inode: Pick<Attributes, 'mode'> | undefined): number {
  return inode && isDirectory(inode.mode) ? 1 : 0;
}

/** Each subdirectory's `..` is a link to its parent: EMLINK when there cannot be one more (POSIX mkdir()). */
export function subdirectoryRefusal(directory: Pick<Attributes, 'inode' | 'nlink'>): Refusal {
  if (directory.nlink < MAX_LINKS) return undefined;
  return new DfsError('EMLINK', `directory ${directory.inode} cannot have more subdirectories`);
}

/**
 * POSIX link(): EPERM for a directory; EMLINK when there are LINK_MAX links. link(2): ENOENT for a file whose last name is
 * gone, unless it was opened with O_TMPFILE.
 * @param isUnnamed it never had a name
 */
export function linkRefusal(inode: Attributes, isUnnamed: boolean): Refusal {
  if (isDirectory(inode.mode)) return new DfsError('EPERM', 'a directory cannot have a second name');
  if (inode.nlink === 0 && !isUnnamed) {
    return new DfsError('ENOENT', `inode ${inode.inode} has been deleted`);
  }
  if (inode.nlink < MAX_LINKS) return undefined;
  return new DfsError('EMLINK', `inode ${inode.inode} has ${MAX_LINKS} names already`);
}

/** unlink(2): EISDIR, "pathname refers to a directory" (what Linux returns where POSIX says EPERM). */
export function unlinkRefusal(inode: Pick<Attributes, 'mode'>, name: Uint8Array): Refusal {
  if (!isDirectory(inode.mode)) return undefined;
  return new DfsError('EISDIR', `${quoted(name)} is a directory; use rmdir`);
}

/** POSIX rmdir(): ENOTDIR, "a component of path is not a directory". */
export function rmdirRefusal(inode: Pick<Attributes, 'mode'>, name: Uint8Array): Refusal {
  return isDirectory(inode.mode) ? undefined : new DfsError('ENOTDIR', `${quoted(name)} is not a directory`);
}

/** POSIX rmdir() and rename(): ENOTEMPTY, "not an empty directory". */
export function notEmpty(name: Uint8Array): DfsError {
  return new DfsError('ENOTEMPTY', `directory ${quoted(name)} is not empty`);
}
