/**
 * Locks of this client at the metadata server.
 *
 * What the client says when it resumes its session replaces what the server knows: a lock is on the list from when it
 * was granted, and off it from before its unlocking is sent. So whatever a broken connection swallowed, the list is
 * the truth, and what was under way is asked again.
 */
import { sleep, type Clock } from '../../platform/clock.js';
import { DfsError, hasCode } from '../../protocol/errors.js';
import { MAX_FILE_BYTES } from '../../protocol/limits.js';
import { cancellock, lock, testlock, unlock } from '../../protocol/lock-commands.js';
import type { Lock, LockKind } from '../../protocol/types.js';
import type { RpcConnection } from '../../rpc/connection.js';
import type { HeldLocks } from './held-locks.js';
import type { MetadataSession } from '../session/metadata-session.js';

/** A server that does not say in this time what became of a request that is taken back has a new connection coming. */
const CANCEL_TIMEOUT_MS = 3000;
/** How often a request is sent anew because its session ended. */
const MAX_SESSIONS_TRIED = 3;

export class LockClient {
  readonly #session: MetadataSession;
  readonly #held: HeldLocks;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #lastRequest: number;

  /** @param lastRequest the number of the last request of an earlier process, whose session this is */
  constructor(session: MetadataSession, clock: Clock, timeoutMs: number, lastRequest = 0) {
    this.#lastRequest = lastRequest;
    this.#session = session;
    this.#held = session.heldLocks;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  get lastRequest(): number {
    return this.#lastRequest;
  }

  /**
   * Locks a range, in place of what the owner had locked there. EAGAIN when it is not free and `wait` is false, EINTR
   * when `signal` came before the lock, EDEADLK and ENOLCK as fcntl(2) has them.
   */
  async lock(wanted: Lock, wait: boolean, signal?: AbortSignal): Promise<void> {
    const { inode, kind, owner, type } = wanted;
    // flock(2): the old lock is given up before the new one is there.
    if (kind === 'flock' && this.#held.flockType(inode, owner) !== type)
      this.#held.remove(inode, kind, owner);
    this.#lastRequest += 1;
    const asked = new LockAttempt(this.#session, wanted, this.#lastRequest);
    const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs;
    for (;;) {
      const answer = await untilAborted(asked.ask(wait), signal);
      if (answer === 'granted') break;
      if (answer === 'aborted') {
        if (await asked.cancel()) break;
        throw new DfsError('EINTR', 'a signal came before the lock');
      }
      // The server keeps a request without `wait` only while it does not know, after a restart, who holds what.
      if (!wait && this.#clock.monotonicMs() > deadlineMs)
        throw new DfsError('EAGAIN', 'the lock is not free');
      if (answer > 0) await sleep(this.#clock, answer);
    }
    this.#held.add(wanted);
  }

  /** Unlocks a range of what an owner has locked, by default everything; asks nobody when that is nothing. */
  async unlock(inode: number, kind: LockKind, owner: string, start = 0, end = MAX_FILE_BYTES): Promise<void> {
    if (!this.#held.remove(inode, kind, owner, start, end)) return;
    await this.#session.askInSession(unlock, session => ({ session, inode, kind, owner, start, end }));
  }

  /** Unlocks what anybody has locked of an inode. */
  async unlockAll(inode: number): Promise<void> {
    const owners = this.#held.owners(inode);
    await Promise.all(owners.map(async ({ kind, owner }) => await this.unlock(inode, kind, owner)));
  }

  /** A lock that stands in the way of `wanted`. */
  async test(wanted: Lock): Promise<Lock | undefined> {
    const deadlineMs = this.#clock.monotonicMs() + this.#timeoutMs;
    for (;;) {
      const { known, conflict } = await this.#session.askInSession(testlock, session => ({
        session,
        lock: wanted,
      }));
      if (known) return conflict ?? undefined;
      if (this.#clock.monotonicMs() > deadlineMs) {
        throw new DfsError('EIO', 'the metadata server does not know yet who holds which lock');
      }
    }
  }
}

/** One request for a lock, sent as often as it takes. */
class LockAttempt {
  readonly #session: MetadataSession;
  readonly #wanted: Lock;
  readonly #request: number;
  /** The connection by which it was last sent, and the session in which. */
  #sent: { readonly connection: RpcConnection; readonly session: number } | undefined;
  #isOver = false;

  constructor(session: MetadataSession, wanted: Lock, request: number) {
    this.#session = session;
    this.#wanted = wanted;
    this.#request = request;
  }

  /** `granted`, or how long to wait before asking again. */
  async ask(wait: boolean): Promise<'granted' | number> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { granted, pauseMs } = await this.#session.askInSession(lock, (session, connection) => {
          // Taken back while it waited for a connection.
          if (this.#isOver) throw new DfsError('EINTR', 'a signal came before the lock');
          this.#sent = { connection, session };
          return { session, lock: this.#wanted, wait, request: this.#request };
        });
        return granted ? 'granted' : pauseMs;
      } catch (error) {
        if (!hasCode(error, 'ESTALE') || attempt >= MAX_SESSIONS_TRIED || this.#isOver) throw error;
      }
    }
  }

  /**
   * Takes the request back; returns whether the lock had been granted before. Should the connection be lost, then so is
   * the lock, if it was granted: the list of locks with which the session is resumed does not name it.
   */
  async cancel(): Promise<boolean> {
    this.#isOver = true;
    if (!this.#sent) return false;
    const { connection, session } = this.#sent;
    try {
      const { reply } = await connection.call(
        cancellock,
        { session, lock: this.#wanted, request: this.#request },
        { timeoutMs: CANCEL_TIMEOUT_MS },
      );
      return reply.granted;
    } catch {
      connection.close(new DfsError('ECONNRESET', 'it is not known what became of a lock'));
      return false;
    }
  }
}

async function untilAborted<Result>(
  work: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result | 'aborted'> {
  if (!signal) return await work;
  let abort: (() => void) | undefined;
  const aborted = new Promise<'aborted'>(resolve => {
    abort = () => resolve('aborted');
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
  // When the signal wins, nobody waits for the work any more; that it fails then is what was wanted.
  work.catch(() => undefined);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (abort) signal.removeEventListener('abort', abort);
  }
}
