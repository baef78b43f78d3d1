/** The metadata server's commands for names, attributes and extended attributes. */
import { Type } from '@sinclair/typebox';
import { command } from './command.js';
import {
  DEFAULT_REQUEST_BYTES,
  MAX_ACCESSES,
  MAX_DIRECTORY_PAGE,
  MAX_FRAME_HEADER_BYTES,
  MAX_NAMES_PAGE,
  MAX_PATH_NAMES,
  MAX_XATTR_VALUE_BYTES,
} from './limits.js';
import { CLIENTS } from './roles.js';
import {
  Nothing,
  Dentry,
  Owner,
  By,
  Umask,
  WithPrivilegeLoss,
  Numbered,
  newInode,
  Page,
  WithAttributes,
} from './request-shapes.js';
import {
  Attributes,
  FileOffset,
  Goal,
  InodeNumber,
  NameBytes,
  Once,
  SafeInteger,
  TimeOrNow,
  U32,
  WireTimespec,
} from './types.js';

/** About what an entry of a directory takes in a reply, while that is being made too. */
const ENTRY_BYTES = 400;

export const lookup = command('lookup', 20, {
  allow: CLIENTS,
  request: Type.Object({ ...Dentry, ...By }),
  reply: WithAttributes,
});

/**
 * Walks several names in one round trip. Stops early at a symbolic link that is not the last name; `walked` tells how
 * many names were taken. ENOENT and ENOTDIR as for lookup.
 */
export const resolve = command('resolve', 21, {
  allow: CLIENTS,
  request: Type.Object({
    start: InodeNumber,
    names: Type.Array(NameBytes, { maxItems: MAX_PATH_NAMES }),
    ...By,
  }),
  reply: Type.Object({ attributes: Attributes, walked: SafeInteger }),
  maxRequestBytes: 64 << 10,
});

export const getattr = command('getattr', 22, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber }),
  reply: WithAttributes,
});

export const readlink = command('readlink', 23, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber }),
  reply: Type.Object({ target: NameBytes }),
});

/** One page of a directory in name order, attributes included; `after` is the last name of the page before. */
export const readdir = command('readdir', 24, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber, after: NameBytes, limit: Page, ...By }),
  reply: Type.Object({
    entries: Type.Array(Type.Object({ name: NameBytes, attributes: Attributes })),
    /** The directory's parent, for `..`. */
    parent: InodeNumber,
    end: Type.Boolean(),
    /** Those of the entries that have extended attributes, whatever the caller may see of them. */
    withXattrs: Type.Optional(Type.Array(InodeNumber, { maxItems: MAX_DIRECTORY_PAGE })),
  }),
  replyBytes: ({ limit }) => limit * ENTRY_BYTES,
});

/**
 * The same without attributes, but for those of directories: programs that list a tree go into these. The session's lease is on the
 * names and on these directories, and on nothing else that is listed.
 */
export const readnames = command('readnames', 27, {
  allow: CLIENTS,
  request: Type.Object({
    inode: InodeNumber,
    after: NameBytes,
    limit: Type.Integer({ minimum: 1, maximum: MAX_NAMES_PAGE }),
    ...By,
  }),
  reply: Type.Object({
    /** As PackedNames has them. */
    names: Type.Uint8Array({ maxByteLength: MAX_FRAME_HEADER_BYTES }),
    count: Type.Integer({ minimum: 0, maximum: MAX_NAMES_PAGE }),
    /** Those of the entries that are directories. */
    directories: Type.Array(Attributes, { maxItems: MAX_NAMES_PAGE }),
    parent: InodeNumber,
    end: Type.Boolean(),
  }),
  replyBytes: ({ limit }) => limit * ENTRY_BYTES,
});

/** Every file below a directory, depth first in name order; `after` is the last path of the page before. */
export const list = command('list', 25, {
  allow: CLIENTS,
  request: Type.Object({
    root: InodeNumber,
    after: Type.Array(NameBytes, { maxItems: MAX_PATH_NAMES }),
    limit: Page,
    /** False: only what stands in the directory itself. */
    recursive: Type.Boolean(),
    ...By,
  }),
  reply: Type.Object({
    /** Paths as lists of names below `root`. */
    entries: Type.Array(Type.Object({ path: Type.Array(NameBytes), attributes: Attributes })),
    end: Type.Boolean(),
  }),
  // A tree may be deeper than a path of PATH_MAX bytes reaches.
  maxRequestBytes: 1 << 20,
  replyBytes: ({ limit }) => limit * ENTRY_BYTES,
});

export const statfs = command('statfs', 26, {
  allow: CLIENTS,
  request: Nothing,
  reply: Type.Object({
    totalBytes: SafeInteger,
    freeBytes: SafeInteger,
    inodes: SafeInteger,
    liveNodes: SafeInteger,
  }),
});

// ---- the namespace, changing

export const mknod = command('mknod', 40, {
  allow: CLIENTS,
  request: Type.Object({
    ...Dentry,
    ...Owner,
    /** Type and permission bits; a regular file, fifo, socket or device. */
    mode: U32,
    ...Umask,
    rdev: SafeInteger,
    /** The session has the new inode open at once. */
    open: Type.Boolean(),
    /** With false an existing regular file is returned instead of EEXIST (open with O_CREAT but not O_EXCL). */
    exclusive: Type.Boolean(),
    /** Replicas, where the directory has no goal. */
    goal: Type.Optional(Goal),
    ...Numbered,
    ...By,
    once: Once,
  }),
  reply: Type.Object({ attributes: Attributes, created: Type.Boolean() }),
  changes: ({ parent, number }, reply) =>
    reply?.created === false ? {} : { names: [parent], inodes: newInode(number, reply) },
});

export const mkdir = command('mkdir', 41, {
  allow: CLIENTS,
  request: Type.Object({ ...Dentry, ...Owner, mode: U32, ...Umask, ...Numbered, ...By, once: Once }),
  reply: WithAttributes,
  changes: ({ parent, number }, reply) => ({ names: [parent], inodes: newInode(number, reply) }),
});

export const symlink = command('symlink', 42, {
  allow: CLIENTS,
  request: Type.Object({ ...Dentry, ...Owner, target: NameBytes, ...Numbered, ...By, once: Once }),
  reply: WithAttributes,
  changes: ({ parent, number }, reply) => ({ names: [parent], inodes: newInode(number, reply) }),
});

export const link = command('link', 43, {
  allow: CLIENTS,
  request: Type.Object({
    ...Dentry,
    inode: InodeNumber,
    /** As rename(2) does it, takes the name away from what has it; a directory keeps its name (EISDIR). */
    replace: Type.Optional(Type.Boolean()),
    ...By,
    once: Once,
  }),
  reply: WithAttributes,
  changes: ({ parent, inode }) => ({ names: [parent], inodes: [inode] }),
});

export const unlink = command('unlink', 44, {
  allow: CLIENTS,
  request: Type.Object({ ...Dentry, ...By, once: Once }),
  reply: Type.Object({ inode: InodeNumber, nlink: SafeInteger }),
  changes: ({ parent }, reply) => ({ names: [parent], inodes: reply ? [reply.inode] : [] }),
});

export const rmdir = command('rmdir', 45, {
  allow: CLIENTS,
  request: Type.Object({ ...Dentry, ...By, once: Once }),
  reply: Type.Object({ inode: InodeNumber }),
  changes: ({ parent }, reply) => ({ names: [parent], inodes: reply ? [reply.inode] : [] }),
});

/** As in renameat2(2): RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2. */
export const RenameFlag = {
  noreplace: 1,
  exchange: 2,
  /** Leaves a device with number 0/0 at the old place, by which an overlay file system hides what lies below (<linux/fs.h>). */
  whiteout: 4,
} as const;

export const rename = command('rename', 46, {
  allow: CLIENTS,
  request: Type.Object({
    ...Dentry,
    newParent: InodeNumber,
    newName: NameBytes,
    /** RenameFlag bits; EINVAL for other ones. */
    flags: U32,
    /** Owner of the whiteout, with that flag. */
    whiteoutOwner: Type.Optional(Type.Object(Owner)),
    ...By,
    once: Once,
  }),
  reply: Type.Object({
    inode: InodeNumber,
    /** The inode whose name was taken over, or 0. */
    replaced: SafeInteger,
    /** The whiteout that is at the old place now. */
    whiteout: Type.Optional(InodeNumber),
  }),
  changes: ({ parent, newParent }, reply) => ({
    names: parent === newParent ? [parent] : [parent, newParent],
    inodes: reply ? [reply.inode, ...(reply.replaced === 0 ? [] : [reply.replaced])] : [],
  }),
});

/** Only the fields given are changed. */
export const setattr = command('setattr', 47, {
  allow: CLIENTS,
  request: Type.Object({
    inode: InodeNumber,
    mode: Type.Optional(U32),
    uid: Type.Optional(U32),
    gid: Type.Optional(U32),
    size: Type.Optional(FileOffset),
    atime: Type.Optional(TimeOrNow),
    mtime: Type.Optional(TimeOrNow),
    ...WithPrivilegeLoss,
    ...By,
    once: Once,
  }),
  reply: WithAttributes,
  changes: ({ inode, size }) => (size === undefined ? { inodes: [inode] } : { content: [inode] }),
});

/** These inodes were read at these times. Moves those that relatime has moved (mount(8)); returns all that are there. */
export const accessed = command('accessed', 49, {
  allow: CLIENTS,
  request: Type.Object({
    accesses: Type.Array(Type.Object({ inode: InodeNumber, atime: WireTimespec }), {
      maxItems: MAX_ACCESSES,
    }),
  }),
  reply: Type.Object({ attributes: Type.Array(Attributes, { maxItems: MAX_ACCESSES }) }),
});

/** A regular file without a name, open in this session (O_TMPFILE of open(2)); `link` may give it one. */
export const tmpfile = command('tmpfile', 48, {
  allow: CLIENTS,
  request: Type.Object({
    parent: InodeNumber,
    ...Owner,
    ...Umask,
    mode: U32,
    goal: Goal,
    ...By,
    once: Once,
  }),
  reply: WithAttributes,
  changes: (_request, reply) => ({ inodes: newInode(undefined, reply) }),
});

// ---- extended attributes

export const getxattr = command('getxattr', 60, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber, name: NameBytes, ...By }),
  reply: Type.Object({ value: Type.Uint8Array({ maxByteLength: MAX_XATTR_VALUE_BYTES }) }),
});

export const listxattr = command('listxattr', 61, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber, ...By }),
  reply: Type.Object({ names: Type.Array(NameBytes) }),
});

/** As in setxattr(2): XATTR_CREATE = 1, XATTR_REPLACE = 2. */
export const XattrFlag = { create: 1, replace: 2 } as const;

export const setxattr = command('setxattr', 62, {
  allow: CLIENTS,
  request: Type.Object({
    inode: InodeNumber,
    name: NameBytes,
    value: Type.Uint8Array(),
    /** XattrFlag bits; EINVAL for other ones. */
    flags: U32,
    /** The user who sets the access ACL is not in the file's group: setgid goes (chmod(2)). */
    stripSetgid: Type.Optional(Type.Boolean()),
    ...By,
    once: Once,
  }),
  reply: Nothing,
  maxRequestBytes: MAX_XATTR_VALUE_BYTES + DEFAULT_REQUEST_BYTES,
  changes: ({ inode }) => ({ inodes: [inode] }),
});

export const removexattr = command('removexattr', 63, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber, name: NameBytes, ...By, once: Once }),
  reply: Nothing,
  changes: ({ inode }) => ({ inodes: [inode] }),
});
