/** The data node's commands. */
import { Type, type Static } from '@sinclair/typebox';
import { command } from './command.js';
import { Intent, KeptIntent, LogNumber, MAX_INTENT_BYTES, MAX_INTENTS_TOLD } from './intents.js';
import { CLIENTS, CLIENTS_AND_METADATA, MEMBERS, METADATA_SERVER } from './roles.js';
import {
  CHECKSUM_BLOCK_BYTES,
  CHECKSUM_BYTES,
  DEFAULT_REQUEST_BYTES,
  MAX_CHUNK_BYTES,
  MAX_CHUNKS_TO_SYNC,
  MAX_PATH_BYTES,
  MAX_PIECES,
  MAX_SMALL_FILES,
} from './limits.js';
import {
  ChunkId,
  ChunkLength,
  FileOffset,
  Grant,
  HostName,
  NodeAddress,
  NodeNumber,
  ReadGrant,
  SafeInteger,
  U32,
} from './types.js';

const MAX_CHECKSUM_TABLE_BYTES = (MAX_CHUNK_BYTES / CHECKSUM_BLOCK_BYTES) * CHECKSUM_BYTES;
const ChecksumTable = Type.Uint8Array({ maxByteLength: MAX_CHECKSUM_TABLE_BYTES + CHECKSUM_BYTES });

/**
 * Stores a chunk (the payload) and passes it on along `forward`. The reply names the nodes that hold it and
 * those that failed, which may be this one; an error means that no node took it.
 */
export const write = command('write', 1001, {
  allow: MEMBERS,
  request: Type.Object({
    grant: Grant,
    /** One little-endian CRC-32 for each block of CHECKSUM_BLOCK_BYTES. */
    checksums: ChecksumTable,
    /** For salvage: the inode, and the file offset of the chunk's first byte, or SCATTERED_OFFSET. */
    inode: SafeInteger,
    fileOffset: FileOffset,
    forward: Type.Array(NodeAddress, { maxItems: 64 }),
    /** Reply only when the chunk is on stable storage, here and on every node it was passed to. */
    durable: Type.Boolean(),
    /** What is to be done with it, kept with it on stable storage; only with `durable`. */
    intent: Type.Optional(Intent),
  }),
  reply: Type.Object({
    stored: Type.Array(NodeNumber),
    /** The node that was asked has the intent as well. */
    keptIntent: Type.Optional(Type.Boolean()),
    failed: Type.Array(
      Type.Object({
        node: NodeNumber,
        reason: Type.String(),
        /** The name of its error. */
        code: Type.Optional(Type.String()),
      }),
    ),
  }),
  maxRequestBytes: 2 * DEFAULT_REQUEST_BYTES + MAX_CHECKSUM_TABLE_BYTES + MAX_INTENT_BYTES,
  maxPayloadBytes: MAX_CHUNK_BYTES,
});

const ChunkPart = Type.Object({
  chunk: ChunkId,
  offset: Type.Integer({ minimum: 0, maximum: MAX_CHUNK_BYTES }),
  length: Type.Integer({ minimum: 1, maximum: MAX_CHUNK_BYTES }),
  grant: ReadGrant,
});

/**
 * Reads part of a chunk; the reply's payload has exactly `length` bytes. EACCES when the grant is none for this chunk, or
 * has expired; ENOENT when this node has no such chunk, EIO when what it has does not match its checksum.
 */
export const read = command('read', 1002, {
  allow: MEMBERS,
  request: Type.Object({
    ...ChunkPart.properties,
    /** The chunk's whole table is wanted too. */
    wantsTable: Type.Optional(Type.Boolean()),
  }),
  reply: Type.Object({
    /** One CRC-32 for each piece of the payload, cut where blocks of the chunk end. */
    checksums: ChecksumTable,
    /** One for each block of the chunk, where it is wanted; nodes before 0.2 leave it out. */
    table: Type.Optional(ChecksumTable),
  }),
  replyPayloadBytes: ({ length }) => length,
});

/**
 * Reads parts of several chunks, which follow each other in the reply's payload. Those that cannot be read are left out:
 * `read` says why. No more than a chunk's size in all.
 */
export const readparts = command('readparts', 1010, {
  allow: CLIENTS,
  request: Type.Object({ parts: Type.Array(ChunkPart, { maxItems: MAX_SMALL_FILES }) }),
  reply: Type.Object({
    /** Which of the parts these are, and what `read` tells of each. */
    read: Type.Array(Type.Object({ index: SafeInteger, checksums: ChecksumTable }), {
      maxItems: MAX_SMALL_FILES,
    }),
  }),
  replyPayloadBytes: ({ parts }) => parts.reduce((sum, { length }) => sum + length, 0),
});

/**
 * Every chunk that was acknowledged before this request came is on stable storage when the reply goes, but for those that
 * were lost with the node's power before: the reply names which of `chunks` are not here.
 */
export const syncChunks = command('sync', 1003, {
  allow: CLIENTS_AND_METADATA,
  request: Type.Object({ chunks: Type.Array(ChunkId, { maxItems: MAX_CHUNKS_TO_SYNC }) }),
  reply: Type.Object({ absent: Type.Array(ChunkId) }),
  maxRequestBytes: 192 << 10,
});

/** The intents of a log behind `after` that this node has, with their chunks, in order; fewer than MAX_INTENTS_TOLD: there are no more. */
export const intents = command('intents', 1011, {
  allow: METADATA_SERVER,
  request: Type.Object({ log: LogNumber, after: SafeInteger }),
  reply: Type.Object({ intents: Type.Array(KeptIntent, { maxItems: MAX_INTENTS_TOLD }) }),
});

/**
 * Sent by the metadata server on the node's own connection: copies a chunk to another node, onto stable storage there.
 * ENOENT, EIO when this node cannot read it; else what the other one answers.
 */
export const replicate = command('replicate', 1005, {
  allow: METADATA_SERVER,
  request: Type.Object({ grant: Grant, to: NodeAddress }),
  reply: Type.Object({}),
});

/**
 * Sent by the metadata server on the node's own connection: puts a new chunk together from pieces of others, one after
 * the other, and stores it here and along `forward`, on stable storage. Rejects with what kept a piece from being read.
 */
export const assemble = command('assemble', 1007, {
  allow: METADATA_SERVER,
  request: Type.Object({
    grant: Grant,
    /** For salvage, as in `write`. */
    inode: SafeInteger,
    fileOffset: FileOffset,
    pieces: Type.Array(
      Type.Object({
        chunk: ChunkId,
        offset: Type.Integer({ minimum: 0, maximum: MAX_CHUNK_BYTES }),
        length: Type.Integer({ minimum: 1, maximum: MAX_CHUNK_BYTES }),
        grant: ReadGrant,
        /** Where the chunk is. */
        nodes: Type.Array(NodeAddress, { maxItems: 64 }),
      }),
      { minItems: 1, maxItems: MAX_PIECES },
    ),
    forward: Type.Array(NodeAddress, { maxItems: 64 }),
  }),
  reply: Type.Object({
    stored: Type.Array(NodeNumber),
    /** The CRC-32 of the new chunk's table of checksums. */
    checksum: U32,
  }),
  maxRequestBytes: 1 << 20,
});

/**
 * Sent by the metadata server on the node's own connection: report what is here, after reading all of it with `deep`.
 * Asked again with `start` false, it tells how far that is.
 */
export const verify = command('verify', 1006, {
  allow: METADATA_SERVER,
  request: Type.Object({ start: Type.Boolean(), deep: Type.Boolean() }),
  reply: Type.Object({ isRunning: Type.Boolean(), doneBytes: SafeInteger, totalBytes: SafeInteger }),
});

/** The file in a node's directory that holds what `locality` answers as its proof. */
export const LOCALITY_PROOF_FILE = 'locality-proof';
export const LOCALITY_PROOF_BYTES = 32;

/**
 * Where this node's files are, for a client that may be on the same machine. It is if LOCALITY_PROOF_FILE in `directory`,
 * as the client sees it, holds `proof`: random, and made anew each time a node is started.
 */
export const locality = command('locality', 1008, {
  allow: CLIENTS,
  request: Type.Object({}),
  reply: Type.Object({
    directory: Type.String({ pattern: '^/', maxLength: MAX_PATH_BYTES }),
    proof: Type.String({ pattern: `^[0-9a-f]{${2 * LOCALITY_PROOF_BYTES}}$` }),
  }),
});

/**
 * Where a chunk is in this node's files, for a client that reads it there by itself, and checks what it reads against
 * `checksums`, which this node has checked. The place is true for as long as the node does not move the chunk; nobody is
 * told when that happens. EACCES, ENOENT, EIO as for `read`.
 */
export const locate = command('locate', 1009, {
  allow: CLIENTS,
  request: Type.Object({ chunk: ChunkId, grant: ReadGrant }),
  reply: Type.Object({
    /** Relative to the directory that `locality` told. */
    file: Type.String({ pattern: '^segments/[0-9]{8,10}[.]seg$' }),
    /** Of the chunk's first byte in the file. */
    offset: SafeInteger,
    length: ChunkLength,
    /** One little-endian CRC-32 for each block of CHECKSUM_BLOCK_BYTES. */
    checksums: ChecksumTable,
  }),
});

/** How a data node is. */
export const NodeInfo = Type.Object({
  id: Type.String(),
  node: SafeInteger,
  cluster: Type.String(),
  advertised: HostName,
  totalBytes: SafeInteger,
  freeBytes: SafeInteger,
  chunks: SafeInteger,
  segments: SafeInteger,
});
export type NodeInfo = Static<typeof NodeInfo>;

export const info = command('info', 1004, { allow: CLIENTS, request: Type.Object({}), reply: NodeInfo });
