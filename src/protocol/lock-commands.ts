/** The metadata server's commands for locks. */
import { Type } from '@sinclair/typebox';
import { command } from './command.js';
import { CLIENTS } from './roles.js';
import { Nothing } from './request-shapes.js';
import { FileOffset, InodeNumber, Lock, LockKind, LockOwner, SafeInteger } from './types.js';

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
  allow: CLIENTS,
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
  allow: CLIENTS,
  request: Type.Object({ ...LockRequest, request: LockRequestNumber }),
  reply: Type.Object({ granted: Type.Boolean() }),
});

/** Unlocks a range of what an owner has locked. No error when nothing is, or when the session has ended. */
export const unlock = command('unlock', 92, {
  allow: CLIENTS,
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
  allow: CLIENTS,
  request: Type.Object(LockRequest),
  reply: Type.Object({
    /** False: the server was restarted, and not every client has said yet what it holds; ask again. */
    known: Type.Boolean(),
    conflict: Type.Union([Lock, Type.Null()]),
  }),
});
