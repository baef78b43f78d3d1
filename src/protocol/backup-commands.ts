/** Commands of the metadata's backup: copies of the metadata database, kept by the data nodes. */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import { ADMINS, CLIENTS, METADATA_SERVER, type Allow } from './roles.js';
import { MAX_BACKUP_PIECE_BYTES, MAX_CHUNK_PAGE } from './limits.js';
import { ChunkId, NodeNumber, SafeInteger, SignedInteger, U32 } from './types.js';

/** The metadata server, on the node's own connection, and `dfs recover` when that server is gone. */
const BACKUP_READERS: Allow = ['admin', 'metadata'];

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

/**
 * One file of a backup. A generation is a copy of the database in several files, numbered from 0: applied in order up to
 * one that is `isComplete`, they are the database as it was at one moment.
 */
export const BackupFile = Type.Object({
  generation: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  file: U32,
  isComplete: Type.Boolean(),
  /** Of the whole file. */
  sha256: Sha256,
  bytes: SafeInteger,
});
export type BackupFile = Static<typeof BackupFile>;

/**
 * Sent by the metadata server on the node's own connection: a piece (the payload) of a file. Pieces come in order; with
 * the last one the file is checked, and on stable storage when the reply goes. EBADMSG for a damaged one; EINVAL for a
 * piece that is not the next, after which the file begins anew at offset 0.
 */
export const backupWrite = command('backup-write', 1091, {
  allow: METADATA_SERVER,
  request: Type.Object({ file: BackupFile, offset: SafeInteger, crc: U32 }),
  reply: Type.Object({}),
  maxPayloadBytes: MAX_BACKUP_PIECE_BYTES,
});

/** Every file of every backup on this node. */
export const backupList = command('backup-list', 1092, {
  allow: BACKUP_READERS,
  request: Type.Object({}),
  reply: Type.Object({ files: Type.Array(BackupFile) }),
});

/** A piece of a file, as the reply's payload. ENOENT. */
export const backupRead = command('backup-read', 1093, {
  allow: BACKUP_READERS,
  request: Type.Object({
    file: BackupFile,
    offset: SafeInteger,
    length: Type.Integer({ minimum: 1, maximum: MAX_BACKUP_PIECE_BYTES }),
  }),
  reply: Type.Object({ crc: U32 }),
  replyPayloadBytes: ({ length }) => length,
});

/** A chunk as its node knows it. */
const HeldChunk = Type.Object({
  chunk: ChunkId,
  length: SafeInteger,
  /** For salvage, and 0 unless asked for: whose bytes these were, and where in the file they stood. */
  inode: SafeInteger,
  fileOffset: SafeInteger,
  /** CRC-32 of the table of block checksums; 0 unless the hints are asked for. */
  checksum: U32,
});
export type HeldChunk = Static<typeof HeldChunk>;

/** About what one takes in a reply. */
const HELD_CHUNK_BYTES = 40;

/** The chunks with ids above `after`, in order; those whose headers cannot be read are left out when hints are wanted. */
export const chunksAfter = command('chunks-after', 1094, {
  allow: ADMINS,
  request: Type.Object({
    after: SafeInteger,
    hints: Type.Boolean(),
    limit: Type.Integer({ minimum: 1, maximum: MAX_CHUNK_PAGE }),
  }),
  reply: Type.Object({
    chunks: Type.Array(HeldChunk),
    /** Ask on from here; 0 when there are no more. */
    next: SafeInteger,
    /** How many could not be read. */
    damaged: SafeInteger,
  }),
  replyBytes: ({ limit }) => limit * HELD_CHUNK_BYTES,
});

/** How the backups are. */
const BackupStatus = Type.Object({
  /** 0: backups are off. */
  intervalMs: SafeInteger,
  /** 0: there is none yet since the metadata server started. */
  generation: SafeInteger,
  /** Wall-clock milliseconds of the moment whose state the newest backup is; 0 for none. */
  newestMs: SafeInteger,
  /** How long ago that was, by the server's clock; -1 for none. */
  ageMs: SignedInteger,
  /** Of the newest backup, on each node. */
  bytes: SafeInteger,
  files: SafeInteger,
  /** The live nodes that have all of it. */
  nodes: Type.Array(NodeNumber),
  liveNodes: SafeInteger,
  /** Whether anything changed since. */
  hasChanges: Type.Boolean(),
  /** What went wrong last; empty when nothing did. */
  problem: Type.String(),
});
export type BackupStatus = Static<typeof BackupStatus>;

export const backupStatus = command('backupstatus', 95, {
  allow: CLIENTS,
  request: Type.Object({}),
  reply: BackupStatus,
});

/** Makes a backup now, and says how it is then. EINVAL when backups are off. */
export const backupNow = command('backupnow', 96, {
  allow: ADMINS,
  request: Type.Object({}),
  reply: BackupStatus,
});
