/** Asks the metadata server for inodes that this client wants to itself (held-inodes.ts). */
import { LRUCache } from 'lru-cache';
import { Type } from '@sinclair/typebox';
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { ReplyOf } from '../../protocol/command.js';
import { toDfsError } from '../../protocol/errors.js';
import { inodesOf } from '../../protocol/inode-ranges.js';
import { MAX_HELD_AT_ONCE } from '../../protocol/limits.js';
import { Given, type hold, type Holding } from '../../protocol/session-commands.js';
import { ShapeCheck } from '../../protocol/shape-check.js';
import type { AttributeCache } from '../caches/attribute-cache.js';
import type { NameCache } from '../caches/name-cache.js';
import type { XattrCache } from '../caches/xattr-cache.js';
import type { CacheLease } from './cache-lease.js';
import { DirectoryTurns } from './directory-turns.js';
import type { HeldInodes } from './held-inodes.js';

const givenCheck = new ShapeCheck(Type.Partial(Given));

/**
 * What one inode was refused is not asked for again for a while: somebody else uses it. At first for a short one, since others that
 * write to it, too, may just not have asked yet.
 */
const FIRST_REFUSED_MS = 2;
const MAX_REFUSED_MS = 100;
/** Refusals that are remembered. */
const MAX_REFUSED = 4096;
/** How often what a directory holds is asked for while it changes, and of how many directories that is remembered. */
const WANTED_MS = 100;
const MAX_WANTED = 1024;

type HoldReply = ReplyOf<typeof hold>;

export interface AcquisitionOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lease: CacheLease;
  readonly held: HeldInodes;
  readonly names: NameCache;
  readonly attributes: AttributeCache;
  readonly xattrs: XattrCache;
  /** Sends `hold`. */
  readonly ask: (inodes: readonly number[], turn: boolean) => Promise<HoldReply>;
}

export class Acquisition {
  readonly #options: AcquisitionOptions;
  /** inode → the request for it that is under way */
  readonly #asking = new Map<number, Promise<void>>();
  /** inode → how long it is not asked for, and monotonic ms until when */
  readonly #refused = new LRUCache<number, { readonly pauseMs: number; readonly untilMs: number }>({
    max: MAX_REFUSED,
  });
  /** directory → monotonic ms at which what it holds was asked for */
  readonly #wanted = new LRUCache<number, number>({ max: MAX_WANTED });

  /** Directories in which others change names, too. */
  readonly turns: DirectoryTurns;

  constructor(options: AcquisitionOptions) {
    this.#options = options;
    const { clock, held } = options;
    this.turns = new DirectoryTurns({
      clock,
      held,
      acquire: async directory => await this.acquire(directory),
    });
  }

  /**
   * Whether this client, which is about to write to it, has the inode to itself, once the server was asked if need be. Where
   * several clients write, it waits for its turn. Never rejects.
   */
  async acquire(inode: number): Promise<boolean> {
    const { held, lease, clock } = this.#options;
    if (held.has(inode)) return true;
    if (!lease.isAlive) return false;
    const refused = this.#refused.get(inode);
    if (refused && clock.monotonicMs() < refused.untilMs) return false;
    const asking = this.#asking.get(inode) ?? this.#takeTurn(inode);
    this.#asking.set(inode, asking);
    await asking;
    this.#asking.delete(inode);
    if (held.has(inode)) {
      this.#refused.delete(inode);
      return true;
    }
    const pauseMs = Math.min(MAX_REFUSED_MS, refused ? 2 * refused.pauseMs : FIRST_REFUSED_MS);
    this.#refused.set(inode, { pauseMs, untilMs: clock.monotonicMs() + pauseMs });
    return false;
  }

  /** Taken before a request is sent; shown with its reply. */
  ticket(): number {
    return this.#options.held.ticket();
  }

  /**
   * Takes over what the reply to a request gives. A directory that changes is mostly not the last thing in it to
   * change: what it holds is asked for too.
   */
  learn(ticket: number, reply: unknown, isChange: boolean): void {
    if (!this.#options.lease.isWanted) return;
    if (!givenCheck.accepts(reply) || !reply.given || reply.given.length === 0) return;
    this.#options.held.give(ticket, reply.given);
    if (isChange) for (const inode of inodesOf(reply.given, MAX_HELD_AT_ONCE)) this.#wantEntries(inode);
  }

  /** The server changed names in these directories for this client. */
  noteChanged(directories: readonly number[]): void {
    if (this.#options.lease.isAlive) for (const inode of directories) this.turns.noteRefused(inode);
  }

  #wantEntries(directory: number): void {
    const { names, held, attributes, clock } = this.#options;
    if (!names.isKnown(directory)) return;
    // To look through a large directory takes long, and each of its changes gives it anew.
    const nowMs = clock.monotonicMs();
    const wantedMs = this.#wanted.get(directory);
    if (wantedMs !== undefined && nowMs - wantedMs < WANTED_MS) return;
    this.#wanted.set(directory, nowMs);
    const wanted = names
      .inodesIn(directory, MAX_HELD_AT_ONCE)
      .filter(inode => !held.has(inode) && attributes.get(inode) !== undefined);
    if (wanted.length > 0) void this.#ask(wanted);
  }

  /** Never rejects. */
  async #takeTurn(inode: number): Promise<void> {
    const { names, attributes, xattrs, held } = this.#options;
    const holding = await this.#ask([inode], true);
    // While it waited for its turn others changed the inode; from when it was given on, nobody did.
    if (!holding || !held.has(inode)) return;
    const ticket = attributes.ticket();
    attributes.keep(ticket, holding.attributes);
    if (!holding.hasXattrs) xattrs.none(ticket, inode);
    names.resume(inode, holding.changed);
  }

  /** Never rejects. */
  async #ask(inodes: readonly number[], turn = false): Promise<Holding | undefined> {
    const { log, held, ask } = this.#options;
    const ticket = held.ticket();
    try {
      const { given, holding } = await ask(inodes, turn);
      held.give(ticket, given);
      return holding;
    } catch (error) {
      log.debug({ inodes: inodes.length, reason: toDfsError(error).message }, 'inodes were not given');
      return undefined;
    }
  }
}
