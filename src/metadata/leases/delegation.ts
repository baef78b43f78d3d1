/**
 * The delegation: one session, as long as it is the only one that is active, answers its programs before it tells the
 * server (`delegate`, `batch`; the client's side is client/log/change-log.ts).
 *
 *     nobody ──quiet, and everybody else has dropped what he cached──► held ──somebody else asks──► recalled ──► nobody
 *
 * 1. It is given only while no request of anybody else is under way, after each other session has dropped what it
 *    cached. From then on a request of anybody else waits, before it reads anything, until the holder has answered a
 *    `revoke` with `recall`, which it does when everything it acknowledged is committed; or until its lease ran out and
 *    its session has ended; or until its connection has been closed for so long that its process must have died. From
 *    then on its batches are refused. So nobody ever sees a state from before something
 *    that the holder has acknowledged, and its session can still commit.
 * 2. Who has it is in the store before the holder hears of it. After a restart it counts as held until that session is
 *    back and has answered, or its lease would have run out (lease-table.ts, 6).
 * 3. What the server does of its own accord (collecting, repair, defragmenting) is revoked from the holder as from
 *    anybody else.
 */
import type { Clock } from '../../platform/clock.js';
import { amend, grant, release } from '../../protocol/content-commands.js';
import { statfs } from '../../protocol/namespace-commands.js';
import {
  drain,
  heartbeat,
  inventory,
  nodes,
  rebalance,
  reg,
  removenode,
} from '../../protocol/cluster-commands.js';
import { delegate, end, renew, session, sync } from '../../protocol/session-commands.js';

/**
 * Commands by which nobody hears of names, attributes or content, nor changes what another session may have changed
 * already: they wait for no delegation.
 */
const OUT_OF_TURN: ReadonlySet<number> = new Set(
  [
    reg,
    heartbeat,
    inventory,
    nodes,
    drain,
    removenode,
    rebalance,
    session,
    renew,
    end,
    sync,
    delegate,
    release,
    grant,
    amend,
    statfs,
  ].map(({ number }) => number),
);

/** Whether a command waits until no other session has the delegation. */
export function needsTurn(command: number): boolean {
  return !OUT_OF_TURN.has(command);
}

/** Nobody else has asked for anything for this long when a session gets the delegation, unless told otherwise. */
const DEFAULT_QUIET_MS = 1000;

/** A session's latest request. */
interface Activity {
  readonly session: number;
  readonly ms: number;
}

const NEVER: Activity = { session: -1, ms: Number.NEGATIVE_INFINITY };

export class Delegation {
  readonly #clock: Clock;
  readonly #quietMs: number;
  /** Resolves when the session has nothing more to commit. */
  readonly #recall: (holder: number) => Promise<void>;
  #holder: number | undefined;
  #recalling: Promise<void> | undefined;
  /** The latest request of all, and the latest by another session than that one. */
  #latest = NEVER;
  #latestOther = NEVER;
  /** session → its requests that are under way */
  readonly #underWay = new Map<number, number>();

  constructor(clock: Clock, recall: (holder: number) => Promise<void>, quietMs = DEFAULT_QUIET_MS) {
    this.#clock = clock;
    this.#quietMs = quietMs;
    this.#recall = recall;
  }

  get holder(): number | undefined {
    return this.#holder;
  }

  /** A session of an earlier process has it, for all that is known. */
  presume(holder: number): void {
    this.#holder = holder;
  }

  /**
   * Lets a request in, after the delegation was recalled if another session has it. Whoever calls this calls `leave`.
   * @param by the session; 0 for who has none
   */
  async enter(by: number): Promise<void> {
    while (!this.tryEnter(by)) {
      if (this.#holder !== undefined) await this.#takeBack(this.#holder);
    }
  }

  /** As `enter`; false when the delegation would have to be recalled. */
  tryEnter(by: number): boolean {
    if (this.#holder !== undefined && this.#holder !== by) return false;
    this.#note(by);
    this.#underWay.set(by, (this.#underWay.get(by) ?? 0) + 1);
    return true;
  }

  /** The request is answered. */
  leave(by: number): void {
    this.#note(by);
    const left = (this.#underWay.get(by) ?? 1) - 1;
    if (left > 0) this.#underWay.set(by, left);
    else this.#underWay.delete(by);
  }

  /** The session has ended, and is active no more. */
  forget(ended: number): void {
    if (this.#latest.session === ended) this.#latest = this.#latestOther;
    if (this.#latestOther.session === ended || this.#latest === this.#latestOther) this.#latestOther = NEVER;
  }

  /** Whether nobody but the session is active. */
  isAlone(by: number): boolean {
    if (this.#holder !== undefined && this.#holder !== by) return false;
    for (const other of this.#underWay.keys()) if (other !== by) return false;
    const { ms } = this.#latest.session === by ? this.#latestOther : this.#latest;
    return this.#clock.monotonicMs() - ms > this.#quietMs;
  }

  /** Returns what undoes it. */
  give(by: number): () => void {
    const before = this.#holder;
    this.#holder = by;
    return () => {
      this.#holder = before;
    };
  }

  /** Nobody has it when it resolves, and everything that was acknowledged under it is committed. */
  async withdraw(): Promise<void> {
    if (this.#holder !== undefined) await this.#takeBack(this.#holder);
  }

  async #takeBack(holder: number): Promise<void> {
    this.#recalling ??= this.#recall(holder).finally(() => {
      this.#recalling = undefined;
      if (this.#holder === holder) this.#holder = undefined;
    });
    await this.#recalling;
  }

  #note(by: number): void {
    if (this.#latest.session !== by) this.#latestOther = this.#latest;
    this.#latest = { session: by, ms: this.#clock.monotonicMs() };
  }
}
