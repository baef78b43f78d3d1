/** Every limit of the wire and of the namespace, in one place. Sizes are bytes, times milliseconds. */

/** A name in a directory (Linux NAME_MAX, <linux/limits.h>). */
export const MAX_NAME_BYTES = 255;
/** A path (Linux PATH_MAX, <linux/limits.h>, which counts the closing NUL). */
export const MAX_PATH_BYTES = 4095;
/** A symbolic link's target. */
export const MAX_SYMLINK_BYTES = MAX_PATH_BYTES;
/** Names in one `resolve` request: the most that MAX_PATH_BYTES can hold. */
export const MAX_PATH_NAMES = 2048;
/** An extended attribute's name and value (XATTR_NAME_MAX, XATTR_SIZE_MAX in <linux/limits.h>). */
export const MAX_XATTR_NAME_BYTES = 255;
export const MAX_XATTR_VALUE_BYTES = 65_536;
/** All extended attribute names of an inode together (XATTR_LIST_MAX). */
export const MAX_XATTR_LIST_BYTES = 65_536;
/** Sizes and offsets above this cannot be told apart in a JavaScript number, so they are refused with EFBIG. */
export const MAX_FILE_BYTES = Number.MAX_SAFE_INTEGER;
/** Supplementary groups that a request tells of its caller; of more (NGROUPS_MAX is 65 536) the first ones. */
export const MAX_CALLER_GROUPS = 1024;
/** Hard links to one inode (ext4 has 65 000; nothing here depends on it but the column's width). */
export const MAX_LINKS = 0x7fff_ffff;

/** How long a chunk grows unless told otherwise, and the most it may be told. */
export const DEFAULT_CHUNK_BYTES = 4 << 20;
export const MAX_CHUNK_BYTES = 64 << 20;
/**
 * A chunk carries one CRC-32 for each block of this many bytes (the last may be shorter), so that a small read checks
 * and moves one block rather than the whole chunk.
 */
export const CHECKSUM_BLOCK_BYTES = 16 << 10;
/** Bytes of one stored CRC-32. */
export const CHECKSUM_BYTES = 4;

/** The most replicas a chunk may have. */
export const MAX_GOAL = 5;
/** The extended attribute by which a goal is told and set. */
export const GOAL_ATTRIBUTE = 'user.dfs.goal';
/** Replicas of what is created where nobody says how many. */
export const DEFAULT_GOAL = 2;
/** The goal of a directory that leaves it to whoever creates a file there. */
export const GOAL_OF_CREATOR = 0;
/** Grants that one request may ask for. */
export const MAX_GRANTS = 64;
/** Extents in one `blocks` request or `get` reply. */
export const MAX_EXTENTS = 4096;
/** Small files of which `getfiles` tells at once, and parts of chunks that `readparts` reads. */
export const MAX_SMALL_FILES = 64;
/** Extents of each of them. */
export const MAX_SMALL_FILE_EXTENTS = 16;
/** Directory entries in one `readdir` or `list` reply. */
export const MAX_DIRECTORY_PAGE = 1024;
/** Names in one `readnames` reply: with the longest names, and all of them directories, it still fits a frame. */
export const MAX_NAMES_PAGE = 4096;
/** Data nodes of a cluster: each is looked at for each chunk that is placed. */
export const MAX_NODES = 1000;
/** What a node may say that it has. */
export const MAX_NODE_BYTES = 2 ** 50;
/** Chunk ids that one heartbeat reply tells a node to drop. */
export const MAX_DROPS = 4096;
/** Changes that one `session` request may ask about, whether a power loss took them. */
export const MAX_UNSYNCED_CHANGES = 8192;
/** Inodes that one `session` request may declare open. */
export const MAX_OPEN_INODES = 65_536;
/** Changes in one `batch`, and inode numbers that one asks for. */
export const MAX_BATCH = 128;
export const MAX_RESERVED_INODES = 1024;
/** Inodes that one `hold` asks for. */
export const MAX_HELD_AT_ONCE = 1024;
/** Inodes in one `accessed` request. */
export const MAX_ACCESSES = 256;
/** Inodes that one `release` may name. */
export const MAX_RELEASED = 256;

/**
 * Locks (ranges of one owner on one file) that a client may hold; fcntl(2) ENOLCK beyond. Unlocking the middle of a
 * range makes two of one, and is allowed up to twice as many, which is what one `session` request may declare.
 */
export const MAX_LOCKS = 16_384;
export const MAX_DECLARED_LOCKS = 2 * MAX_LOCKS;
/** How long the metadata server keeps a request for a lock that is not free before it says `waiting`. */
export const LOCK_POLL_MS = 5000;
/**
 * A client whose connection closed and that does not come back for this long counts as dead: its locks are let go, and
 * nobody waits for it to drop what it cached (metadata/leases/absence.ts has the argument). One that was merely cut
 * off does come back, and is told that it has lost its locks.
 */
export const LOST_CONNECTION_MS = 5000;

/** The msgpack part of a frame; the largest are a page of extents and a page of a directory. */
export const MAX_FRAME_HEADER_BYTES = 4 << 20;
/**
 * The msgpack part of a request whose command declares nothing else: two names, a symbolic link's target, and a caller
 * with all the groups that it may tell of.
 */
export const DEFAULT_REQUEST_BYTES = 16 << 10;
/** All that may come by a connection before its peer has proved that it is a member, and how long that may take. */
export const MAX_STRANGER_BYTES = 4096;
export const HANDSHAKE_MS = 5000;
/** The payload part of a frame. */
export const MAX_FRAME_PAYLOAD_BYTES = MAX_CHUNK_BYTES;

/** A session that is not heard of for this long is ended by the metadata server. */
export const SESSION_TIMEOUT_MS = 60_000;
/** How often a client that caches nothing renews its session. */
export const SESSION_RENEW_MS = 10_000;
/** How long a client may believe what it caches, from the moment at which it asked for its lease to be renewed. */
export const LEASE_MS = 4000;
/** How often it asks. */
export const LEASE_RENEW_MS = 1000;
/**
 * A client that is connected and does not say that it dropped what was revoked is waited for until so long after it
 * renewed its lease last; then its session ends.
 */
export const SILENT_CLIENT_MS = 25_000;
/** Inodes, and names, in one `revoke`; beyond that everything is to be dropped. */
export const MAX_REVOKED = 4096;
/** Attributes, and names, that one `revoke` tells anew. */
export const MAX_NEWS = 64;
/** Inodes that a session may give back with one request. */
export const MAX_RETURNED = 8;
/** Inodes that one session may cache; beyond that it is told to drop everything. */
export const MAX_LEASED_INODES = 1 << 20;
/** How long a grant may be used. Longer than any retry, so that a write never fails for being slow. */
export const GRANT_LIFETIME_MS = 3_600_000;
/** Clocks that differ by less are called equal. Nothing depends on that: it is shown to people. */
export const SHOWN_SKEW_MS = 2000;
/**
 * The same for reading. A client asks for the locations of chunks again when it has passed, which costs a file that is read
 * all day a request an hour.
 */
export const READ_GRANT_LIFETIME_MS = 3_600_000;
/** How often a data node tells the metadata server that it lives. */
export const HEARTBEAT_MS = 1000;
/** A data node not heard of for this long gets no new chunks. */
export const NODE_SUSPECT_MS = 3000;
/** The replicas of a data node not heard of for this long are made again elsewhere. */
export const NODE_LOST_MS = 30_000;
/** Chunks of which one request to sync asks whether they are there. */
export const MAX_CHUNKS_TO_SYNC = 16_384;
/** Pieces of which one chunk is put together. */
export const MAX_PIECES = 1024;
/** Damaged or missing chunks that one heartbeat tells of. */
export const MAX_TROUBLES = 256;
/** Findings in one reply about a check of the file system. */
export const MAX_FINDINGS_PAGE = 512;
/** Chunk ids in one page of a node's inventory. */
export const MAX_INVENTORY = 4096;
/** Bytes of one piece of a backup on the wire. */
export const MAX_BACKUP_PIECE_BYTES = 1 << 20;
/** Chunks in one page of what a node tells for recovery. */
export const MAX_CHUNK_PAGE = 4096;
/**
 * The file offset that is the salvage hint of a chunk whose bytes stand at several places of their file; no chunk can
 * begin there.
 */
export const SCATTERED_OFFSET = MAX_FILE_BYTES;

/** Members of a cluster, and certificates that are revoked and have not expired, and tokens that have not. */
export const MAX_MEMBERS = 10_000;
export const MAX_TOKENS = 1000;
/** Rules that say who may mount what, and ranges of one rule's maps. */
export const MAX_EXPORTS = 1000;
export const MAX_ID_RANGES = 64;
