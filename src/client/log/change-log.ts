/**
 * Changes that this client has acknowledged to its programs before it has told the metadata server (DESIGN decision 4),
 * which it may while its session has the delegation (the server's side, and why nobody sees an old state, is
 * metadata/leases/delegation.ts).
 *
 *     not held ──a change, and granted──► held ──recalled, or the lease is over──► not held
 *                                      │  ▲
 *                           `append` ──┘  └── changes go out in batches, in order, one batch at a time
 *
 * What is not sent yet is young: while the server is slow to answer, or away, nothing more is taken (`isOpen`), and
 * requests wait for the server as they would without a delegation. So a client that is killed loses what it acknowledged
 * in its last second at the most, and always the newest of it.
 */
import { sleep, type Clock, type Timer } from '../../platform/clock.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, hasCode, isErrnoName, toDfsError } from '../../protocol/errors.js';
import type { Command, ReplyOf, RequestOf } from '../../protocol/command.js';
import { MAX_BATCH, MAX_RESERVED_INODES } from '../../protocol/limits.js';
import type { batch, Changed, delegate } from '../../protocol/session-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { ServerClock } from '../session/server-clock.js';

type BatchRequest = Omit<RequestOf<typeof batch>, 'once'>;
type BatchReply = ReplyOf<typeof batch> & Partial<Changed>;
type Delegated = ReplyOf<typeof delegate>;

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
  ask(reserve: number): Promise<Delegated>;
  send(request: BatchRequest): Promise<BatchReply>;
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
/** How long it asks no more after somebody else wanted it, and half of that when it was refused; unless told otherwise. */
const DEFAULT_PAUSE_MS = 1000;
/** With fewer numbers for new inodes than this, more are asked for. */
const FEW_NUMBERS = MAX_RESERVED_INODES / 2;
/** With less room on any data node, a program is to hear of it when it closes what did not fit. */
const AMPLE_BYTES = 1 << 30;

export class ChangeLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #lease: CacheLease;
  readonly #serverClock: ServerClock;
  readonly #peer: ChangeLogPeer;
  readonly #pauseMs: number;
  #isHeld = false;
  /** Grows with every recall: an answer from before one is void. */
  #recalls = 0;
  #isAsking = false;
  #askAgainMs = 0;
  /** Not sent yet. */
  #waiting: LoggedChange[] = [];
  /** In the batch that is under way. */
  #sent: readonly LoggedChange[] = [];
  #isSending = false;
  #timer: Timer | undefined;
  /** Resolvers of those who wait until everything that was logged before is answered. */
  #drains: Drain[] = [];
  /** inode → changes of it that are not answered */
  readonly #pending = new Map<number, number>();
  #numbers: { next: number; end: number } = { next: 0, end: 0 };
  #freeBytes = 0;
  /** How many changes the server has room for, whatever happens. */
  #ahead = MAX_CHANGES;
  /** Finishes what is to be logged for what programs were told already. */
  #finish: () => Promise<void> = async () => undefined;

  /** @param pauseMs how long it is not asked for after a recall */
  constructor(
    clock: Clock,
    log: Logger,
    lease: CacheLease,
    serverClock: ServerClock,
    peer: ChangeLogPeer,
    pauseMs = DEFAULT_PAUSE_MS,
  ) {
    this.#pauseMs = pauseMs;
    this.#serverClock = serverClock;
    this.#clock = clock;
    this.#log = log;
    this.#lease = lease;
    this.#peer = peer;
  }

  /** Told when the delegation is to be given back: resolves when nobody was told anything that is not in the log. */
  set onRecall(finish: () => Promise<void>) {
    this.#finish = finish;
  }

  /** Whether a change may be acknowledged now. */
  get isOpen(): boolean {
    if (!this.#isHeld || !this.#lease.isAlive) return false;
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

  /** A number for a new inode, if there is one. */
  takeNumber(): number | undefined {
    if (this.#numbers.next >= this.#numbers.end) return undefined;
    this.#numbers.next += 1;
    return this.#numbers.next - 1;
  }

  /** The server is asked for a change: the next ones may be made ahead, if nobody else is there. */
  noteRequest(): void {
    if (this.#isHeld || this.#isAsking || !this.#lease.isAlive) return;
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
    for (const inode of change.inodes) this.#pending.set(inode, (this.#pending.get(inode) ?? 0) + 1);
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

  /** Gives the delegation back: nothing more is acknowledged ahead, and everything that was is answered. */
  async giveBack(): Promise<void> {
    this.#recalls += 1;
    this.#isHeld = false;
    this.#askAgainMs = this.#clock.monotonicMs() + this.#pauseMs;
    await this.#finish();
    await this.drained();
  }

  /** The session is over, and the delegation with it. */
  lose(): void {
    this.#recalls += 1;
    this.#isHeld = false;
    this.#numbers = { next: 0, end: 0 };
    if (this.#waiting.length === 0) return;
    // Others may have gone on without them.
    const lost = this.#waiting.splice(0);
    this.#fail(
      lost,
      new DfsError('EIO', 'the metadata server gave this client up, which was away for too long'),
    );
    this.#resolveDrains(lost);
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const recalls = this.#recalls;
    const sentMs = this.#clock.monotonicMs();
    try {
      const reply = await this.#peer.ask(this.#wanted());
      this.#serverClock.learn(sentMs, reply.now);
      if (recalls !== this.#recalls) return;
      this.#isHeld = reply.isGranted;
      this.#learn(reply);
    } catch (error) {
      this.#log.debug({ reason: toDfsError(error).message }, 'the delegation was not given');
    } finally {
      this.#isAsking = false;
      this.#askAgainMs = Math.max(this.#askAgainMs, this.#clock.monotonicMs() + this.#pauseMs / 2);
    }
  }

  #wanted(): number {
    return this.#numbers.end - this.#numbers.next < FEW_NUMBERS ? MAX_RESERVED_INODES : 0;
  }

  #learn({
    inodes,
    freeBytes,
    ahead = MAX_CHANGES,
  }: Pick<Delegated, 'inodes' | 'freeBytes' | 'ahead'>): void {
    this.#freeBytes = freeBytes;
    this.#ahead = Math.min(MAX_CHANGES, ahead);
    if (inodes) this.#numbers = { next: inodes.first, end: inodes.first + inodes.count };
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
      const recalls = this.#recalls;
      const sentMs = this.#clock.monotonicMs();
      try {
        const request = { changes: sent.map(({ change }) => change), reserve: this.#wanted() };
        const reply = await this.#sendUntilRoom(request);
        this.#serverClock.learn(sentMs, reply.now);
        if (recalls === this.#recalls) this.#learn(reply);
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
        return await this.#peer.send(request);
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
    // Until the server says that it can.
    this.#isHeld = false;
    this.#askAgainMs = this.#clock.monotonicMs() + this.#pauseMs;
    this.#forget(changes);
    for (const change of changes) change.refused(reason);
    this.#break(reason, changes.length);
  }

  #break(reason: DfsError, changes: number): void {
    this.#log.error({ reason: reason.message, changes }, 'changes that a program was told are done are not');
    this.#peer.broken(reason);
  }

  #forget(sent: readonly LoggedChange[]): void {
    for (const inode of sent.flatMap(({ inodes }) => inodes)) {
      const left = (this.#pending.get(inode) ?? 1) - 1;
      if (left > 0) this.#pending.set(inode, left);
      else this.#pending.delete(inode);
    }
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
