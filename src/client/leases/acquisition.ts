/** Asks the metadata server for inodes that this client wants to itself (held-inodes.ts). */
import { LRUCache } from 'lru-cache';
import { Type } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import type { ReplyOf } from '../../protocol/command.js';
import { toDfsError } from '../../protocol/errors.js';
import { inodesOf } from '../../protocol/inode-ranges.js';
import { MAX_HELD_AT_ONCE } from '../../protocol/limits.js';
import { Given, type hold } from '../../protocol/session-commands.js';
import type { AttributeCache } from '../caches/attribute-cache.js';
import type { NameCache } from '../caches/name-cache.js';
import type { CacheLease } from './cache-lease.js';
import type { HeldInodes } from './held-inodes.js';

const givenCheck = TypeCompiler.Compile(Type.Partial(Given));

/** What one inode was refused is not asked for again for so long: somebody else uses it. */
const REFUSED_MS = 100;
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
  /** Sends `hold`. */
  readonly ask: (inodes: readonly number[], turn: boolean) => Promise<HoldReply>;
}

export class Acquisition {
  readonly #options: AcquisitionOptions;
  /** inode → the request for it that is under way */
  readonly #asking = new Map<number, Promise<void>>();
  /** inode → monotonic ms before which it is not asked for */
  readonly #refused = new LRUCache<number, number>({ max: MAX_REFUSED });
  /** directory → monotonic ms at which what it holds was asked for */
  readonly #wanted = new LRUCache<number, number>({ max: MAX_WANTED });

  constructor(options: AcquisitionOptions) {
    this.#options = options;
  }

  /**
   * Whether this client, which is about to write to it, has the inode to itself, once the server was asked if need be. Where
   * several clients write, it waits for its turn. Never rejects.
   */
  async acquire(inode: number): Promise<boolean> {
    const { held, lease, clock } = this.#options;
    if (held.has(inode)) return true;
    if (!lease.isAlive) return false;
    const untilMs = this.#refused.get(inode);
    if (untilMs !== undefined && clock.monotonicMs() < untilMs) return false;
    const asking = this.#asking.get(inode) ?? this.#ask([inode], true);
    this.#asking.set(inode, asking);
    await asking;
    this.#asking.delete(inode);
    if (held.has(inode)) return true;
    this.#refused.set(inode, clock.monotonicMs() + REFUSED_MS);
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
    if (!givenCheck.Check(reply) || !reply.given || reply.given.length === 0) return;
    this.#options.held.give(ticket, reply.given);
    if (isChange) for (const inode of inodesOf(reply.given, MAX_HELD_AT_ONCE)) this.#wantEntries(inode);
  }

  #wantEntries(directory: number): void {
    const { names, held, attributes, clock } = this.#options;
    if (!names.isKnown(directory)) return;
    // To look through a large directory takes long, and each of its changes gives it anew.
    const nowMs = clock.monotonicMs();
    const wantedMs = this.#wanted.get(directory);
    if (wantedMs !== undefined && nowMs - wantedMs < WANTED_MS) return;
    this.#wanted.set(directory, nowMs);
    const entries = names.page(directory, new Uint8Array(), MAX_HELD_AT_ONCE)?.names ?? [];
    const wanted = entries
      .map(({ inode }) => inode)
      .filter(inode => inode !== 0 && !held.has(inode) && attributes.get(inode) !== undefined);
    if (wanted.length > 0) void this.#ask(wanted, false);
  }

  /** Never rejects. */
  async #ask(inodes: readonly number[], turn: boolean): Promise<void> {
    const { log, held, ask } = this.#options;
    const ticket = held.ticket();
    try {
      const { given } = await ask(inodes, turn);
      held.give(ticket, given);
    } catch (error) {
      log.debug({ inodes: inodes.length, reason: toDfsError(error).message }, 'inodes were not given');
    }
  }
}
