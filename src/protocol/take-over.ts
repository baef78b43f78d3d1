/**
 * What the process that serves a mount and the one that takes its place tell each other, and the state that goes over; and what it tells
 * processes that wait for its end. All are on one machine, and may be of different builds: a successor's version is agreed on first, and
 * every message is checked against its shape.
 */
import { Type, type Static } from '@sinclair/typebox';
import { MessageShape } from './command.js';
import { DfsError, isErrnoName } from './errors.js';
import { MAX_DECLARED_LOCKS, MAX_OPEN_INODES, MAX_UNSYNCED_CHANGES } from './limits.js';
import { Attributes, InodeNumber, Lock, NameBytes, SafeInteger, U32 } from './types.js';

/** The version of everything in this file. A build that speaks several names them all, and the newest of both is taken. */
export const TAKE_OVER_VERSION = 1;

const MAX_HANDLES = 1 << 20;
const Handle = Type.Integer({ minimum: 1, maximum: 0x7fff_ffff });

/** A DfsError. */
const Failure = Type.Object({ code: Type.String({ maxLength: 32 }), message: Type.String() });
type Failure = Static<typeof Failure>;
const FailureOf = Type.Object({ inode: InodeNumber, failure: Failure });

export function encodeFailure({ code, message }: DfsError): Failure {
  return { code, message };
}

export function decodeFailure({ code, message }: Failure): DfsError {
  return new DfsError(isErrnoName(code) ? code : 'EIO', message);
}

/** A session at the metadata server, of which nothing is under way. */
export const SessionState = Type.Object({
  session: SafeInteger,
  secret: Type.Uint8Array({ maxByteLength: 32 }),
  cluster: Type.String(),
  /** The server's start in which it was resumed last. */
  run: Type.String({ maxLength: 64 }),
  /** The directory that was asked for as the root; left out: whatever the machine may mount. */
  path: Type.Optional(Type.Array(NameBytes)),
  /** Numbered requests, and requests for locks, so far. */
  sequence: SafeInteger,
  lockRequests: SafeInteger,
  locks: Type.Array(Lock, { maxItems: MAX_DECLARED_LOCKS }),
  opens: Type.Array(Type.Object({ inode: InodeNumber, handles: SafeInteger }), { maxItems: MAX_OPEN_INODES }),
  unsynced: Type.Array(
    Type.Object({
      sequence: SafeInteger,
      directories: Type.Array(InodeNumber),
      inodes: Type.Array(InodeNumber),
    }),
    { maxItems: MAX_UNSYNCED_CHANGES },
  ),
  /** Changes that are gone, of which no program was told. */
  lost: Type.Object({
    inodes: Type.Array(FailureOf),
    anywhere: Type.Optional(Failure),
    any: Type.Optional(Failure),
  }),
});
export type SessionState = Static<typeof SessionState>;

/** What programs have open. Everything that was written is committed. */
export const OpenFilesState = Type.Object({
  files: Type.Array(
    Type.Object({
      attributes: Attributes,
      /** Its last name was removed through this mount. */
      hasLostNames: Type.Boolean(),
      /** What handles that were not told of it are to be told. */
      failure: Type.Optional(Failure),
    }),
    { maxItems: MAX_OPEN_INODES },
  ),
  handles: Type.Array(
    Type.Object({
      handle: Handle,
      inode: InodeNumber,
      /** Those of open(2). */
      flags: U32,
      isToldOfFailure: Type.Boolean(),
      hasLostLock: Type.Boolean(),
    }),
    { maxItems: MAX_HANDLES },
  ),
  /** The number that was given last. */
  lastHandle: SafeInteger,
  lockOwners: Type.Array(
    Type.Object({
      inode: InodeNumber,
      owner: Type.String({ maxLength: 64 }),
      handles: Type.Array(Handle, { maxItems: MAX_HANDLES }),
    }),
  ),
  /** Files that are indexes of SQLite by their names. */
  sqliteIndexes: Type.Array(InodeNumber),
  /** Failures of files that nobody has open. */
  failures: Type.Array(FailureOf),
});
export type OpenFilesState = Static<typeof OpenFilesState>;

export const FileSystemState = Type.Object({
  session: SessionState,
  files: OpenFilesState,
  /** The inode that is the root of what is mounted. */
  root: InodeNumber,
});
export type FileSystemState = Static<typeof FileSystemState>;

/** An open directory, and where reading it can go on. */
const OpenDirectoryState = Type.Object({
  handle: SafeInteger,
  inode: InodeNumber,
  parent: InodeNumber,
  opener: Type.Object({ uid: U32, gid: U32, pid: U32 }),
  /** Whether the opener may read it is known. */
  isAllowed: Type.Boolean(),
  movesAtime: Type.Boolean(),
  /** Positions that were told, and the names before them. */
  starts: Type.Array(Type.Object({ position: SafeInteger, after: NameBytes })),
});
export type OpenDirectoryState = Static<typeof OpenDirectoryState>;

/** What the kernel knows of the mount, and was told; the inodes that it knows follow in messages of their own. */
export const KernelState = Type.Object({
  /** Of INIT's negotiation (<linux/fuse.h>). */
  init: Type.Object({ minor: U32, flags: U32, flags2: U32, maxWrite: U32 }),
  keepsNames: Type.Boolean(),
  /** Handles of which the kernel keeps no pages. */
  pageless: Type.Array(Handle, { maxItems: MAX_HANDLES }),
  /** Files with setgid that their group may not execute. */
  lockingGroups: Type.Array(Type.Object({ inode: InodeNumber, gid: U32 })),
  /** Attributes as they were told last. */
  told: Type.Array(Attributes),
  directories: Type.Array(OpenDirectoryState),
  lastDirectory: SafeInteger,
  /** Requests that wait for locks, as they were read. */
  waiting: Type.Array(Type.Uint8Array()),
});
export type KernelState = Static<typeof KernelState>;

/** Everything but the descriptor of /dev/fuse. */
export interface MountState {
  readonly fileSystem: FileSystemState;
  readonly kernel: KernelState;
  /** Inodes that the kernel knows (KnownInodes.pages). */
  readonly inodes: readonly Uint8Array[];
}

const Seconds = Type.Number({ minimum: 0 });

/** How the mount was started. */
export const MountSettings = Type.Object({
  host: Type.String({ maxLength: 255 }),
  port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  keyFile: Type.Optional(Type.String()),
  /** The names of the directory that was asked for as the root. */
  rootPath: Type.Optional(Type.Array(NameBytes)),
  /** Milliseconds, here and below. */
  timeout: Type.Number({ minimum: 0 }),
  readOnly: Type.Boolean(),
  goal: SafeInteger,
  minReplicas: Type.Optional(SafeInteger),
  dirtyBytes: SafeInteger,
  cacheBytes: SafeInteger,
  readAheadBytes: SafeInteger,
  shortCircuit: Type.Boolean(),
  atime: Type.Union([Type.Literal('noatime'), Type.Literal('relatime')]),
  entryTimeoutMs: Seconds,
  attrTimeoutMs: Seconds,
  negativeTimeoutMs: Seconds,
  busyPollMs: Seconds,
});
export type MountSettings = Static<typeof MountSettings>;

/**
 * The conversation. Until `yours` has been sent, the process that serves goes on if anything fails; from then on, only the other one may.
 *
 *     successor                 predecessor
 *       hello          ──►
 *                      ◄──      settings          it serves
 *       give           ──►                        everything is committed, and it stops to read requests
 *                      ◄──      state, inodes … whole, and the descriptor in the mailbox
 *       ready          ──►                        the session is taken up
 *                      ◄──      yours
 *       serving        ──►                        it ends
 *
 * A process that unmounts says `watch` instead, and is told `watching`, then `unmounted` and `ended`, or `handed over`.
 */
export const SuccessorMessage = new MessageShape(
  'message of a successor',
  Type.Union([
    Type.Object({
      say: Type.Literal('hello'),
      versions: Type.Array(SafeInteger, { maxItems: 64 }),
      /** Of DFS, for people. */
      program: Type.String({ maxLength: 64 }),
      process: SafeInteger,
    }),
    /** `mailbox`: where the descriptor of /dev/fuse is to go. */
    Type.Object({ say: Type.Literal('give'), mailbox: Type.String({ maxLength: 256 }) }),
    Type.Object({ say: Type.Literal('ready') }),
    Type.Object({ say: Type.Literal('serving') }),
    Type.Object({ say: Type.Literal('watch') }),
  ]),
);

export const PredecessorMessage = new MessageShape(
  'message of a predecessor',
  Type.Union([
    Type.Object({ say: Type.Literal('settings'), version: SafeInteger, settings: MountSettings }),
    Type.Object({ say: Type.Literal('state'), fileSystem: FileSystemState, kernel: KernelState }),
    Type.Object({ say: Type.Literal('inodes'), page: Type.Uint8Array() }),
    Type.Object({ say: Type.Literal('whole') }),
    Type.Object({ say: Type.Literal('yours') }),
    /** It goes on serving. */
    Type.Object({ say: Type.Literal('refused'), failure: Failure }),
    Type.Object({ say: Type.Literal('watching') }),
    /** The kernel's connection has ended. What was acknowledged may not be stored yet. */
    Type.Object({ say: Type.Literal('unmounted') }),
    /** Everything is stored, or `failure` says why not. The process ends, and the connection with it. */
    Type.Object({ say: Type.Literal('ended'), failure: Type.Optional(Failure) }),
    /** Another process serves the mount, and listens in this one's place. */
    Type.Object({ say: Type.Literal('handed over') }),
  ]),
);
