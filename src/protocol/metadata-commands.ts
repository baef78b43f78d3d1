/** The metadata server's commands. The classic ones (`reg`, `list`, `put`, `get`, `blocks`) keep their words. */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import {
  MAX_BATCH,
  MAX_DECLARED_LOCKS,
  MAX_DIRECTORY_PAGE,
  MAX_DROPS,
  MAX_EXTENTS,
  MAX_SMALL_FILE_EXTENTS,
  MAX_SMALL_FILES,
  MAX_FILE_BYTES,
  MAX_FINDINGS_PAGE,
  MAX_GRANTS,
  MAX_INVENTORY,
  MAX_OPEN_INODES,
  MAX_PATH_NAMES,
  MAX_RELEASED,
  MAX_RESERVED_INODES,
  MAX_REVOKED,
  MAX_TROUBLES,
  MAX_UNSYNCED_CHANGES,
  MAX_XATTR_VALUE_BYTES,
} from './limits.js';
import {
  Attributes,
  Caller,
  ChunkId,
  ChunkLength,
  ChunkLocation,
  Extent,
  FileOffset,
  Goal,
  Grant,
  HostName,
  InodeNumber,
  Lock,
  LockKind,
  LockOwner,
  NameBytes,
  NodeAddress,
  NodeNumber,
  Once,
  Port,
  PrivilegeLoss,
  SafeInteger,
  TimeOrNow,
  U32,
  WireTimespec,
} from './types.js';

const Nothing = Type.Object({});
const Dentry = { parent: InodeNumber, name: NameBytes };
const Owner = { uid: U32, gid: U32 };
/** Who may be refused; left out for root, and for what the client does of itself. */
const By = { caller: Type.Optional(Caller) };
/** Permissions that `mode` does not give, unless the directory has a default ACL (umask(2), acl(5)); none left out. */
const Umask = { umask: Type.Optional(U32) };
/** Whoever changes the file lacks CAP_FSETID: setuid, setgid and capabilities go (write(2), truncate(2)). */
const WithPrivilegeLoss = { privilegeLoss: Type.Optional(PrivilegeLoss) };
/** The new inode's number, from those that the session was given (`delegate`, `batch`). */
const Numbered = { number: Type.Optional(InodeNumber) };
const Page = Type.Integer({ minimum: 1, maximum: MAX_DIRECTORY_PAGE });
const WithAttributes = Type.Object({ attributes: Attributes });

// ---- data nodes

/** What fails together with the node: a rack, a machine; empty for its host. */
const Domain = Type.String({ maxLength: 64 });

const NodeSpace = {
  totalBytes: SafeInteger,
  freeBytes: SafeInteger,
  chunks: SafeInteger,
};

/** A data node registers. ACK: new here; DUP: known, welcome back; NAK: refused, with the reason. */
export const reg = command('reg', 1, {
  request: Type.Object({
    /** The identity that the node keeps in its data directory. */
    id: Type.String({ minLength: 8, maxLength: 64 }),
    /** The cluster the directory belongs to; empty for a new directory. */
    cluster: Type.String({ maxLength: 64 }),
    host: HostName,
    port: Port,
    domain: Type.Optional(Domain),
    ...NodeSpace,
  }),
  reply: Type.Object({
    result: Type.Union([Type.Literal('ACK'), Type.Literal('DUP'), Type.Literal('NAK')]),
    reason: Type.String(),
    node: SafeInteger,
    cluster: Type.String({ maxLength: 64 }),
    /** The key that signs grants. */
    grantKey: Type.Uint8Array({ maxByteLength: 64 }),
  }),
});

/** A data node lives; the reply names chunks that nobody refers to any more. */
export const heartbeat = command('heartbeat', 2, {
  request: Type.Object({
    node: NodeNumber,
    id: Type.String({ minLength: 8, maxLength: 64 }),
    ...NodeSpace,
    /** Chunks named by an earlier reply that are now gone from this node. */
    dropped: Type.Array(ChunkId, { maxItems: MAX_DROPS }),
    /** Chunks on this node that do not match their checksums. */
    damaged: Type.Optional(Type.Array(ChunkId, { maxItems: MAX_TROUBLES })),
    /** Chunks that readers expected on this node, and that are not there. */
    absent: Type.Optional(Type.Array(ChunkId, { maxItems: MAX_TROUBLES })),
  }),
  reply: Type.Object({
    /** False: the metadata server does not know this node (it restarted, or its database is new); `reg` again. */
    known: Type.Boolean(),
    drop: Type.Array(ChunkId, { maxItems: MAX_DROPS }),
    /** Damaged chunks of which there are other replicas: the node puts them aside. */
    quarantine: Type.Optional(Type.Array(ChunkId, { maxItems: MAX_TROUBLES })),
  }),
});

/** live: gets chunks; suspect: silent for a while; lost: silent for so long that its replicas are made again elsewhere. */
export const NodeState = Type.Union([Type.Literal('live'), Type.Literal('suspect'), Type.Literal('lost')]);
export type NodeState = Static<typeof NodeState>;

export const NodeStatus = Type.Object({
  node: NodeNumber,
  id: Type.String(),
  host: HostName,
  port: Port,
  state: NodeState,
  domain: Domain,
  /** Its chunks are being moved to other nodes. */
  isDraining: Type.Boolean(),
  ...NodeSpace,
});
export type NodeStatus = Static<typeof NodeStatus>;

/** Every data node ever registered, and how it is. */
export const nodes = command('nodes', 3, {
  request: Nothing,
  reply: Type.Object({ nodes: Type.Array(NodeStatus) }),
});

/**
 * Which chunks a data node holds: one page, in the order of their ids. The server compares it with its records from
 * `after` up to `until`; `through` says how far it came, and the node goes on from there.
 */
export const inventory = command('inventory', 4, {
  request: Type.Object({
    node: NodeNumber,
    id: Type.String({ minLength: 8, maxLength: 64 }),
    after: SafeInteger,
    /** Ids above `after`, ascending, 64-bit little-endian each. */
    chunks: Type.Uint8Array({ maxByteLength: 8 * MAX_INVENTORY }),
    /** The page says everything up to this id; MAX_SAFE_INTEGER on the last page. */
    until: SafeInteger,
    /** Chunks named as `missing` by an earlier reply that are not on this node: it looked again. */
    absent: Type.Array(ChunkId, { maxItems: MAX_INVENTORY }),
  }),
  reply: Type.Object({
    /** False: the server does not know the node; it is to register, and to begin anew. */
    known: Type.Boolean(),
    through: SafeInteger,
    /** Chunks that the server has on record for this node, and that were not in the page. */
    missing: Type.Array(ChunkId, { maxItems: MAX_INVENTORY }),
  }),
});

/** Chunks, and the bytes of their content (counted once, however many replicas). */
const ChunkTotals = Type.Object({ chunks: SafeInteger, bytes: SafeInteger });
export type ChunkTotals = Static<typeof ChunkTotals>;

export const RepairStatus = Type.Object({
  /** False until every chunk was looked at since the last change of the nodes, and since somebody asked. */
  isComplete: Type.Boolean(),
  total: ChunkTotals,
  /** No node that is not lost has them. */
  lost: ChunkTotals,
  /** Fewer replicas than wanted; the first element has one replica left, and so on. */
  endangered: Type.Array(ChunkTotals),
  /** Fewer replicas than their goal, for there are not enough nodes that live and are not drained. */
  short: ChunkTotals,
  /** More replicas than wanted. */
  surplus: ChunkTotals,
  /** Bytes that wait to be copied, those that are to move to emptier nodes, and those copied each second at the moment. */
  waitingBytes: SafeInteger,
  movingBytes: SafeInteger,
  bytesPerSecond: SafeInteger,
  /** -1: not known. */
  secondsLeft: Type.Integer({ minimum: -1 }),
  isRebalancing: Type.Boolean(),
  /** Chunks that a node which is being drained still has. */
  draining: Type.Array(Type.Object({ node: NodeNumber, chunks: SafeInteger })),
});
export type RepairStatus = Static<typeof RepairStatus>;

/** How the replicas are. */
export const repairStatus = command('repairstatus', 5, { request: Nothing, reply: RepairStatus });

/** Moves a node's chunks elsewhere, or no more. ENOENT when there is no such node. */
export const drain = command('drain', 6, {
  request: Type.Object({ node: NodeNumber, isDraining: Type.Boolean() }),
  reply: Nothing,
});

/**
 * Forgets a node that is lost or drained. ENOENT; EBUSY while it lives and has chunks, or while chunks have their last
 * replica there, unless `force`: then those chunks are lost.
 */
export const removenode = command('removenode', 7, {
  request: Type.Object({ node: NodeNumber, force: Type.Boolean() }),
  reply: Type.Object({ chunks: SafeInteger }),
});

/** Moves chunks from full nodes to empty ones until they are about equally full. */
export const rebalance = command('rebalance', 8, {
  request: Type.Object({ isWanted: Type.Boolean() }),
  reply: Nothing,
});

export const FsckStatus = Type.Object({
  isRunning: Type.Boolean(),
  /** What it does at the moment, for people. */
  stage: Type.String(),
  doneBytes: SafeInteger,
  totalBytes: SafeInteger,
  /** How many problems were found, and how many of them are named. */
  count: SafeInteger,
  named: SafeInteger,
  /** One page of them. */
  findings: Type.Array(
    Type.Object({
      kind: Type.String(),
      path: Type.Uint8Array(),
      what: Type.String(),
      isRepaired: Type.Boolean(),
    }),
    { maxItems: MAX_FINDINGS_PAGE },
  ),
});
export type FsckStatus = Static<typeof FsckStatus>;

/** Begins a check of everything. EBUSY while one is under way. */
export const fsck = command('fsck', 9, {
  request: Type.Object({ deep: Type.Boolean(), repair: Type.Boolean() }),
  reply: Nothing,
});

/** How far the last check is, and its findings from number `from` on. ENOENT when there was none; what it failed of. */
export const fsckStatus = command('fsckstatus', 16, {
  request: Type.Object({ from: SafeInteger }),
  reply: FsckStatus,
});

// ---- sessions

/**
 * How long the client may answer from what it caches, counted from when it sent the request; 0: it may not. (DESIGN
 * decision 5.)
 */
const LeaseMs = SafeInteger;

/** Begins a session, or takes up one after the connection broke. */
export const session = command('session', 10, {
  request: Type.Object({
    /** Zero for a new session. */
    session: SafeInteger,
    secret: Type.Uint8Array({ maxByteLength: 32 }),
    /** Who this is, for people: host and process. */
    client: Type.String({ maxLength: 255 }),
    /** Inodes that this client has open. */
    opens: Type.Array(InodeNumber, { maxItems: MAX_OPEN_INODES }),
    /** The locks that this client holds, all of them; none when left out. */
    locks: Type.Optional(Type.Array(Lock, { maxItems: MAX_DECLARED_LOCKS })),
    /** It keeps what it is told, drops it at `revoke`, and wants a lease. */
    caches: Type.Optional(Type.Boolean()),
    /** Sequences that were answered a short while ago, and that no `sync` has covered since. */
    unsynced: Type.Optional(Type.Array(SafeInteger, { maxItems: MAX_UNSYNCED_CHANGES })),
  }),
  reply: Type.Object({
    session: SafeInteger,
    secret: Type.Uint8Array({ maxByteLength: 32 }),
    /** False: the old session had ended, this is a new one; of what the old one had in flight nothing is known. */
    resumed: Type.Boolean(),
    /**
     * False: the session's locks were let go meanwhile, and others may have had them. Said again until the client
     * resumes without any.
     */
    locksKept: Type.Boolean(),
    cluster: Type.String(),
    leaseMs: LeaseMs,
    /** Another one after each start of the server: versions that were told before may be given again to other content. */
    run: Type.String({ maxLength: 64 }),
    /** Those of `unsynced` that a power loss took: they were done, and are undone. */
    lost: Type.Array(SafeInteger, { maxItems: MAX_UNSYNCED_CHANGES }),
  }),
});

/** Says that the session's client lives, and whether it keeps what it is told (as for `session`). */
export const renew = command('renew', 11, {
  request: Type.Object({ session: SafeInteger, caches: Type.Optional(Type.Boolean()) }),
  reply: Type.Object({ leaseMs: LeaseMs }),
});

/**
 * Goes with the reply to every request that is numbered (`once`), to a session that caches: what else the request
 * changed. Left out when the reply is told again from memory.
 */
export const Changed = Type.Object({
  changed: Type.Array(Attributes),
  /** Inodes that are no more. */
  gone: Type.Array(InodeNumber),
});
export type Changed = Static<typeof Changed>;

/** Ends a session: what it had open is closed. */
export const end = command('end', 12, {
  request: Type.Object({ session: SafeInteger }),
  reply: Nothing,
});

/**
 * Sent by the metadata server to a session that caches: what is named here has changed, or is about to be acknowledged
 * as changed. The reply says that nothing of it will be answered from a cache any more.
 */
export const revoke = command('revoke', 14, {
  request: Type.Object({
    /** Inodes whose attributes changed, and their content unless `version` is the one that is cached. */
    inodes: Type.Array(Type.Object({ inode: InodeNumber, version: SafeInteger }), { maxItems: MAX_REVOKED }),
    /** Names that came, went, or lead to another inode. */
    names: Type.Array(Type.Object(Dentry), { maxItems: MAX_REVOKED }),
    /** Directories of which every name is to be dropped. */
    directories: Type.Array(InodeNumber, { maxItems: MAX_REVOKED }),
    /** All that the session caches. */
    everything: Type.Boolean(),
    /** Its delegation, if it has one (`delegate`), as with `everything`: the reply comes when its changes are committed. */
    recall: Type.Optional(Type.Boolean()),
  }),
  reply: Nothing,
});

/** Inode numbers for what a session creates ahead of the server: `first`, and those that follow it. */
const ReservedInodes = Type.Object({ first: InodeNumber, count: SafeInteger });

/**
 * The session asks to be the only one: everybody else has dropped what he cached, and waits with his next request until
 * the session has given the delegation back (`revoke`) or has lost its lease. Until then it may answer its programs
 * before it has told the server, which it does with `batch`.
 */
export const delegate = command('delegate', 15, {
  request: Type.Object({
    session: SafeInteger,
    reserve: Type.Integer({ minimum: 0, maximum: MAX_RESERVED_INODES }),
  }),
  reply: Type.Object({
    /** False: somebody else is active, or was just now; ask again later. */
    isGranted: Type.Boolean(),
    inodes: Type.Optional(ReservedInodes),
    freeBytes: SafeInteger,
  }),
});

/**
 * Changes that the session has acknowledged already, in their order, committed together. One that is refused leaves the
 * others alone.
 */
export const batch = command('batch', 17, {
  request: Type.Object({
    changes: Type.Array(
      Type.Object({
        /** The command's number. */
        command: U32,
        /** Its request without `once`. */
        request: Type.Object({}, { additionalProperties: true }),
        /** When it was done, which is what the times of inodes become. */
        at: WireTimespec,
      }),
      { maxItems: MAX_BATCH },
    ),
    reserve: Type.Integer({ minimum: 0, maximum: MAX_RESERVED_INODES }),
    once: Once,
  }),
  reply: Type.Object({
    refused: Type.Array(Type.Object({ index: SafeInteger, code: Type.String(), message: Type.String() })),
    inodes: Type.Optional(ReservedInodes),
    freeBytes: SafeInteger,
  }),
});

/** Everything acknowledged before this request was sent is on stable storage when the reply comes. */
export const sync = command('sync', 13, { request: Nothing, reply: Nothing });

// ---- the namespace, reading

export const lookup = command('lookup', 20, {
  request: Type.Object({ ...Dentry, ...By }),
  reply: WithAttributes,
});

/**
 * Walks several names in one round trip. Stops early at a symbolic link that is not the last name; `walked` tells how
 * many names were taken. ENOENT and ENOTDIR as for lookup.
 */
export const resolve = command('resolve', 21, {
  request: Type.Object({
    start: InodeNumber,
    names: Type.Array(NameBytes, { maxItems: MAX_PATH_NAMES }),
    ...By,
  }),
  reply: Type.Object({ attributes: Attributes, walked: SafeInteger }),
});

export const getattr = command('getattr', 22, {
  request: Type.Object({ inode: InodeNumber }),
  reply: WithAttributes,
});

export const readlink = command('readlink', 23, {
  request: Type.Object({ inode: InodeNumber }),
  reply: Type.Object({ target: NameBytes }),
});

/** One page of a directory in name order, attributes included; `after` is the last name of the page before. */
export const readdir = command('readdir', 24, {
  request: Type.Object({ inode: InodeNumber, after: NameBytes, limit: Page, ...By }),
  reply: Type.Object({
    entries: Type.Array(Type.Object({ name: NameBytes, attributes: Attributes })),
    /** The directory's parent, for `..`. */
    parent: InodeNumber,
    end: Type.Boolean(),
    /** Those of the entries that have extended attributes, whatever the caller may see of them. */
    withXattrs: Type.Optional(Type.Array(InodeNumber, { maxItems: MAX_DIRECTORY_PAGE })),
  }),
});

/** Every file below a directory, depth first in name order; `after` is the last path of the page before. */
export const list = command('list', 25, {
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
});

export const statfs = command('statfs', 26, {
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
});

export const mkdir = command('mkdir', 41, {
  request: Type.Object({ ...Dentry, ...Owner, mode: U32, ...Umask, ...Numbered, ...By, once: Once }),
  reply: WithAttributes,
});

export const symlink = command('symlink', 42, {
  request: Type.Object({ ...Dentry, ...Owner, target: NameBytes, ...Numbered, ...By, once: Once }),
  reply: WithAttributes,
});

export const link = command('link', 43, {
  request: Type.Object({ ...Dentry, inode: InodeNumber, ...By, once: Once }),
  reply: WithAttributes,
});

export const unlink = command('unlink', 44, {
  request: Type.Object({ ...Dentry, ...By, once: Once }),
  reply: Type.Object({ inode: InodeNumber, nlink: SafeInteger }),
});

export const rmdir = command('rmdir', 45, {
  request: Type.Object({ ...Dentry, ...By, once: Once }),
  reply: Type.Object({ inode: InodeNumber }),
});

/** As in renameat2(2): RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2. */
export const RenameFlag = { noreplace: 1, exchange: 2 } as const;

export const rename = command('rename', 46, {
  request: Type.Object({
    ...Dentry,
    newParent: InodeNumber,
    newName: NameBytes,
    flags: Type.Integer({ minimum: 0, maximum: 3 }),
    ...By,
    once: Once,
  }),
  reply: Type.Object({
    inode: InodeNumber,
    /** The inode whose name was taken over, or 0. */
    replaced: SafeInteger,
  }),
});

/** Only the fields given are changed. */
export const setattr = command('setattr', 47, {
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
});

/** A regular file without a name, open in this session (O_TMPFILE of open(2)); `link` may give it one. */
export const tmpfile = command('tmpfile', 48, {
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
});

// ---- extended attributes

export const getxattr = command('getxattr', 60, {
  request: Type.Object({ inode: InodeNumber, name: NameBytes, ...By }),
  reply: Type.Object({ value: Type.Uint8Array({ maxByteLength: MAX_XATTR_VALUE_BYTES }) }),
});

export const listxattr = command('listxattr', 61, {
  request: Type.Object({ inode: InodeNumber, ...By }),
  reply: Type.Object({ names: Type.Array(NameBytes) }),
});

/** As in setxattr(2): XATTR_CREATE = 1, XATTR_REPLACE = 2. */
export const XattrFlag = { create: 1, replace: 2 } as const;

export const setxattr = command('setxattr', 62, {
  request: Type.Object({
    inode: InodeNumber,
    name: NameBytes,
    value: Type.Uint8Array(),
    flags: Type.Integer({ minimum: 0, maximum: 3 }),
    /** Whoever sets the access ACL is not in the file's group: setgid goes (chmod(2)). */
    stripSetgid: Type.Optional(Type.Boolean()),
    ...By,
    once: Once,
  }),
  reply: Nothing,
});

export const removexattr = command('removexattr', 63, {
  request: Type.Object({ inode: InodeNumber, name: NameBytes, ...By, once: Once }),
  reply: Nothing,
});

// ---- open files

/** The session has the inode open: unlinked, it lives until the last session's `release`. */
export const open = command('open', 70, {
  request: Type.Object({
    inode: InodeNumber,
    session: SafeInteger,
    ...By,
    /** What the caller wants to do with it: r = 4, w = 2, x = 1. */
    access: Type.Optional(Type.Integer({ minimum: 0, maximum: 7 })),
  }),
  reply: WithAttributes,
});

export const release = command('release', 71, {
  request: Type.Object({
    inodes: Type.Array(InodeNumber, { maxItems: MAX_RELEASED }),
    session: SafeInteger,
  }),
  reply: Nothing,
});

// ---- content

const GrantRequest = {
  /** How many chunks the client wants to store. */
  count: Type.Integer({ minimum: 0, maximum: MAX_GRANTS }),
  goal: Goal,
  maxBytes: ChunkLength,
  /** Nodes that just failed this client, to be left out if there are others. */
  exclude: Type.Array(NodeNumber, { maxItems: 64 }),
};
const Granted = {
  grants: Type.Array(Grant),
  nodes: Type.Array(NodeAddress),
};

/** Permission to store chunks. ENOSPC when no live node has room. */
export const grant = command('grant', 80, {
  request: Type.Object(GrantRequest),
  reply: Type.Object(Granted),
});

/**
 * Further nodes for a chunk of which too few of the granted ones hold a replica. ESTALE when the grant has expired, ENOSPC
 * when nobody holds the chunk and no live node has room.
 */
export const amend = command('amend', 64, {
  request: Type.Object({
    grant: Grant,
    goal: Goal,
    stored: Type.Array(NodeNumber, { maxItems: 64 }),
    /** Nodes to be taken only as far as there are no others. */
    failed: Type.Array(NodeNumber, { maxItems: 64 }),
  }),
  reply: Type.Object({
    /** The same chunk; names the old and the further nodes. */
    grant: Grant,
    /** Where to store it now: other nodes than `stored`, as many as are missing or as live and have room. */
    add: Type.Array(NodeNumber),
    nodes: Type.Array(NodeAddress),
  }),
});

/** Creates a regular file, open in this session, with the grants for its first chunks: `mknod` and `grant` in one. */
export const put = command('put', 81, {
  request: Type.Object({
    ...Dentry,
    ...Owner,
    mode: U32,
    ...Umask,
    exclusive: Type.Boolean(),
    ...By,
    ...GrantRequest,
    once: Once,
  }),
  reply: Type.Object({ attributes: Attributes, created: Type.Boolean(), ...Granted }),
});

/** Attributes, the extents from `offset` on (one page), and where their chunks are. */
export const get = command('get', 82, {
  request: Type.Object({
    inode: InodeNumber,
    offset: FileOffset,
    limit: Type.Integer({ minimum: 1, maximum: MAX_EXTENTS }),
  }),
  reply: Type.Object({
    attributes: Attributes,
    extents: Type.Array(Extent, { maxItems: MAX_EXTENTS }),
    chunks: Type.Array(ChunkLocation),
    nodes: Type.Array(NodeAddress),
    /** Where the next page begins, or -1. */
    next: Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }),
  }),
});

/**
 * The same as `get` of several small files from their beginnings on, of each as many extents as fit. What is not there, or no
 * regular file, is left out.
 */
export const getfiles = command('getfiles', 86, {
  request: Type.Object({ inodes: Type.Array(InodeNumber, { maxItems: MAX_SMALL_FILES }) }),
  reply: Type.Object({
    files: Type.Array(
      Type.Object({
        attributes: Attributes,
        extents: Type.Array(Extent, { maxItems: MAX_SMALL_FILE_EXTENTS }),
        chunks: Type.Array(ChunkLocation),
        next: Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }),
      }),
    ),
    nodes: Type.Array(NodeAddress),
  }),
});

/** A chunk that was stored under a grant: its real length, checksum, and exactly the nodes that hold it. */
export const StoredChunk = Type.Object({ ...ChunkLocation.properties, grant: Grant });
export type StoredChunk = Static<typeof StoredChunk>;

/**
 * Commits extents after their chunks were stored: the moment of truth of a write. All or nothing. New chunks must be
 * named in `chunks`.
 */
export const blocks = command('blocks', 83, {
  request: Type.Object({
    inode: InodeNumber,
    extents: Type.Array(Extent, { maxItems: MAX_EXTENTS }),
    chunks: Type.Array(StoredChunk, { maxItems: MAX_EXTENTS }),
    /** The file is at least this long afterwards. */
    size: FileOffset,
    mtime: WireTimespec,
    /** Reply only when the commit is on stable storage. */
    durable: Type.Boolean(),
    /**
     * Written with O_APPEND: the extents, which follow each other, belong at the end of the file, wherever that is by
     * now; their offsets say where the client took it to be.
     */
    append: Type.Optional(Type.Boolean()),
    /**
     * The same bytes in other chunks: committed only where the file still consists of these extents, and without a change
     * of its times.
     */
    replaces: Type.Optional(Type.Array(Extent, { maxItems: MAX_EXTENTS })),
    ...WithPrivilegeLoss,
    once: Once,
  }),
  reply: Type.Object({
    attributes: Attributes,
    /** Nothing was committed: what was to be replaced is not there any more. */
    overtaken: Type.Optional(Type.Boolean()),
    /** By how much the extents were moved to be at the end; may be negative. */
    moved: Type.Optional(Type.Integer({ minimum: -MAX_FILE_BYTES, maximum: MAX_FILE_BYTES })),
  }),
});

/**
 * fallocate(2): the file is at least as long as the range reaches, unless `keepSize`; with `zero` the range is a hole
 * afterwards. EFBIG beyond the largest file.
 */
export const fallocate = command('fallocate', 84, {
  request: Type.Object({
    inode: InodeNumber,
    offset: FileOffset,
    length: FileOffset,
    zero: Type.Boolean(),
    keepSize: Type.Boolean(),
    ...WithPrivilegeLoss,
    once: Once,
  }),
  reply: WithAttributes,
});

/**
 * copy_file_range(2) by reference. `copied` may be less than `length` where the source ends, or has very many extents.
 * EINVAL when the ranges overlap, EFBIG.
 */
export const clone = command('clone', 85, {
  request: Type.Object({
    source: InodeNumber,
    offset: FileOffset,
    length: FileOffset,
    target: InodeNumber,
    targetOffset: FileOffset,
    ...WithPrivilegeLoss,
    once: Once,
  }),
  reply: Type.Object({ attributes: Attributes, copied: SafeInteger }),
});

// ---- locks

/** A lock that a session asks for. */
const LockRequest = { session: SafeInteger, lock: Lock };
/** Tells apart the requests of a session that wait, so that one that is sent again keeps its place in the queue. */
const LockRequestNumber = SafeInteger;

/**
 * Locks a range, in place of whatever the owner had locked there; a flock of the other type is given up first, as
 * flock(2) says. EAGAIN when it is not free and `wait` is false; EDEADLK; ENOLCK.
 *
 * Needs no `once`: an owner's own locks never stand in its way, so a request whose reply was lost is granted again when
 * it is repeated, and changes nothing. The server takes requests of a session only by the connection on which the
 * session was last resumed, so that none of an older connection comes late.
 */
export const lock = command('lock', 90, {
  request: Type.Object({ ...LockRequest, wait: Type.Boolean(), request: LockRequestNumber }),
  reply: Type.Object({
    /** False: not yet. The request keeps its place in the queue for some seconds; ask again. */
    granted: Type.Boolean(),
    /** How long to wait before asking again. */
    pauseMs: SafeInteger,
  }),
});

/** Gives up waiting. `granted` says that it came too late: the owner has the lock. */
export const cancellock = command('cancellock', 91, {
  request: Type.Object({ ...LockRequest, request: LockRequestNumber }),
  reply: Type.Object({ granted: Type.Boolean() }),
});

/** Unlocks a range of what an owner has locked. No error when nothing is, or when the session has ended. */
export const unlock = command('unlock', 92, {
  request: Type.Object({
    session: SafeInteger,
    inode: InodeNumber,
    kind: LockKind,
    owner: LockOwner,
    start: FileOffset,
    end: FileOffset,
  }),
  reply: Nothing,
});

/** What stands in the way of a lock (F_GETLK): one such lock, or none. `pid` is 0 for a process of another client. */
export const testlock = command('testlock', 93, {
  request: Type.Object(LockRequest),
  reply: Type.Object({
    /** False: the server was restarted, and not every client has said yet what it holds; ask again. */
    known: Type.Boolean(),
    conflict: Type.Union([Lock, Type.Null()]),
  }),
});
