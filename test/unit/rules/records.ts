/** Records for the tests of rules. */
import { S_IFREG } from '../../../src/protocol/file-mode.js';
import type { Attributes, Caller } from '../../../src/protocol/types.js';

export const THEN = { sec: 100, nsec: 5 };
export const NOW = { sec: 200, nsec: 7 };

/** A regular file of user 7 and group 8, with what is given. */
export function record(given: Partial<Attributes> = {}): Attributes {
  return {
    inode: 2,
    generation: 1,
    mode: S_IFREG | 0o644,
    nlink: 1,
    uid: 7,
    gid: 8,
    rdev: 0,
    size: 0,
    allocated: 0,
    atime: THEN,
    mtime: THEN,
    ctime: THEN,
    version: 4,
    goal: 2,
    ...given,
  };
}

/** A user with one group, and further ones. */
export function caller(uid: number, gid = uid, ...groups: number[]): Caller {
  return { uid, gid, groups };
}
