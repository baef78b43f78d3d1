/**
 * Messages that tell sessions to drop what they cache. Each is written for one turn of the event loop, sent, and waited for until
 * its session has answered it, or has no lease any more (lease-table.ts).
 */
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import { toDfsError } from '../../protocol/errors.js';
import type { recall, revoke } from '../../protocol/session-commands.js';
import { RevocationMessage, type LeaseHolder, type Revocation } from './lease-holder.js';

/** What a session is asked by its newest connection. */
export interface ClientCalls {
  /** Tells it what to drop; resolves when it has. */
  readonly revoke: (revocation: Revocation) => Promise<ReplyOf<typeof revoke>>;
  /** Asks for what it has to itself (recalls.ts). */
  readonly recall: (request: RequestOf<typeof recall>) => Promise<ReplyOf<typeof recall>>;
}

export class Revocations {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** session → how it is asked */
  readonly #calls = new Map<number, ClientCalls>();
  /** inode → messages about it that are not answered yet */
  readonly #unanswered = new Map<number, Set<RevocationMessage>>();
  /** Sessions with a message that says to drop everything, not answered yet. */
  readonly #clearing = new Set<LeaseHolder>();
  #isClosed = false;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** How the session is asked; undefined while it has no connection. */
  callsOf(session: number): ClientCalls | undefined {
    return this.#calls.get(session);
  }

  /** The session is asked by `calls` from now on. */
  connect(session: number, calls: ClientCalls): void {
    this.#calls.set(session, calls);
  }

  /** The session has no connection. */
  disconnect(session: number): void {
    this.#calls.delete(session);
  }

  /** Sessions that were told to drop everything, and have not answered. */
  get clearing(): ReadonlySet<LeaseHolder> {
    return this.#clearing;
  }

  /** Messages about the inode that are not answered. */
  about(inode: number): Iterable<RevocationMessage> {
    return this.#unanswered.get(inode) ?? [];
  }

  /** Whether any message is not answered that is about an inode. */
  get hasUnanswered(): boolean {
    return this.#unanswered.size > 0;
  }

  /** Whether there are any. */
  isAbout(inode: number): boolean {
    return this.#unanswered.has(inode);
  }

  /** The message is about the inode, or about a change of others that came with one of it. */
  note(message: RevocationMessage, inode: number): void {
    if (message.isAnswered) return;
    message.about.add(inode);
    const about = this.#unanswered.get(inode);
    if (about) about.add(message);
    else this.#unanswered.set(inode, new Set([message]));
  }

  /** The holder's message that is being written; the changes of requests that were committed together share it. */
  draft(holder: LeaseHolder): RevocationMessage {
    if (holder.draft) return holder.draft;
    const draft = new RevocationMessage(holder, this.#clock.monotonicMs());
    holder.draft = draft;
    holder.messages.add(draft);
    this.#clock.atNextTurn(() => void this.#send(holder, draft));
    return draft;
  }

  /** The message says to drop everything. */
  makeEverything(holder: LeaseHolder, message: RevocationMessage): void {
    message.isEverything = true;
    holder.everything = message;
    this.#clearing.add(holder);
  }

  /** Nobody waits for the holder any more. */
  settleAll(holder: LeaseHolder): void {
    for (const message of holder.messages) this.#settle(holder, message);
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Never rejects. */
  async #send(holder: LeaseHolder, message: RevocationMessage): Promise<void> {
    if (holder.draft === message) holder.draft = undefined;
    const calls = this.#calls.get(holder.session);
    if (message.isAnswered || !calls || this.#isClosed) return;
    try {
      const { used = [] } = await calls.revoke(message.encode());
      for (const directory of used) holder.noteRead(directory);
    } catch (error) {
      // It will be told to drop everything when it is back, or its lease runs out; until then changes wait.
      this.#log.info(
        { session: holder.session, reason: toDfsError(error).message },
        'a session did not say that it dropped what was revoked',
      );
      return;
    }
    this.#answered(holder, message);
  }

  #answered(holder: LeaseHolder, message: RevocationMessage): void {
    // Who has dropped everything has also dropped what earlier messages named.
    if (message.isEverything) {
      for (const earlier of holder.messages) {
        if (earlier === message) break;
        this.#settle(holder, earlier);
      }
    }
    this.#settle(holder, message);
  }

  #settle(holder: LeaseHolder, message: RevocationMessage): void {
    holder.messages.delete(message);
    if (holder.draft === message) holder.draft = undefined;
    if (holder.everything === message) {
      holder.everything = undefined;
      this.#clearing.delete(holder);
    }
    for (const inode of message.about) {
      const about = this.#unanswered.get(inode);
      about?.delete(message);
      if (about?.size === 0) this.#unanswered.delete(inode);
    }
    message.settle();
  }
}
