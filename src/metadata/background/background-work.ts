/**
 * The server's background work: it ends silent sessions, destroys inodes that no session has open any more, deletes
 * the extents of large files that are gone, and dooms chunks without references. Everything goes through the same
 * transactions as requests, in small pieces.
 */
import type { Clock, Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import { endSession, forfeitLocks } from '../operations/session.js';
import type { OperationContext } from '../operation.js';
import type { ServerState } from '../server-state.js';
import type { StoreTransaction } from '../store/store.js';
import { collectDoomedChunks, collectExpiredGrants, forgetRetiredChunks } from './chunk-collector.js';
import { collectGarbage, collectOrphans, collectUnlinked } from './inode-collector.js';

/** How often is looked whether there is something to do. */
const ROUND_MS = 1000;
/** How long after the end of a scan for orphans the next one begins. */
const ORPHAN_SCAN_MS = 30_000;

/** Does one small piece of work in a transaction; returns whether there may be more. */
export type Piece = (tx: StoreTransaction, context: OperationContext) => Promise<boolean>;

/** Runs a piece of work in a transaction of the server. */
export type RunPiece = (piece: Piece) => Promise<boolean>;

export interface BackgroundWorkOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: ServerState;
  readonly run: RunPiece;
}

export class BackgroundWork {
  readonly #options: BackgroundWorkOptions;
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #isClosed = false;
  /** Orphans up to this inode were looked at in this scan. */
  #orphansAfter = 0;
  /** Monotonic ms before which no further scan begins. */
  #nextOrphanScanMs = 0;

  constructor(options: BackgroundWorkOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  /** Ends after the piece under way. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#round;
  }

  #schedule(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(
      ROUND_MS,
      () => {
        this.#round = this.#runRound().finally(() => this.#schedule());
      },
      true,
    );
  }

  /** Never rejects. */
  async #runRound(): Promise<void> {
    this.#options.state.leases.look();
    try {
      await this.#endSilentSessions();
      await this.#releaseAbandonedLocks();
      await this.#repeat(collectUnlinked);
      await this.#repeat(async (tx, context) => await this.#collectOrphansOnce(tx, context));
      await this.#repeat(collectGarbage);
      await this.#repeat(collectDoomedChunks);
      await this.#repeat(collectExpiredGrants);
      await this.#repeat(forgetRetiredChunks);
    } catch (error) {
      // Everything is still on record; the next round tries again.
      if (!this.#isClosed) {
        this.#options.log.error({ reason: toDfsError(error).message }, 'background work failed');
      }
    }
  }

  async #repeat(piece: Piece): Promise<void> {
    while (!this.#isClosed && (await this.#options.run(piece)));
  }

  async #endSilentSessions(): Promise<void> {
    const { state, clock, log, run } = this.#options;
    for (const session of state.sessions.expired(clock.monotonicMs())) {
      if (this.#isClosed) return;
      log.warn({ session: session.id, client: session.client }, 'ending a session whose client is silent');
      await run(async (tx, context) => {
        await endSession(tx, session, context);
        return false;
      });
      state.locks.end(session.id);
    }
  }

  async #releaseAbandonedLocks(): Promise<void> {
    const { state, log, run } = this.#options;
    for (const session of state.locks.abandoned()) {
      if (this.#isClosed) return;
      if (!(await run(async (tx, context) => await forfeitLocks(tx, session, context)))) continue;
      log.warn(
        { session },
        'letting go the locks of a client whose connection closed and that does not come back',
      );
      state.locks.releaseForfeited(session);
    }
  }

  /**
   * Inodes without a name end with their last opener. A scan finds those that nobody closes any more: whose opener did
   * not come back after a restart.
   */
  async #collectOrphansOnce(tx: StoreTransaction, context: OperationContext): Promise<boolean> {
    const { sessions, clock } = context.state;
    const monotonicMs = clock.monotonicMs();
    if (monotonicMs < this.#nextOrphanScanMs || !sessions.isSettled(monotonicMs)) return false;
    const last = await collectOrphans(tx, this.#orphansAfter, context);
    this.#orphansAfter = last ?? 0;
    if (last === undefined) this.#nextOrphanScanMs = monotonicMs + ORPHAN_SCAN_MS;
    return last !== undefined;
  }
}
