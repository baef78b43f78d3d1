/**
 * Changes that this client has acknowledged to its programs before it has told the metadata server (docs/decisions/04: what a return
 * value promises), which it may of inodes that it has to itself (client/leases/held-inodes.ts).
 *
 * Changes go out in batches, in their order, one batch at a time. What is not sent yet is milliseconds old: while the
 * server is slow to answer, or away, nothing more is taken (`isOpen`), and requests wait for the server. So a client that is
 * killed loses what it acknowledged in its last second at the most, and always the newest of it.
 */
import { sleep, type Clock, type Timer } from '../../platform/clock.js';
import { Counts } from '../../platform/counts.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, hasCode, isErrnoName, toDfsError } from '../../protocol/errors.js';
import type { Command, ReplyOf, RequestOf } from '../../protocol/command.js';
import { MAX_BATCH, MAX_RESERVED_INODES } from '../../protocol/limits.js';
import type { batch, Changed, hold } from '../../protocol/session-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { HeldInodes } from '../leases/held-inodes.js';
import type { ServerClock } from '../session/server-clock.js';

type BatchRequest = Omit<RequestOf<typeof batch>, 'once'>;
type BatchReply = ReplyOf<typeof batch> & Partial<Changed>;
type HoldReply = ReplyOf<typeof hold>;

/** A change that the server has not answered. */
export interface LoggedChange {
  readonly change: BatchRequest['changes'][number];
  /** Inodes whose attributes it changes. */
  readonly inodes: readonly number[];
  /** The server refused it. */
  readonly refused: (reason: DfsError) => void;
  /** The server committed it. */
  readonly committed: () => void;
  readonly sinceMs: number;
}

/** Somebody who waits until what was logged before is answered. */
interface Drain {
  readonly change: LoggedChange;
  readonly isUrgent: boolean;
  readonly resolve: () => void;
}

/** How the log talks to the server. */
export interface ChangeLogPeer {
  /** Asks for numbers for new inodes. */
  ask(reserve: number): Promise<Pick<HoldReply, 'inodes' | 'freeBytes' | 'ahead' | 'now'>>;
  /** @param refusal why it must not be sent (again), if it must not */
  send(request: BatchRequest, refusal: () => DfsError | undefined): Promise<BatchReply>;
  /** What the server made of a batch: what it says of each inode that was changed. */
  confirm(changed: readonly Attributes[]): void;
  /** A change was acknowledged, and is not done: nothing that is cached can be believed. */
  broken(reason: DfsError): void;
}

/** A change waits at most so long for others to go with it, unless there are so many. */
const GATHER_MS = 8;
const MANY = 48;
/** With more changes than this, or an older one, that the server has not answered, requests wait. */
const MAX_CHANGES = 1024;
const MAX_AGE_MS = 500;
/** How long, and how often, what a full disk of the server refused is sent again. */
const ROOM_PATIENCE_MS = 10_000;
const ROOM_PAUSE_MS = 250;
/** How long it asks for no numbers after that failed, nor takes anything after a change was refused. */
const PAUSE_MS = 1000;
/** With fewer numbers for new inodes than this, more are asked for. */
const FEW_NUMBERS = MAX_RESERVED_INODES / 2;
/** With less room on any data node, a program is to hear of it when it closes what did not fit. */
const AMPLE_BYTES = 1 << 30;

const NO_NUMBERS = { next: 0, end: 0, ticket: 0 };

export class ChangeLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #lease: CacheLease;
  readonly #held: HeldInodes;
  readonly #serverClock: ServerClock;
  readonly #peer: ChangeLogPeer;
  /** Grows whenever every number is void: so is an answer from before that. */
  #voids = 0;
  #isAsking = false;
  #askAgainMs = Number.NEGATIVE_INFINITY;
  /** Nothing is taken before. */
  #closedUntilMs = Number.NEGATIVE_INFINITY;
  /** Not sent yet. */
  #waiting: LoggedChange[] = [];
  /** In the batch that is under way. */
  #sent: readonly LoggedChange[] = [];
  #isSending = false;
  /** Why what is under way must not be sent again. */
  #lost: DfsError | undefined;
  #timer: Timer | undefined;
  /** Resolvers of those who wait until everything that was logged before is answered. */
  #drains: Drain[] = [];
  /** inode → changes of it that are not answered */
  readonly #pending = new Counts<number>();
  #numbers: { next: number; end: number; readonly ticket: number } = NO_NUMBERS;
  #freeBytes = 0;
  /** How many changes the server has room for, whatever happens. */
  #ahead = 0;

  constructor(
    clock: Clock,
    log: Logger,
    lease: CacheLease,
    held: HeldInodes,
    serverClock: ServerClock,
    peer: ChangeLogPeer,
  ) {
    this.#serverClock = serverClock;
    this.#clock = clock;
    this.#log = log;
    this.#lease = lease;
    this.#held = held;
    this.#peer = peer;
  }

  /** Whether a change may be acknowledged now. */
  get isOpen(): boolean {
    if (!this.#lease.isAlive || this.#clock.monotonicMs() < this.#closedUntilMs) return false;
    const oldest = this.#sent[0] ?? this.#waiting[0];
    if (!oldest) return this.mayOwe(0);
    const isYoung = this.#clock.monotonicMs() - oldest.sinceMs < MAX_AGE_MS;
    return isYoung && this.mayOwe(0);
  }

  /** Whether one more change may be acknowledged while so many are that are not in the log yet. */
  mayOwe(others: number): boolean {
    return others + this.#sent.length + this.#waiting.length < this.#ahead;
  }

  /** Whether there is so much room that storing so many more bytes will not fail for want of it. */
  hasRoomFor(bytes: number): boolean {
    return this.#freeBytes - bytes > AMPLE_BYTES;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#sent.length === 0;
  }

  /** Whether changes of the inode are on their way. */
  isPending(inode: number): boolean {
    return this.#pending.has(inode);
  }

  /** A number for a new inode, which is this client's alone, if there is one. */
  takeNumber(): number | undefined {
    while (this.#numbers.next < this.#numbers.end) {
      const number = this.#numbers.next;
      this.#numbers.next += 1;
      // One that somebody else has asked about is not.
      if (this.#held.mayGive(this.#numbers.ticket, number)) return number;
    }
    return undefined;
  }

  /** The server is asked for a change: the next ones may be made ahead, with new numbers. */
  noteRequest(): void {
    if (this.#isAsking || !this.#lease.isAlive || this.#wanted() === 0) return;
    if (this.#clock.monotonicMs() >= this.#askAgainMs) void this.#ask();
  }

  /** Takes a change that was acknowledged; only while `isOpen`. */
  append<Request extends object>(
    command: Pick<Command, 'number'>,
    request: Request,
    change: Omit<LoggedChange, 'change' | 'sinceMs'> & { readonly at: BatchRequest['changes'][number]['at'] },
  ): void {
    const { at, ...rest } = change;
    const sinceMs = this.#clock.monotonicMs();
    this.#waiting.push({ ...rest, change: { command: command.number, request, at }, sinceMs });
    for (const inode of change.inodes) this.#pending.add(inode);
    if (this.#isSending) return;
    if (this.#waiting.length >= MANY) this.#sendNow();
    else this.#sendLater();
  }

  /**
   * Resolves when everything that was acknowledged before is answered, well or ill.
   * @param isUrgent somebody waits for it: it is sent at once
   */
  async drained(isUrgent = true): Promise<void> {
    const last = this.#waiting.at(-1) ?? this.#sent.at(-1);
    if (!last) return;
    const drained = new Promise<void>(resolve => this.#drains.push({ change: last, isUrgent, resolve }));
    if (isUrgent) this.#sendNow();
    await drained;
  }

  /** No number is this client's any more; the next answer brings others. */
  voidNumbers(): void {
    this.#voids += 1;
    this.#numbers = NO_NUMBERS;
  }

  /** The session is over, or others have used what this client had to itself. */
  lose(): void {
    this.voidNumbers();
    const reason = new DfsError(
      'EIO',
      'the metadata server gave this client up, which was away for too long',
    );
    if (this.#isSending) this.#lost = reason;
    if (this.#waiting.length === 0) return;
    // Others may have gone on without them.
    const lost = this.#waiting.splice(0);
    this.#fail(lost, reason);
    this.#resolveDrains(lost);
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const voids = this.#voids;
    const ticket = this.#held.ticket();
    const sentMs = this.#clock.monotonicMs();
    try {
      const reply = await this.#peer.ask(this.#wanted());
      this.#serverClock.learn(sentMs, reply.now);
      this.#learn(reply, voids === this.#voids ? ticket : undefined);
    } catch (error) {
      this.#log.debug({ reason: toDfsError(error).message }, 'no numbers were given');
      this.#askAgainMs = this.#clock.monotonicMs() + PAUSE_MS;
    } finally {
      this.#isAsking = false;
    }
  }

  #wanted(): number {
    return this.#numbers.end - this.#numbers.next < FEW_NUMBERS ? MAX_RESERVED_INODES : 0;
  }

  /** @param ticket from before the request; undefined when the numbers that it brings are void */
  #learn(
    { inodes, freeBytes, ahead = MAX_CHANGES }: Pick<HoldReply, 'inodes' | 'freeBytes' | 'ahead'>,
    ticket: number | undefined,
  ): void {
    this.#freeBytes = freeBytes;
    this.#ahead = Math.min(MAX_CHANGES, ahead);
    if (!inodes || ticket === undefined) return;
    this.#numbers = { next: inodes.first, end: inodes.first + inodes.count, ticket };
  }

  get #isUrgent(): boolean {
    return this.#drains.some(drain => drain.isUrgent);
  }

  #sendLater(): void {
    this.#timer ??= this.#clock.setTimer(GATHER_MS, () => this.#sendNow());
  }

  #sendNow(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#isSending && this.#waiting.length > 0) void this.#sendAll();
  }

  /** Never rejects. */
  async #sendAll(): Promise<void> {
    this.#isSending = true;
    do {
      const sent = this.#waiting.splice(0, MAX_BATCH);
      this.#sent = sent;
      this.#lost = undefined;
      const voids = this.#voids;
      const ticket = this.#held.ticket();
      const sentMs = this.#clock.monotonicMs();
      try {
        const request = { changes: sent.map(({ change }) => change), reserve: this.#wanted() };
        const reply = await this.#sendUntilRoom(request);
        this.#serverClock.learn(sentMs, reply.now);
        this.#learn(reply, voids === this.#voids ? ticket : undefined);
        this.#forget(sent);
        this.#settle(sent, reply);
        this.#peer.confirm(reply.changed ?? []);
      } catch (error) {
        this.#fail(sent, toDfsError(error));
      }
      this.#sent = [];
      this.#resolveDrains(sent);
    } while (this.#waiting.length >= MANY || (this.#waiting.length > 0 && this.#isUrgent));
    this.#isSending = false;
    if (this.#waiting.length > 0) this.#sendLater();
  }

  /** What was acknowledged is not given up because the server's disk is full: somebody may make room. */
  async #sendUntilRoom(request: BatchRequest): Promise<BatchReply> {
    const endMs = this.#clock.monotonicMs() + ROOM_PATIENCE_MS;
    for (;;) {
      try {
        return await this.#peer.send(request, () => this.#lost);
      } catch (error) {
        if (!hasCode(error, 'ENOSPC') || this.#clock.monotonicMs() > endMs) throw error;
        await sleep(this.#clock, ROOM_PAUSE_MS);
      }
    }
  }

  #settle(sent: readonly LoggedChange[], { refused }: BatchReply): void {
    const reasons = new Map(
      refused.map(({ index, code, message }) => [
        index,
        new DfsError(isErrnoName(code) ? code : 'EIO', message),
      ]),
    );
    for (const [index, change] of sent.entries()) {
      const reason = reasons.get(index);
      if (reason) change.refused(reason);
      else change.committed();
    }
    // A chunk whose grant is void is stored anew by whoever wrote it.
    const grave = [...reasons.values()].filter(reason => reason.code !== 'ESTALE');
    const [first] = grave;
    if (first) this.#break(first, grave.length);
  }

  #fail(changes: readonly LoggedChange[], reason: DfsError): void {
    this.#closedUntilMs = this.#clock.monotonicMs() + PAUSE_MS;
    this.#forget(changes);
    for (const change of changes) change.refused(reason);
    this.#break(reason, changes.length);
  }

  #break(reason: DfsError, changes: number): void {
    this.#log.error({ reason: reason.message, changes }, 'changes that a program was told are done are not');
    this.#peer.broken(reason);
  }

  #forget(sent: readonly LoggedChange[]): void {
    for (const { inodes } of sent) for (const inode of inodes) this.#pending.take(inode);
  }

  #resolveDrains(sent: readonly LoggedChange[]): void {
    if (this.#drains.length === 0) return;
    const answered = new Set(sent);
    const left = [];
    for (const drain of this.#drains) {
      if (answered.has(drain.change)) drain.resolve();
      else left.push(drain);
    }
    this.#drains = left;
  }
}
