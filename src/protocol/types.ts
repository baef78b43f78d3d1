/** The shapes that several commands share. */
import { Type, type Static } from '@sinclair/typebox';
import {
  GOAL_OF_CREATOR,
  MAX_EXTENTS,
  MAX_CALLER_GROUPS,
  MAX_CHUNK_BYTES,
  MAX_FILE_BYTES,
  MAX_GOAL,
  MAX_RETURNED,
  MAX_SYMLINK_BYTES,
} from './limits.js';

import { READ_GRANT_BYTES, readGrantsBytes } from './read-grants.js';

const U32_MAX = 0xffff_ffff;

/** A whole number that a JavaScript number holds exactly. */
export const SafeInteger = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
/** The same, with those below 0. */
export const SignedInteger = Type.Integer({
  minimum: -Number.MAX_SAFE_INTEGER,
  maximum: Number.MAX_SAFE_INTEGER,
});
export const U32 = Type.Integer({ minimum: 0, maximum: U32_MAX });

export const InodeNumber = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
export const ChunkId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
/** A data node's short number, given by the metadata server at its first `reg`. */
export const NodeNumber = Type.Integer({ minimum: 1, maximum: U32_MAX });
export const FileOffset = Type.Integer({ minimum: 0, maximum: MAX_FILE_BYTES });
export const ChunkLength = Type.Integer({ minimum: 1, maximum: MAX_CHUNK_BYTES });
export const Goal = Type.Integer({ minimum: 1, maximum: MAX_GOAL });

/** Bytes of a name; what a name may hold besides is checked by the operations, which answer with an errno. */
export const NameBytes = Type.Uint8Array({ maxByteLength: MAX_SYMLINK_BYTES });
/** A host's name or address: no white space, and nothing that steers the terminals of those who are shown it. */
export const HostName = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: String.raw`^[^\u0000-\u0020\u007f-\u00a0/@[\]\\]+$`,
});
/** A pattern for text that people are shown: without what steers their terminals. */
export const VISIBLE = String.raw`^[^\u0000-\u001f\u007f-\u009f]*$`;
export const Port = Type.Integer({ minimum: 1, maximum: 65_535 });

export const WireTimespec = Type.Object({
  sec: Type.Integer({ minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
  nsec: Type.Integer({ minimum: 0, maximum: 999_999_999 }),
});
/** A given time, or the moment at which the metadata server executes the request (UTIME_NOW). */
export const TimeOrNow = Type.Union([WireTimespec, Type.Literal('now')]);
export type TimeOrNow = Static<typeof TimeOrNow>;

/** Who asks, as credentials(7) has it: the file system user, group, and supplementary groups. */
export const Caller = Type.Object({
  uid: U32,
  gid: U32,
  groups: Type.Array(U32, { maxItems: MAX_CALLER_GROUPS }),
});
export type Caller = Static<typeof Caller>;

/** What stat(2) tells of an inode. */
export const Attributes = Type.Object({
  inode: InodeNumber,
  /** Tells apart two inodes that had the same number at different times. */
  generation: SafeInteger,
  /** Type and permission bits, as in st_mode. */
  mode: U32,
  nlink: SafeInteger,
  uid: U32,
  gid: U32,
  rdev: SafeInteger,
  size: FileOffset,
  /** Bytes that extents cover; a sparse file has fewer than its size. */
  allocated: SafeInteger,
  atime: WireTimespec,
  mtime: WireTimespec,
  ctime: WireTimespec,
  /** Grows with every change of the content, so that a client knows whether extents it keeps are still true. */
  version: SafeInteger,
  /** Replicas of a file's chunks. Of a directory: what new files get, or GOAL_OF_CREATOR. */
  goal: Type.Integer({ minimum: GOAL_OF_CREATOR, maximum: MAX_GOAL }),
});
export type Attributes = Static<typeof Attributes>;

/** (inode, offset, length) → (chunk, chunkOffset) */
export const Extent = Type.Object({
  offset: FileOffset,
  length: Type.Integer({ minimum: 1, maximum: MAX_CHUNK_BYTES }),
  chunk: ChunkId,
  chunkOffset: Type.Integer({ minimum: 0, maximum: MAX_CHUNK_BYTES }),
});
export type Extent = Static<typeof Extent>;

/** Where a chunk is. `checksum` is the CRC-32 of its table of block checksums. */
export const ChunkLocation = Type.Object({
  chunk: ChunkId,
  length: ChunkLength,
  checksum: U32,
  nodes: Type.Array(NodeNumber, { maxItems: 64 }),
});
export type ChunkLocation = Static<typeof ChunkLocation>;

/** How to reach a data node. */
export const NodeAddress = Type.Object({
  node: NodeNumber,
  host: HostName,
  port: Port,
  /** The name in its certificate, by which it is told from other data nodes; without it, it has none. */
  member: Type.Optional(Type.String({ maxLength: 63 })),
});
export type NodeAddress = Static<typeof NodeAddress>;

/** The metadata server's permission to store one chunk. */
export const Grant = Type.Object({
  chunk: ChunkId,
  nodes: Type.Array(NodeNumber, { minItems: 1, maxItems: 64 }),
  maxBytes: ChunkLength,
  /** Milliseconds since the epoch, by the metadata server's clock. */
  expiresMs: SafeInteger,
  signature: Type.Uint8Array({ minByteLength: 16, maxByteLength: 32 }),
});
export type Grant = Static<typeof Grant>;

/** The metadata server's permission to read one chunk (read-grants.ts). */
export const ReadGrant = Type.Uint8Array({
  minByteLength: READ_GRANT_BYTES,
  maxByteLength: READ_GRANT_BYTES,
});
/** The same for each chunk of a list, in its order. */
export const ReadGrants = Type.Uint8Array({ maxByteLength: readGrantsBytes(MAX_EXTENTS) });

/**
 * Who asks, and for the how manieth time: a mutating request is executed once however often it is sent. The server
 * keeps the reply of every sequence above `acknowledged`.
 */
export const Once = Type.Object({
  session: SafeInteger,
  sequence: SafeInteger,
  /** Every reply up to and including this sequence has arrived. */
  acknowledged: SafeInteger,
  /** It comes right behind this `batch`, of which nothing may be refused: else nothing is done, and the answer is EAGAIN. */
  afterBatch: Type.Optional(SafeInteger),
  /** Inodes that the session has to itself, and gives back: nothing more that it has acknowledged of them is on its way. */
  returned: Type.Optional(Type.Array(InodeNumber, { maxItems: MAX_RETURNED })),
});
export type Once = Static<typeof Once>;

/**
 * How a file loses setuid, setgid and capabilities when it is written, truncated or given away. `ordinary`: setgid stays
 * where the group may not execute the file; `all`: it goes there too, since whoever does it is not in the group
 * (setattr_should_drop_suidgid() in Linux).
 */
export const PrivilegeLoss = Type.Union([Type.Literal('ordinary'), Type.Literal('all')]);
export type PrivilegeLoss = Static<typeof PrivilegeLoss>;

/** flock(2) and fcntl(2) locks do not see each other, as on a local file system. */
export const LockKind = Type.Union([Type.Literal('flock'), Type.Literal('posix')]);
export type LockKind = Static<typeof LockKind>;
export const LockType = Type.Union([Type.Literal('read'), Type.Literal('write')]);
export type LockType = Static<typeof LockType>;
/** Whoever a lock belongs to within its session: the kernel's 64-bit number, in hexadecimal. */
export const LockOwner = Type.String({ pattern: '^[0-9a-f]{1,16}$' });

/** One range of a file that an owner has locked, or wants to; a flock is the whole file. */
export const Lock = Type.Object({
  inode: InodeNumber,
  kind: LockKind,
  owner: LockOwner,
  type: LockType,
  start: FileOffset,
  /** The last byte; MAX_FILE_BYTES is the end of the file, wherever that will be. */
  end: FileOffset,
  /** The process that asked for it, by its own machine's count. */
  pid: U32,
});
export type Lock = Static<typeof Lock>;
