/** The sessions that are alive. Their secrets are in the store too, so that they outlive the server's process. */
import { timingSafeEqual } from 'node:crypto';
import { DfsError } from '../protocol/errors.js';
import { SESSION_TIMEOUT_MS } from '../protocol/limits.js';

export interface Session {
  readonly id: number;
  readonly secret: Buffer;
  readonly client: string;
  /** Requests up to this sequence are not executed any more, and their replies not needed. */
  acknowledged: number;
  /** Replies up to this sequence are deleted. */
  forgotten: number;
  /** The highest sequence executed; one above it is new for certain. */
  highest: number;
  /** Replies in the store. */
  replies: number;
  /** Monotonic ms at which the client was last heard. */
  heardMs: number;
  /** Whether the client told this process what it has open. */
  isResumed: boolean;
  /** Whether the store says that it caches. */
  caches: boolean;
}

/** Time after the last session resumed in which a repeated request may still bring back what it had opened. */
const SETTLE_MS = 5000;

export class SessionTable {
  /** session number → session */
  readonly #sessions = new Map<number, Session>();
  /** Sessions of an earlier process that have not told yet what they have open. */
  #unresumed = 0;
  #settledAtMs = 0;

  get(id: number): Session | undefined {
    return this.#sessions.get(id);
  }

  /** The session, noted as heard at `monotonicMs`. ESTALE when it has ended or never was. */
  require(id: number, monotonicMs: number): Session {
    const session = this.#sessions.get(id);
    if (!session) {
      throw new DfsError(
        'ESTALE',
        `the metadata server has ended session ${id}, or never began it; begin a new one`,
      );
    }
    session.heardMs = monotonicMs;
    return session;
  }

  /** The session if it is alive and `secret` is its own. */
  authenticate(id: number, secret: Uint8Array): Session | undefined {
    const session = this.#sessions.get(id);
    const isOwn =
      session !== undefined &&
      session.secret.length === secret.length &&
      timingSafeEqual(session.secret, secret);
    return isOwn ? session : undefined;
  }

  add(session: Session): void {
    if (this.#sessions.has(session.id)) return;
    this.#sessions.set(session.id, session);
    if (!session.isResumed) this.#unresumed += 1;
  }

  delete(session: Session, monotonicMs: number): void {
    if (!this.#sessions.delete(session.id)) return;
    if (!session.isResumed) this.#oneFewerUnresumed(monotonicMs);
  }

  /** The client told what it has open. */
  resume(session: Session, monotonicMs: number): void {
    if (session.isResumed) return;
    session.isResumed = true;
    this.#oneFewerUnresumed(monotonicMs);
  }

  /** Whether every client that was there before this process started has come back, or is gone. */
  get areAllResumed(): boolean {
    return this.#unresumed === 0;
  }

  /** As areAllResumed, and some time has passed in which requests that were repeated have arrived too. */
  isSettled(monotonicMs: number): boolean {
    return this.#unresumed === 0 && monotonicMs >= this.#settledAtMs;
  }

  /** Sessions not heard of for SESSION_TIMEOUT_MS. */
  expired(monotonicMs: number): Session[] {
    return [...this.#sessions.values()].filter(session => monotonicMs - session.heardMs > SESSION_TIMEOUT_MS);
  }

  get size(): number {
    return this.#sessions.size;
  }

  #oneFewerUnresumed(monotonicMs: number): void {
    this.#unresumed -= 1;
    if (this.#unresumed === 0) this.#settledAtMs = monotonicMs + SETTLE_MS;
  }
}
