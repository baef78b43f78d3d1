/** The metadata server's commands for sessions, what they cache, and what they acknowledge ahead. */
import { Type, type Static } from '@sinclair/typebox';
import { changesInBatch } from './batched-changes.js';
import { command } from './command.js';
import { Rights } from './export-commands.js';
import { CLIENTS, METADATA_SERVER } from './roles.js';
import {
  MAX_BATCH,
  MAX_DECLARED_LOCKS,
  MAX_HELD_AT_ONCE,
  MAX_NEWS,
  MAX_OPEN_INODES,
  MAX_PATH_NAMES,
  MAX_RESERVED_INODES,
  MAX_REVOKED,
  MAX_UNSYNCED_CHANGES,
} from './limits.js';
import { InodeRange, InodeRanges } from './inode-ranges.js';
import { Nothing, Dentry } from './request-shapes.js';
import { Attributes, InodeNumber, Lock, NameBytes, Once, SafeInteger, U32, WireTimespec } from './types.js';

/**
 * How long the client may answer from what it caches, counted from when it sent the request; 0: it may not
 * (docs/decisions/05).
 */
const LeaseMs = SafeInteger;

/** The metadata server's clock when it answered, from which the client learns how its own differs (client/session/server-clock.ts). */
const ServerTime = { now: Type.Optional(WireTimespec) };

/** How many changes the session may have acknowledged that the server has not committed; left out: as many as it likes. */
const Ahead = { ahead: Type.Optional(SafeInteger) };

/** Begins a session, or takes up one after the connection broke. */
export const session = command('session', 10, {
  allow: CLIENTS,
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
    /** The inodes that this client has to itself; none when left out. */
    held: Type.Optional(InodeRanges),
    /** It knows `rights`, and so who its users are when it decides something by itself. */
    heedsRights: Type.Optional(Type.Boolean()),
    /** The directory that it is to see as its root; left out: whatever it may mount. */
    path: Type.Optional(Type.Array(NameBytes, { maxItems: MAX_PATH_NAMES })),
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
    /**
     * False: the client was away for so long that others may have used what it had to itself. Said again until the client resumes
     * with nothing.
     */
    heldKept: Type.Boolean(),
    cluster: Type.String(),
    leaseMs: LeaseMs,
    ...ServerTime,
    /** Another one after each start of the server: versions that were told before may be given again to other content. */
    run: Type.String({ maxLength: 64 }),
    /** Those of `unsynced` that a power loss took: they were done, and are undone. */
    lost: Type.Array(SafeInteger, { maxItems: MAX_UNSYNCED_CHANGES }),
    /** What the session may do; left out: everything. */
    rights: Type.Optional(Rights),
  }),
  maxRequestBytes: 3 << 20,
});

/** Says that the session's client lives, and whether it keeps what it is told (as for `session`). */
export const renew = command('renew', 11, {
  allow: CLIENTS,
  request: Type.Object({ session: SafeInteger, caches: Type.Optional(Type.Boolean()) }),
  reply: Type.Object({ leaseMs: LeaseMs, ...ServerTime }),
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

/**
 * Goes with the reply to any request of a session that caches: inodes that the session has to itself from now on. It may change them,
 * and answer its programs before it has told the server, which it does with `batch`, until they are recalled (`recall`).
 */
export const Given = Type.Object({ given: InodeRanges });
export type Given = Static<typeof Given>;

/** Ends a session: what it had open is closed. */
export const end = command('end', 12, {
  allow: CLIENTS,
  request: Type.Object({ session: SafeInteger }),
  reply: Nothing,
});

/**
 * Sent by the metadata server to a session that caches: what is named here has changed, or is about to be acknowledged
 * as changed. The reply says that nothing of it will be answered from a cache any more.
 */
export const revoke = command('revoke', 14, {
  allow: METADATA_SERVER,
  request: Type.Object({
    /** Inodes whose attributes changed, and their content unless `version` is the one that is cached. */
    inodes: Type.Array(Type.Object({ inode: InodeNumber, version: SafeInteger }), { maxItems: MAX_REVOKED }),
    /** Names that came, went, or lead to another inode. */
    names: Type.Array(Type.Object(Dentry), { maxItems: MAX_REVOKED }),
    /** Directories of which every name is to be dropped. */
    directories: Type.Array(InodeNumber, { maxItems: MAX_REVOKED }),
    /**
     * Directories that another session has to itself for a while, in its turn: no name in them may be answered from a cache. What is
     * kept is true up to the position, and what has changed since comes with the session's own turn (`hold`).
     */
    left: Type.Optional(
      Type.Array(Type.Object({ directory: InodeNumber, at: SafeInteger }), { maxItems: MAX_REVOKED }),
    ),
    /**
     * What became of some of these, which is to be kept at once: nobody but this session and the one that changed them has to hear of
     * it. Names lead to inodes, or nowhere (0).
     */
    news: Type.Optional(
      Type.Object({
        attributes: Type.Array(Attributes, { maxItems: MAX_NEWS }),
        names: Type.Array(Type.Object({ ...Dentry, inode: SafeInteger }), { maxItems: MAX_NEWS }),
      }),
    ),
    /** All that the session caches. */
    everything: Type.Boolean(),
  }),
  reply: Type.Object({
    /** Directories named here about which programs of the client have asked of late. */
    used: Type.Optional(Type.Array(InodeNumber, { maxItems: MAX_REVOKED })),
  }),
  maxRequestBytes: 2 << 20,
});

/**
 * Sent by the metadata server: the session has these inodes no longer to itself. The reply comes when everything that it had
 * acknowledged of them is committed, with all that it had logged before.
 */
export const recall = command('recall', 18, {
  allow: METADATA_SERVER,
  request: Type.Object({
    inodes: InodeRanges,
    /** It has everything else to itself no longer either, but for so many inodes of its own choice, at the most. */
    keep: Type.Optional(SafeInteger),
  }),
  reply: Type.Object({
    /** What it keeps, when asked for `keep`. */
    kept: InodeRanges,
  }),
  maxRequestBytes: 1 << 20,
});

/** An inode that a session has to itself from now on, as it is. */
export const Holding = Type.Object({
  attributes: Attributes,
  hasXattrs: Type.Boolean(),
  /** Every name in the directory that has changed since a position (`revoke`), and where it did; left out when that is not known. */
  changed: Type.Optional(
    Type.Object({
      since: SafeInteger,
      names: Type.Array(Type.Object({ at: SafeInteger, name: NameBytes })),
    }),
  ),
});
export type Holding = Static<typeof Holding>;

/**
 * The session asks to have these inodes to itself, and for numbers for new ones, which it has to itself as soon as they are its own.
 */
export const hold = command('hold', 15, {
  allow: CLIENTS,
  request: Type.Object({
    session: SafeInteger,
    inodes: Type.Array(InodeNumber, { maxItems: MAX_HELD_AT_ONCE }),
    /**
     * It is about to write to the only one of `inodes`, and shares it with others who write: it waits for its turn, in which the
     * others do not have it.
     */
    turn: Type.Optional(Type.Boolean()),
    reserve: Type.Integer({ minimum: 0, maximum: MAX_RESERVED_INODES }),
  }),
  reply: Type.Object({
    /** Those that it has to itself. Of others somebody has made use just now, or may still. */
    given: InodeRanges,
    inodes: Type.Optional(InodeRange),
    /** With its turn: what it was given. */
    holding: Type.Optional(Holding),
    freeBytes: SafeInteger,
    ...ServerTime,
    ...Ahead,
  }),
  maxRequestBytes: 64 << 10,
});

/**
 * Changes that the session has acknowledged already, in their order, committed together. One that is refused leaves the
 * others alone.
 */
export const batch = command('batch', 17, {
  allow: CLIENTS,
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
    inodes: Type.Optional(InodeRange),
    freeBytes: SafeInteger,
    ...ServerTime,
    ...Ahead,
  }),
  maxRequestBytes: 2 << 20,
  changes: ({ changes }) => changesInBatch(changes),
});

/** Everything acknowledged before this request was sent is on stable storage when the reply comes. */
export const sync = command('sync', 13, { allow: CLIENTS, request: Nothing, reply: Nothing });
