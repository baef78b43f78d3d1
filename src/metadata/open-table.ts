/**
 * The inodes that each session has open. In memory only: after a restart each client names them again when it resumes its
 * session, and until all clients have, every inode counts as open.
 */
import { DfsError } from '../protocol/errors.js';
import { MAX_OPEN_INODES } from '../protocol/limits.js';

export class OpenTable {
  /** inode → the sessions that have it open */
  readonly #byInode = new Map<number, Set<number>>();
  /** session → the inodes it has open */
  readonly #bySession = new Map<number, Set<number>>();

  /** ENFILE when the session has as many inodes open as it may. */
  checkRoom(session: number): void {
    if ((this.#bySession.get(session)?.size ?? 0) < MAX_OPEN_INODES) return;
    throw new DfsError('ENFILE', `this client already has ${MAX_OPEN_INODES} files open; close some`);
  }

  /** Returns whether it was not open in that session before. */
  add(session: number, inode: number): boolean {
    const inodes = setOf(this.#bySession, session);
    if (inodes.has(inode)) return false;
    inodes.add(inode);
    setOf(this.#byInode, inode).add(session);
    return true;
  }

  /** Returns whether it was open in that session. */
  delete(session: number, inode: number): boolean {
    if (!deleteFrom(this.#bySession, session, inode)) return false;
    deleteFrom(this.#byInode, inode, session);
    return true;
  }

  has(session: number, inode: number): boolean {
    return this.#bySession.get(session)?.has(inode) === true;
  }

  /** Whether another session than that has the inode open. */
  isOpenElsewhere(session: number, inode: number): boolean {
    const sessions = this.#byInode.get(inode);
    return sessions !== undefined && sessions.size > (sessions.has(session) ? 1 : 0);
  }

  isOpen(inode: number): boolean {
    return this.#byInode.has(inode);
  }

  /** The inodes that a session has open. */
  of(session: number): number[] {
    return [...(this.#bySession.get(session) ?? [])];
  }
}

function setOf(map: Map<number, Set<number>>, key: number): Set<number> {
  let set = map.get(key);
  if (!set) map.set(key, (set = new Set()));
  return set;
}

function deleteFrom(map: Map<number, Set<number>>, key: number, member: number): boolean {
  const set = map.get(key);
  if (!set?.delete(member)) return false;
  if (set.size === 0) map.delete(key);
  return true;
}
