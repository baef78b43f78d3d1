/** Attributes of an inode, of which a test names what matters to it. */
import type { Attributes } from '../../src/protocol/types.js';

const TIME = { sec: 0, nsec: 0 };

/** An empty regular file unless told otherwise. */
export function attributesOf(given: Partial<Attributes> = {}): Attributes {
  return {
    inode: 7,
    generation: 1,
    mode: 0o100644,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    allocated: 0,
    atime: TIME,
    mtime: TIME,
    ctime: TIME,
    version: 1,
    goal: 1,
    ...given,
  };
}
