/**
 * Takes inodes back from the sessions that have them to themselves (exclusive-leases.ts). The answer comes when what concerns
 * them is committed, with everything that the holder had logged before.
 */
import { sleep, type Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { ReplyOf, RequestOf } from '../../protocol/command.js';
import { toDfsError } from '../../protocol/errors.js';
import { inodesOf, MAX_INODE_RANGES, toRanges } from '../../protocol/inode-ranges.js';
import { SILENT_CLIENT_MS } from '../../protocol/limits.js';
import type { recall } from '../../protocol/session-commands.js';
import type { ExclusiveLeases } from './exclusive-leases.js';
import type { LeaseTable } from './lease-table.js';
import type { ClientCalls } from './revocations.js';

type RecallRequest = RequestOf<typeof recall>;
type RecallReply = ReplyOf<typeof recall>;

/** A session that leaves a recall unanswered for longer has its lease renewed no more: it is over before the session is ended. */
const ANSWER_PATIENCE_MS = 15_000;
/** How often is looked whether a session that cannot be asked is back, or gone. */
const ABSENCE_CHECK_MS = 50;
/** How much of what the largest holder has it is asked to keep when the table is full. */
const KEPT_PART = 0.5;
const MOST_KEPT = 4 * 65_536;

export interface RecallsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly exclusive: ExclusiveLeases;
  readonly leases: LeaseTable;
  /** Puts on record that a session, if it is gone, has lost what it had to itself. */
  readonly forfeit: (session: number) => Promise<void>;
  /** Ends a session that is silent. */
  readonly fence: (session: number) => Promise<void>;
}

export class Recalls {
  readonly #options: RecallsOptions;
  /** inode → its recall that is under way */
  readonly #underWay = new Map<number, Promise<void>>();
  #isTrimming = false;
  #isClosed = false;

  constructor(options: RecallsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when none of the inodes is any session's but `by`'s alone, and what their holders had acknowledged of them is committed,
   * or lost with its holder. Never rejects.
   */
  async recall(inodes: readonly number[], by: number): Promise<void> {
    const wanted = new Map<number, number[]>();
    const waiting = new Set<Promise<void>>();
    for (const inode of inodes) {
      const holder = this.#options.exclusive.holderOf(inode);
      if (holder === undefined || holder === by) continue;
      const earlier = this.#underWay.get(inode);
      if (earlier) waiting.add(earlier);
      else if (wanted.get(holder)?.push(inode) === undefined) wanted.set(holder, [inode]);
    }
    for (const [holder, asked] of wanted) {
      const recalled = this.#takeBack(holder, asked);
      for (const inode of asked) this.#underWay.set(inode, recalled);
      waiting.add(recalled);
    }
    await Promise.all(waiting);
  }

  /** Nobody has anything to himself when it resolves. Never rejects. */
  async recallAll(): Promise<void> {
    const { exclusive } = this.#options;
    await Promise.all(exclusive.holders().map(async session => await this.#keepOnly(session, 0)));
  }

  /** The table is full: the session that has most gives some of it back, and chooses what. Never rejects. */
  async trim(): Promise<void> {
    const { exclusive, log } = this.#options;
    const session = exclusive.largest();
    if (this.#isTrimming || session === undefined) return;
    this.#isTrimming = true;
    const keep = Math.floor(Math.min(MOST_KEPT, exclusive.countOf(session) * KEPT_PART));
    const given = await this.#keepOnly(session, keep);
    log.info({ session, keep, given }, 'a session had very much to itself');
    this.#isTrimming = false;
  }

  /** The session gives back all but so many inodes of its choice; returns how many that are. Never rejects. */
  async #keepOnly(session: number, keep: number): Promise<number> {
    const { exclusive, leases } = this.#options;
    exclusive.trimming(session, 1);
    const answer = await this.#ask(session, { inodes: [], keep });
    const kept = new Set(inodesOf(answer?.kept ?? [], keep));
    const given = answer ? exclusive.keepOnly(session, inode => kept.has(inode)) : [];
    // What it gave back it may go on caching.
    for (const inode of given) leases.share(session, inode);
    exclusive.trimming(session, -1);
    return given.length;
  }

  /** Waits until no session of an earlier process but `by` may have anything to itself. Never rejects. */
  async untilSure(by: number): Promise<void> {
    const { clock, exclusive, leases, forfeit } = this.#options;
    while (exclusive.isUnsure(by) && !this.#isClosed) {
      await Promise.all(
        exclusive.presumedBut(by).map(async session => {
          if (leases.isGone(session)) await forfeit(session);
        }),
      );
      if (exclusive.isUnsure(by)) await sleep(clock, ABSENCE_CHECK_MS);
    }
  }

  /** Lets go of everybody who waits. May be called twice. */
  close(): void {
    this.#isClosed = true;
  }

  async #takeBack(session: number, inodes: readonly number[]): Promise<void> {
    const { exclusive, leases } = this.#options;
    for (let at = 0; at < inodes.length; at += MAX_INODE_RANGES) {
      const part = inodes.slice(at, at + MAX_INODE_RANGES);
      await this.#ask(session, { inodes: toRanges(part) });
      for (const inode of part) {
        this.#underWay.delete(inode);
        if (exclusive.holderOf(inode) === session) leases.share(session, inode);
        exclusive.pause(inode);
      }
    }
  }

  /** Never rejects: a session that could not be ended (the disk is full, …) is tried again. */
  async #fence(session: number): Promise<void> {
    const { log, fence } = this.#options;
    log.warn({ session }, 'a session that does not answer a recall is ended');
    try {
      await fence(session);
    } catch (error) {
      log.error({ session, reason: toDfsError(error).message }, 'a session did not end');
    }
  }

  /** The session's answer; undefined when it has nothing to itself any more. Never rejects. */
  async #ask(session: number, request: RecallRequest): Promise<RecallReply | undefined> {
    const { clock, log, exclusive, leases, forfeit } = this.#options;
    const sinceMs = clock.monotonicMs();
    let isOverdue = false;
    /** By a connection that failed it is not asked again. */
    let failed: ClientCalls | undefined;
    const blame = (): void => {
      isOverdue = true;
      leases.blame(session, 1);
    };
    const blaming = clock.setTimer(ANSWER_PATIENCE_MS, blame, true);
    try {
      while (exclusive.mayHold(session) && !this.#isClosed) {
        const calls = leases.callsOf(session);
        try {
          if (calls && calls !== failed) return await calls.recall(request);
        } catch (error) {
          log.info({ session, reason: toDfsError(error).message }, 'a session did not answer a recall');
          failed = calls;
        }
        if (leases.isGone(session)) await forfeit(session);
        else if (clock.monotonicMs() - sinceMs >= SILENT_CLIENT_MS) await this.#fence(session);
        if (exclusive.mayHold(session)) await sleep(clock, ABSENCE_CHECK_MS);
      }
      return undefined;
    } finally {
      blaming.cancel();
      if (isOverdue) leases.blame(session, -1);
    }
  }
}
