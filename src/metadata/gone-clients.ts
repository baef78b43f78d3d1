/** Clients that are gone while others wait for what they have: what they lose is put on record, so that a restart knows it too. */
import type { Logger } from '../platform/log.js';
import { toDfsError } from '../protocol/errors.js';
import type { LeasedRequests } from './leases/leased-requests.js';
import { endSession, forfeitHeld } from './operations/session.js';
import type { ServerState } from './server-state.js';

export interface GoneClientsOptions {
  readonly log: Logger;
  readonly state: Pick<ServerState, 'exclusive' | 'locks'>;
  /** Runs something in a transaction. */
  readonly run: LeasedRequests['run'];
}

export class GoneClients {
  readonly #options: GoneClientsOptions;

  constructor(options: GoneClientsOptions) {
    this.#options = options;
  }

  /** The session loses what it had to itself. Never rejects. */
  async forfeit(id: number): Promise<void> {
    const { log, state, run } = this.#options;
    try {
      await run(async (tx, context) => {
        await forfeitHeld(tx, id, context);
        return false;
      });
      if (state.exclusive.isForfeited(id))
        log.warn({ session: id }, 'a client is gone, and what it had acknowledged and not sent yet');
    } catch (error) {
      // It is tried again while anybody waits for it.
      log.error({ session: id, reason: toDfsError(error).message }, 'a client that is gone holds others up');
    }
  }

  /** Ends the session, if it has not ended, with its locks. Rejects when that could not be committed. */
  async fence(id: number): Promise<void> {
    const { state, run } = this.#options;
    await run(async (tx, context) => {
      const session = context.state.sessions.get(id);
      if (session) await endSession(tx, session, context);
      return false;
    });
    state.locks.end(id);
  }
}
