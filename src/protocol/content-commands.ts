/** The metadata server's commands for open files and their content. */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import { CarriedOut, LogNumber, OpenedLog, WantedLog } from './intents.js';
import { CLIENTS } from './roles.js';
import {
  MAX_CHUNKS_TO_SYNC,
  MAX_EXTENTS,
  MAX_SMALL_FILE_EXTENTS,
  MAX_SMALL_FILES,
  MAX_FILE_BYTES,
  MAX_GOAL,
  MAX_GRANTS,
  MAX_RELEASED,
} from './limits.js';
import {
  Nothing,
  Dentry,
  newInode,
  Owner,
  By,
  Umask,
  WithPrivilegeLoss,
  WithAttributes,
} from './request-shapes.js';
import {
  Attributes,
  ChunkId,
  ChunkLength,
  ChunkLocation,
  Extent,
  FileOffset,
  Goal,
  Grant,
  InodeNumber,
  NodeAddress,
  NodeNumber,
  Once,
  ReadGrants,
  SafeInteger,
  U32,
  WireTimespec,
} from './types.js';

/** The session has the inode open: unlinked, it lives until the last session's `release`. */
export const open = command('open', 70, {
  allow: CLIENTS,
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
  allow: CLIENTS,
  request: Type.Object({
    inodes: Type.Array(InodeNumber, { maxItems: MAX_RELEASED }),
    session: SafeInteger,
  }),
  reply: Nothing,
});

// ---- content

/** So many replicas will do; left out: as many as the goal says, or as many as nodes live. */
const MinReplicas = Type.Integer({ minimum: 1, maximum: MAX_GOAL });

const GrantRequest = {
  /** How many chunks the client wants to store. */
  count: Type.Integer({ minimum: 0, maximum: MAX_GRANTS }),
  goal: Goal,
  maxBytes: ChunkLength,
  /** Nodes that just failed this client, to be left out if there are others. */
  exclude: Type.Array(NodeNumber, { maxItems: 64 }),
  minReplicas: Type.Optional(MinReplicas),
};
const Granted = {
  grants: Type.Array(Grant),
  /** To read the same chunks, which whoever stores them may want at once. */
  readGrants: ReadGrants,
  nodes: Type.Array(NodeAddress),
};

/** Permission to store chunks. ENOSPC when fewer live nodes have room than the chunks need. */
export const grant = command('grant', 80, {
  allow: CLIENTS,
  request: Type.Object(GrantRequest),
  reply: Type.Object(Granted),
});

/**
 * Further nodes for a chunk of which too few of the granted ones hold a replica. ESTALE when the grant has expired, ENOSPC
 * when fewer of the other live nodes have room than are needed.
 */
export const amend = command('amend', 64, {
  allow: CLIENTS,
  request: Type.Object({
    grant: Grant,
    goal: Goal,
    minReplicas: Type.Optional(MinReplicas),
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
  allow: CLIENTS,
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
  changes: ({ parent }, reply) =>
    reply?.created === false ? {} : { names: [parent], inodes: newInode(undefined, reply) },
});

/** About what an extent takes in a reply, with the place of its chunk. */
const PIECE_BYTES = 96;

/**
 * Attributes, the extents from `offset` on (one page), and where their chunks are. EACCES when the caller may not read the file,
 * unless the session has it open.
 */
export const get = command('get', 82, {
  allow: CLIENTS,
  request: Type.Object({
    inode: InodeNumber,
    offset: FileOffset,
    limit: Type.Integer({ minimum: 1, maximum: MAX_EXTENTS }),
    ...By,
  }),
  reply: Type.Object({
    attributes: Attributes,
    extents: Type.Array(Extent, { maxItems: MAX_EXTENTS }),
    chunks: Type.Array(ChunkLocation),
    /** To read `chunks`. */
    readGrants: ReadGrants,
    nodes: Type.Array(NodeAddress),
    /** Where the next page begins, or -1. */
    next: Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }),
  }),
  replyBytes: ({ limit }) => limit * PIECE_BYTES,
});

/**
 * The same as `get` of several small files from their beginnings on, of each as many extents as fit. What is not there, or no
 * regular file, or may not be read by the caller, is left out.
 */
export const getfiles = command('getfiles', 86, {
  allow: CLIENTS,
  request: Type.Object({ inodes: Type.Array(InodeNumber, { maxItems: MAX_SMALL_FILES }), ...By }),
  reply: Type.Object({
    files: Type.Array(
      Type.Object({
        attributes: Attributes,
        extents: Type.Array(Extent, { maxItems: MAX_SMALL_FILE_EXTENTS }),
        chunks: Type.Array(ChunkLocation),
        next: Type.Integer({ minimum: -1, maximum: Number.MAX_SAFE_INTEGER }),
      }),
    ),
    /** To read the chunks of all files, in their order. */
    readGrants: ReadGrants,
    nodes: Type.Array(NodeAddress),
  }),
});

/** A chunk that was stored under a grant: its real length, checksum, and exactly the nodes that hold it. */
export const StoredChunk = Type.Object({
  ...ChunkLocation.properties,
  grant: Grant,
  /** The nodes put it on stable storage before they answered. */
  synced: Type.Optional(Type.Boolean()),
});
export type StoredChunk = Static<typeof StoredChunk>;

/**
 * Replicas of a file's chunks that may not be on stable storage, or are lost: what fsync(2) asks data nodes for, besides
 * those that the client has stored itself. EINVAL for what is no regular file.
 */
export const unsynced = command('unsynced', 87, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber }),
  reply: Type.Object({
    attributes: Attributes,
    replicas: Type.Array(Type.Object({ node: NodeNumber, chunk: ChunkId }), {
      maxItems: MAX_CHUNKS_TO_SYNC,
    }),
  }),
});

/**
 * Commits extents after their chunks were stored: the moment of truth of a write. All or nothing. `chunks` names each
 * chunk that an extent refers to, with the grant under which the client stored it: EINVAL for any other.
 */
export const blocks = command('blocks', 83, {
  allow: CLIENTS,
  request: Type.Object({
    inode: InodeNumber,
    extents: Type.Array(Extent, { maxItems: MAX_EXTENTS }),
    chunks: Type.Array(StoredChunk, { maxItems: MAX_EXTENTS }),
    /** The file is at least this long afterwards. */
    size: FileOffset,
    mtime: WireTimespec,
    /** When the last of it was written, by the metadata server's clock as the client knows it: what the client shows as ctime. */
    ctime: Type.Optional(WireTimespec),
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
    /** A program was told that it is done: it may use the room that the metadata server keeps for that. */
    acknowledged: Type.Optional(Type.Boolean()),
    /** The intents that it carries out, which the data nodes have. EIO when others have gone on without them. */
    carriesOut: Type.Optional(CarriedOut),
    wantsLog: Type.Optional(WantedLog),
    ...WithPrivilegeLoss,
    once: Once,
  }),
  reply: Type.Object({
    attributes: Attributes,
    /** The log that was asked for; left out when it is not given. */
    opened: Type.Optional(OpenedLog),
    /** Nothing was committed: what was to be replaced is not there any more. */
    overtaken: Type.Optional(Type.Boolean()),
    /** By how much the extents were moved to be at the end; may be negative. */
    moved: Type.Optional(Type.Integer({ minimum: -MAX_FILE_BYTES, maximum: MAX_FILE_BYTES })),
  }),
  maxRequestBytes: 1 << 20,
  // What is on the data nodes as an intent no power loss of the metadata server takes back.
  changes: ({ inode, carriesOut }) => (carriesOut ? {} : { content: [inode] }),
});

/** The session leaves no more intents of the inode: all of them are committed. */
export const endlog = command('endlog', 88, {
  allow: CLIENTS,
  request: Type.Object({ inode: InodeNumber, log: LogNumber, last: SafeInteger }),
  reply: Nothing,
});

/**
 * fallocate(2): the file is at least as long as the range reaches, unless `keepSize`; with `zero` the range is a hole
 * afterwards. EFBIG beyond the largest file.
 */
export const fallocate = command('fallocate', 84, {
  allow: CLIENTS,
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
  changes: ({ inode }) => ({ content: [inode] }),
});

/**
 * copy_file_range(2) by reference. `copied` may be less than `length` where the source ends, or has very many extents.
 * EINVAL when the ranges overlap, EFBIG; EACCES when the caller may not read the one or write the other, unless the session
 * has it open.
 */
export const clone = command('clone', 85, {
  allow: CLIENTS,
  request: Type.Object({
    source: InodeNumber,
    offset: FileOffset,
    length: FileOffset,
    target: InodeNumber,
    targetOffset: FileOffset,
    ...By,
    ...WithPrivilegeLoss,
    once: Once,
  }),
  reply: Type.Object({ attributes: Attributes, copied: SafeInteger }),
  changes: ({ target }) => ({ content: [target] }),
});
