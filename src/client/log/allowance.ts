/**
 * What the metadata server lets this client acknowledge before it is told: so many changes, new inodes under numbers that are
 * reserved for it, and bytes that will have room. Each answer to a batch says it anew; where there are no batches, it is asked for.
 */
import type { Clock } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { toDfsError } from '../../protocol/errors.js';
import type { ReplyOf } from '../../protocol/command.js';
import type { hold } from '../../protocol/session-commands.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { HeldInodes } from '../leases/held-inodes.js';
import type { ServerClock } from '../session/server-clock.js';
import { ReservedNumbers, type NumbersTicket } from './reserved-numbers.js';

/** What an answer says of it. */
export type Allowed = Pick<ReplyOf<typeof hold>, 'inodes' | 'freeBytes' | 'ahead' | 'now'>;

/** Taken before a request that asks for it is sent. */
export interface AllowanceTicket {
  readonly numbers: NumbersTicket;
  readonly sentMs: number;
}

export interface AllowanceOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lease: CacheLease;
  readonly held: HeldInodes;
  readonly serverClock: ServerClock;
  /** Asks for so many numbers, and the rest. */
  readonly ask: (reserve: number) => Promise<Allowed>;
}

/** With more changes than this that the server has not answered, requests wait. */
const MAX_CHANGES = 1024;
/** With less room on any data node, a program is to hear of it when it closes what did not fit. */
const AMPLE_BYTES = 1 << 30;
/** How long nothing is asked for after that failed. */
const PAUSE_MS = 1000;

export class Allowance {
  readonly #options: AllowanceOptions;
  readonly #numbers: ReservedNumbers;
  #isAsking = false;
  #askAgainMs = Number.NEGATIVE_INFINITY;
  #freeBytes = 0;
  /** How many changes the server has room for, whatever happens. */
  #changes = 0;

  constructor(options: AllowanceOptions) {
    this.#options = options;
    this.#numbers = new ReservedNumbers(options.held);
  }

  /** How many changes may be acknowledged that the server has not answered. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether there is so much room that storing so many more bytes will not fail for want of it. */
  hasRoomFor(bytes: number): boolean {
    return this.#freeBytes - bytes > AMPLE_BYTES;
  }

  /** A number for a new inode, which is this client's alone, if there is one. */
  takeNumber(): number | undefined {
    return this.#numbers.take();
  }

  /** How many numbers the server should be asked for. */
  get wantedNumbers(): number {
    return this.#numbers.wanted;
  }

  /** No number is this client's any more; the next answer brings others. */
  voidNumbers(): void {
    this.#numbers.void();
  }

  /** The server is asked for a change: the next ones may be made ahead, with new numbers. */
  noteRequest(): void {
    const { clock, lease } = this.#options;
    if (this.#isAsking || !lease.isAlive || this.#numbers.wanted === 0) return;
    if (clock.monotonicMs() >= this.#askAgainMs) void this.#ask();
  }

  ticket(): AllowanceTicket {
    return { numbers: this.#numbers.ticket(), sentMs: this.#options.clock.monotonicMs() };
  }

  /** Takes over what the server answered. */
  learn(
    { inodes, freeBytes, ahead = MAX_CHANGES, now }: Allowed,
    { numbers, sentMs }: AllowanceTicket,
  ): void {
    this.#options.serverClock.learn(sentMs, now);
    this.#freeBytes = freeBytes;
    this.#changes = Math.min(MAX_CHANGES, ahead);
    this.#numbers.learn(inodes, numbers);
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { clock, log, ask } = this.#options;
    this.#isAsking = true;
    const ticket = this.ticket();
    try {
      this.learn(await ask(this.#numbers.wanted), ticket);
    } catch (error) {
      log.debug({ reason: toDfsError(error).message }, 'no numbers were given');
      this.#askAgainMs = clock.monotonicMs() + PAUSE_MS;
    } finally {
      this.#isAsking = false;
    }
  }
}
