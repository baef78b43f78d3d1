/** On whose behalf a namespace operation is done, and what a new inode gets from its creator. */
import type { Caller } from '../../protocol/types.js';

/** Left out for root, who is refused nothing, and for what the client does of itself. */
export interface By {
  readonly caller?: Caller;
}

/** An extended attribute that is to be set, as in setxattr(2). */
export interface XattrValue {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  /** XattrFlag bits. */
  readonly flags: number;
  /** The user who sets the access ACL is not in the file's group: setgid goes (chmod(2)). */
  readonly stripSetgid: boolean;
}

/** Owner of a new inode. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Owner and permission bits of a new inode; for `mknod` with the file type. */
export interface Creation extends Owner {
  readonly mode: number;
  /** Permissions that are not given unless the directory has a default ACL (acl(5)); none when left out. */
  readonly umask?: number;
}
