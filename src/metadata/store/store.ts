/**
 * The interface between metadata operations and a database: tables of plain records, reached by primary key or by a short
 * range of it, inside a transaction. An engine (sqlite/ is one) implements this and nothing more; every rule of the
 * file system stands in the operations, once.
 *
 * Each access returns a value or a promise of it. Operations await them all, which costs an embedded engine a
 * microtask and lets a networked engine in without a change to any operation.
 */
import type { MemberRole } from '../../identity/member.js';
import type { ExportRule } from '../../protocol/export-commands.js';
import type { Role } from '../../protocol/roles.js';
import type { DfsError } from '../../protocol/errors.js';
import type { Attributes, Extent } from '../../protocol/types.js';
import type { Finding } from '../fsck/finding.js';

/** A value now, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/** An inode as it is stored: what stat(2) tells, and for a directory where `..` leads. */
export interface InodeRecord extends Attributes {
  /** A directory's parent (the root's is itself); 0 for everything else, which may have several. */
  readonly parent: number;
}

/** A chunk that was committed. */
export interface ChunkRecord {
  readonly chunk: number;
  readonly length: number;
  readonly checksum: number;
  /** Extents that refer to it. A chunk with none is doomed. */
  readonly references: number;
  /** How many replicas it should have: the highest goal of the files that refer to it. */
  readonly goal: number;
  /** The data nodes that hold it. */
  readonly nodes: readonly number[];
}

/** A chunk that a client may store, or has stored, and that no commit has named yet. */
export interface GrantRecord {
  readonly chunk: number;
  /** Wall-clock milliseconds after which it cannot be committed any more. */
  readonly expiresMs: number;
  /** The data nodes that may hold it. */
  readonly nodes: readonly number[];
}

export interface SessionRecord {
  readonly session: number;
  readonly secret: Buffer;
  /** Who it is, for people. */
  readonly client: string;
  /** Requests numbered up to here are never executed (again). */
  readonly acknowledged: number;
  /** Whether it may have cached something when the server was last heard of. */
  readonly caches: boolean;
}

export interface NodeRecord {
  readonly node: number;
  /** The identity that the node keeps in its data directory. */
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** What fails together with it: a rack, a machine. Empty: its host. */
  readonly domain: string;
  /** Its chunks are to be moved to other nodes. */
  readonly isDraining: boolean;
  /** The name in its certificate; empty: it has registered by a key. */
  readonly member: string;
}

export interface DirectoryEntryRecord {
  readonly name: Buffer;
  readonly inode: InodeRecord;
}

/** Names as protocol/packed-names.ts has them on the wire. */
export interface PackedNamesRecord {
  readonly packed: Buffer;
  readonly count: number;
  /** How many of them lead to directories. */
  readonly directories: number;
}

export interface InodeTable {
  get(inode: number): Awaitable<InodeRecord | undefined>;
  insert(record: InodeRecord): Awaitable<void>;
  /** Replaces every field of the record with the same number. */
  update(record: InodeRecord): Awaitable<void>;
  delete(inode: number): Awaitable<void>;
  /** How many there are; does not grow slower with them. */
  count(): Awaitable<number>;
}

export interface SymlinkTable {
  get(inode: number): Awaitable<Buffer | undefined>;
  insert(inode: number, target: Uint8Array): Awaitable<void>;
  delete(inode: number): Awaitable<void>;
}

/** (parent inode, name bytes) → inode */
export interface DentryTable {
  /** The inode that a name leads to. */
  get(parent: number, name: Uint8Array): Awaitable<InodeRecord | undefined>;
  /** Entries whose names come after `after`, in byte order; an empty `after` means from the first. */
  after(parent: number, after: Uint8Array, limit: number): Awaitable<DirectoryEntryRecord[]>;
  /** The same as names without attributes. */
  namesAfter(parent: number, after: Uint8Array, limit: number): Awaitable<PackedNamesRecord>;
  /** The first directories among the entries behind `after`. */
  directoriesAfter(parent: number, after: Uint8Array, limit: number): Awaitable<InodeRecord[]>;
  isEmpty(parent: number): Awaitable<boolean>;
  /** The directories in which an inode has names, up to `limit`; quick once there is an index (`indexByInode`). */
  directoriesOf(inode: number, limit: number): Awaitable<number[]>;
  /** Makes the index, unless there is one: about a second for a million names. */
  indexByInode(): Awaitable<void>;
  insert(parent: number, name: Uint8Array, inode: number): Awaitable<void>;
  /** Makes an existing name lead to another inode. */
  update(parent: number, name: Uint8Array, inode: number): Awaitable<void>;
  delete(parent: number, name: Uint8Array): Awaitable<void>;
}

/** (inode, offset) → a run of a chunk's bytes. A file's extents never overlap and never reach beyond its size. */
export interface ExtentTable {
  /** The last extent that begins at or before `offset`. */
  atOrBefore(inode: number, offset: number): Awaitable<Extent | undefined>;
  /** Extents that begin in [start, end), in order. */
  range(inode: number, start: number, end: number, limit: number): Awaitable<Extent[]>;
  /** The last extents that begin at or after `start`, from the end backwards. */
  last(inode: number, start: number, limit: number): Awaitable<Extent[]>;
  insert(inode: number, extent: Extent): Awaitable<void>;
  /** Changes the length of the extent that begins at `offset`. */
  setLength(inode: number, offset: number, length: number): Awaitable<void>;
  /** Deletes the extents that begin in [start, end). */
  deleteRange(inode: number, start: number, end: number): Awaitable<void>;
}

export interface ChunkTable {
  get(chunk: number): Awaitable<ChunkRecord | undefined>;
  /** Those of `chunks` that are on record, in order. */
  among(chunks: readonly number[]): Awaitable<ChunkRecord[]>;
  insert(record: ChunkRecord): Awaitable<void>;
  setReferences(chunk: number, references: number): Awaitable<void>;
  setGoal(chunk: number, goal: number): Awaitable<void>;
  setNodes(chunk: number, nodes: readonly number[]): Awaitable<void>;
  /** Chunks with ids above `after`, in order. */
  after(after: number, limit: number): Awaitable<ChunkRecord[]>;
  deleteMany(chunks: readonly number[]): Awaitable<void>;
}

/** Chunks without references, until their grace is over. */
export interface DoomedTable {
  insert(chunk: number, dueMs: number): Awaitable<void>;
  /** Chunks whose grace is over, oldest first. */
  due(nowMs: number, limit: number): Awaitable<number[]>;
  delete(chunk: number): Awaitable<void>;
  deleteMany(chunks: readonly number[]): Awaitable<void>;
}

/** Chunks that are gone, for as long as a grant for them might still be shown. */
export interface RetiredTable {
  insertMany(chunks: readonly number[], untilMs: number): Awaitable<void>;
  has(chunk: number): Awaitable<boolean>;
  /** Forgets at most `limit` of those that may be forgotten at `nowMs`; returns how many. */
  deleteUntil(nowMs: number, limit: number): Awaitable<number>;
}

export interface GrantTable {
  get(chunk: number): Awaitable<GrantRecord | undefined>;
  insert(record: GrantRecord): Awaitable<void>;
  /** The grants with the lowest chunk ids, which are those that expire first. */
  oldest(limit: number): Awaitable<GrantRecord[]>;
  /** Returns whether there was one. */
  delete(chunk: number): Awaitable<boolean>;
}

/** Chunks that a data node should delete, until it says that it has. */
export interface DropTable {
  insert(node: number, chunk: number, dueMs: number): Awaitable<void>;
  has(node: number, chunk: number): Awaitable<boolean>;
  due(node: number, nowMs: number, limit: number): Awaitable<number[]>;
  insertMany(node: number, chunks: readonly number[], dueMs: number): Awaitable<void>;
  delete(node: number, chunk: number): Awaitable<void>;
  deleteMany(node: number, chunks: readonly number[]): Awaitable<void>;
  /** Forgets everything of a node. */
  deleteAll(node: number): Awaitable<void>;
}

export interface XattrTable {
  get(inode: number, name: Uint8Array): Awaitable<Buffer | undefined>;
  /** In byte order. */
  names(inode: number): Awaitable<Buffer[]>;
  /** Inodes that have any, among those that names of `parent` behind `after`, up to `last`, lead to; each once. */
  among(parent: number, after: Uint8Array, last: Uint8Array): Awaitable<number[]>;
  /** Sets or replaces. */
  put(inode: number, name: Uint8Array, value: Uint8Array): Awaitable<void>;
  delete(inode: number, name: Uint8Array): Awaitable<void>;
  deleteAll(inode: number): Awaitable<void>;
}

export interface SessionRecords {
  all(): Awaitable<SessionRecord[]>;
  insert(record: SessionRecord): Awaitable<void>;
  setAcknowledged(session: number, acknowledged: number): Awaitable<void>;
  setCaches(session: number): Awaitable<void>;
  delete(session: number): Awaitable<void>;
}

/** (session, sequence) → the answer that was given, encoded */
export interface ReplyTable {
  get(session: number, sequence: number): Awaitable<Buffer | undefined>;
  insert(session: number, sequence: number, reply: Uint8Array): Awaitable<void>;
  /** How many replies of a session are kept, and the highest sequence among them (0 without any). */
  summary(session: number): Awaitable<{ readonly count: number; readonly highest: number }>;
  /** Forgets every reply up to and including `sequence`; returns how many. */
  deleteUntil(session: number, sequence: number): Awaitable<number>;
}

/** A set of inode numbers. */
export interface InodeSet {
  /** Members greater than `after`, in order. */
  after(after: number, limit: number): Awaitable<number[]>;
  insert(inode: number): Awaitable<void>;
  delete(inode: number): Awaitable<void>;
}

export interface NodeRecords {
  all(): Awaitable<NodeRecord[]>;
  insert(record: NodeRecord): Awaitable<void>;
  /** Replaces every field of the record with the same number. */
  update(record: NodeRecord): Awaitable<void>;
  delete(node: number): Awaitable<void>;
}

/**
 * `locks-forfeited-SESSION` is there for a session whose locks were let go without its client's knowing; `held-forfeited-SESSION` for one
 * that lost what it had to itself.
 */
export type CounterName =
  | 'inode'
  | 'chunk'
  | 'session'
  | 'node'
  | 'export'
  | `locks-forfeited-${number}`
  | `held-forfeited-${number}`;

export interface CounterTable {
  /** 0 when it was never set. */
  get(name: CounterName): Awaitable<number>;
  set(name: CounterName, value: number): Awaitable<void>;
  delete(name: CounterName): Awaitable<void>;
}

/** What the database was made with. */
export interface ClusterRecord {
  readonly cluster: string;
  readonly grantKey: Buffer;
  /** Of the cluster's key (cluster-key.ts); undefined in a database from before there were any. */
  readonly keyFingerprint?: string | undefined;
}

export interface MemberRecord {
  readonly role: MemberRole;
  readonly name: string;
  /** ms since the epoch */
  readonly joinedMs: number;
}

export interface MemberTable {
  /** By role and name. */
  all(): Awaitable<MemberRecord[]>;
  get(role: string, name: string): Awaitable<MemberRecord | undefined>;
  insert(record: MemberRecord): Awaitable<void>;
  delete(role: string, name: string): Awaitable<void>;
}

/** What lets its holder become a member. */
export interface TokenRecord {
  readonly id: Uint8Array;
  /** By which its holder proves to know it. */
  readonly secret: Uint8Array;
  readonly role: Role;
  /** ms since the epoch */
  readonly madeMs: number;
  readonly expiresMs: number;
  /** It is gone when one has joined by it. */
  readonly isForOne: boolean;
}

export interface TokenTable {
  /** The oldest first. */
  all(): Awaitable<TokenRecord[]>;
  get(id: Uint8Array): Awaitable<TokenRecord | undefined>;
  insert(record: TokenRecord): Awaitable<void>;
  /** Returns how many that were. */
  delete(id: Uint8Array): Awaitable<number>;
  deleteUntil(nowMs: number): Awaitable<number>;
}

/** Which clients may mount what. */
export interface ExportTable {
  /** By number. */
  all(): Awaitable<ExportRule[]>;
  insert(rule: ExportRule): Awaitable<void>;
  /** Returns how many that were. */
  delete(id: number): Awaitable<number>;
}

export interface CertificateRecord {
  readonly serial: string;
  readonly role: MemberRole;
  readonly name: string;
  /** ms since the epoch */
  readonly expiresMs: number;
}

/** Certificates that have not expired. */
export interface CertificateTable {
  insert(record: CertificateRecord): Awaitable<void>;
  /** When the last certificate of a member expires, in ms since the epoch; 0 when it has none. */
  lastExpiry(role: string, name: string): Awaitable<number>;
  /** None of a member's certificates counts any more. */
  revokeAll(role: string, name: string): Awaitable<void>;
  /** The serial numbers of those that do not count, in order. */
  revoked(): Awaitable<string[]>;
  deleteUntil(nowMs: number): Awaitable<number>;
}

/** A file's intent log (intents/intent-logs.ts). */
export interface IntentLogRecord {
  readonly inode: number;
  readonly session: number;
  readonly log: number;
  /** Its intents up to this one are committed. */
  readonly done: number;
  /** The file's content, as the last one left it. */
  readonly version: number;
  /** The nodes that may have intents of it. */
  readonly nodes: readonly number[];
}

export interface IntentLogTable {
  all(): Awaitable<IntentLogRecord[]>;
  /** In the place of another log of the inode, if it has one. */
  put(record: IntentLogRecord): Awaitable<void>;
  advance(inode: number, done: number, version: number): Awaitable<void>;
  delete(inode: number): Awaitable<void>;
}

/** The tables, inside one transaction. */
export interface StoreTransaction {
  /** Changes made so far; tells whether an operation that failed had changed something. */
  readonly changes: number;
  readonly inodes: InodeTable;
  readonly symlinks: SymlinkTable;
  readonly dentries: DentryTable;
  readonly extents: ExtentTable;
  readonly chunks: ChunkTable;
  readonly doomed: DoomedTable;
  readonly retired: RetiredTable;
  readonly grants: GrantTable;
  readonly drops: DropTable;
  readonly xattrs: XattrTable;
  readonly sessions: SessionRecords;
  readonly replies: ReplyTable;
  /** Inodes without a name that somebody may have open. */
  readonly orphans: InodeSet;
  /** Inodes that are gone, whose extents are still to be deleted. */
  readonly garbage: InodeSet;
  /** Files that may be in many small pieces. */
  readonly fragmented: InodeSet;
  readonly intentLogs: IntentLogTable;
  readonly nodes: NodeRecords;
  readonly counters: CounterTable;
  readonly members: MemberTable;
  readonly tokens: TokenTable;
  readonly exports: ExportTable;
  readonly certificates: CertificateTable;
}

/** A transaction with its ends, for those who begin one. */
export interface OwnedTransaction extends StoreTransaction {
  /** Afterwards what was changed survives the death of this process. */
  commit(): Awaitable<void>;
  rollback(): Awaitable<void>;
}

/** What a check found, and how much it found in all. */
export interface StoreFindings {
  readonly findings: readonly Finding[];
  readonly count: number;
}

/** A look at the whole database as it was at one moment. Rejects with EIO. */
export interface StoreCheck {
  /** What breaks an invariant. */
  findings(): Promise<StoreFindings>;
  /** chunk → some paths of files that refer to it, bytes as latin1. */
  pathsOf(chunks: readonly number[]): Promise<ReadonlyMap<number, readonly string[]>>;
  close(): Promise<void>;
}

/** Where a file of a backup goes, and what its head says besides what is in it. */
export interface BackupPlan {
  readonly path: string;
  readonly cluster: string;
  readonly generation: number;
  readonly file: number;
  /** The SHA-256 of the file before, empty for the first. */
  readonly previous: string;
  /** Wall-clock milliseconds. */
  readonly madeMs: number;
}

export interface WrittenBackup {
  readonly isComplete: boolean;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Copies the database while it is used. First all pages in pieces, which may be of different moments; then, as often as
 * one likes, what has changed since: with each of those the copy is complete and of one moment. Every method
 * rejects when the copy cannot be continued, and a new one has to begin.
 */
export interface BackupSource {
  /** Commits so far, which tells whether there is anything new. */
  readonly commits: number;
  /** Begins a copy; resolves with the number of its pages. */
  beginCopy(): Promise<number>;
  /** Writes pages [from, from + count), counted from 1. */
  copyPages(plan: BackupPlan, from: number, count: number): Promise<WrittenBackup>;
  /** Writes what changed since beginCopy(), or since the last call. */
  copyChanges(plan: BackupPlan): Promise<WrittenBackup>;
}

/** A database as its server begins to use it. */
export interface KeyStore {
  readonly cluster: ClusterRecord;
  /** Changes this part of `cluster`; on stable storage when it resolves. Not while there are transactions. */
  setKeys(keys: Omit<ClusterRecord, 'cluster'>): Promise<void>;
}

/** The room that the database has to grow. */
export interface StoreRoom {
  /** Nothing new may be taken; what is there can be changed and deleted. */
  readonly isShort: boolean;
  readonly freeBytes: number;
  /** How many changes a session may have acknowledged that are not committed: whatever happens, they find room. */
  readonly ahead: number;
  /** Told whenever it becomes short. */
  onShort: () => void;
  /** Measures the room. */
  look(): Promise<void>;
  /** The database found no room: lets go what was kept for that. Returns whether there was something. */
  letGo(): Promise<boolean>;
}

/** A database that is open. One transaction at a time. */
export interface Store {
  readonly cluster: ClusterRecord;
  readonly backup: BackupSource;
  readonly room: StoreRoom;
  /** Resolves when a transaction may begin; undefined when one may begin at once. */
  ready(): Promise<void> | undefined;
  begin(): Awaitable<OwnedTransaction>;
  /** Looks at everything as it is now, without stopping anybody. */
  check(): StoreCheck;
  /** Whether something committed is not yet on stable storage. */
  readonly isFlushNeeded: boolean;
  /** Everything committed before the call is on stable storage when it resolves. EIO when that cannot be said. */
  flush(): Promise<void>;
  /** What a caller is told of an error that the engine threw: ENOSPC, EIO, … */
  explain(error: unknown): DfsError;
  /** Puts everything on stable storage and closes. May be called twice. */
  close(): Promise<void>;
}
