/** What a change of its content does to a file's record: size, allocated bytes, times, version and privileges. */
import type { Timespec } from '../platform/clock.js';
import type { RequestOf } from '../protocol/command.js';
import type { blocks } from '../protocol/content-commands.js';
import type { Attributes, Extent, PrivilegeLoss } from '../protocol/types.js';
import { clampTime, ctimeAfter } from './file-time.js';
import { withoutPrivileges } from './privileges.js';

type Commit = Pick<
  RequestOf<typeof blocks>,
  'append' | 'size' | 'mtime' | 'ctime' | 'privilegeLoss' | 'replaces'
>;

/** What a commit, or a copy, changes in the extents. */
export interface ExtentChange {
  /** Bytes that extents cover more than before; fewer when it is negative. */
  readonly allocated: number;
  /** Where the last changed byte is followed by others, or nothing. */
  readonly end: number;
}

/**
 * A file after a commit of what was written before. It has the times of the writes, as `stat` has shown them meanwhile. An
 * appending commit is as long as its bytes, wherever they came to lie; others say which size the file had for the writer.
 * A commit that only moves bytes to other chunks (`replaces`) changes nothing that stat(2) shows.
 */
export function committed<Inode extends Attributes>(
  inode: Inode,
  commit: Commit,
  { allocated, end }: ExtentChange,
  now: Timespec,
): Inode {
  const isMove = commit.replaces !== undefined;
  return {
    ...inode,
    mode: withoutPrivileges(inode.mode, commit.privilegeLoss),
    size: Math.max(inode.size, commit.append === true ? 0 : commit.size, end),
    allocated: inode.allocated + allocated,
    mtime: isMove ? inode.mtime : clampTime(commit.mtime),
    ctime: isMove ? inode.ctime : ctimeAfter(inode.ctime, commit.ctime ?? now, now),
    version: inode.version + 1,
  };
}

/** The bytes of extents, and where the last one ends, in a list sorted by offset. */
export function extentChange(extents: readonly Extent[]): ExtentChange {
  const last = extents.at(-1);
  return {
    allocated: extents.reduce((sum, { length }) => sum + length, 0),
    end: last ? last.offset + last.length : 0,
  };
}

/**
 * How far an appending commit moves its bytes. POSIX write() with O_APPEND: "the file offset shall be set to the end of the
 * file prior to each write", the end being the one at the moment of the commit, also where another client moved it.
 */
export function appendShift({ size }: Pick<Attributes, 'size'>, extents: readonly Extent[]): number {
  return size - (extents[0]?.offset ?? size);
}

/** The target of copy_file_range(2), which writes to it. */
export function copiedInto<Inode extends Attributes>(
  target: Inode,
  { allocated, end }: ExtentChange,
  loss: PrivilegeLoss | undefined,
  now: Timespec,
): Inode {
  return {
    ...target,
    mode: withoutPrivileges(target.mode, loss),
    size: Math.max(target.size, end),
    allocated: target.allocated + allocated,
    mtime: now,
    ctime: now,
    version: target.version + 1,
  };
}

/**
 * A file after fallocate(2): holes, zeros and another size are a change of its data. Every call marks the ctime
 * (file_modified() in Linux, which local file systems call first).
 */
export function preallocated<Inode extends Attributes>(
  inode: Inode,
  change: { readonly size: number; readonly freed: number; readonly isZeroed: boolean },
  loss: PrivilegeLoss | undefined,
  now: Timespec,
): Inode {
  const isChanged = change.isZeroed || change.size !== inode.size;
  return {
    ...inode,
    mode: withoutPrivileges(inode.mode, loss),
    size: change.size,
    allocated: inode.allocated - change.freed,
    mtime: isChanged ? now : inode.mtime,
    ctime: now,
    version: inode.version + (isChanged ? 1 : 0),
  };
}

/**
 * The bytes of extents beyond `size`, where the record alone tells: nothing reaches beyond a file's size. Undefined where
 * its extents must be looked at.
 */
export function freedByResize(
  inode: Pick<Attributes, 'size' | 'allocated'>,
  size: number,
): number | undefined {
  if (size >= inode.size || inode.allocated === 0) return 0;
  return size === 0 ? inode.allocated : undefined;
}

/**
 * A file of another size. POSIX truncate(): marks the mtime and ctime. The rest of a request with other attributes is
 * withAttributes()'s.
 * @param freed bytes of extents beyond the new size
 */
export function resized<Inode extends Attributes>(
  inode: Inode,
  size: number,
  freed: number,
  now: Timespec,
): Inode {
  return {
    ...inode,
    size,
    allocated: inode.allocated - freed,
    version: inode.version + 1,
    mtime: now,
    ctime: now,
  };
}
