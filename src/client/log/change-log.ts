/**
 * Changes that this client has acknowledged to its programs before it has told the metadata server (docs/decisions/04: what a return
 * value promises), which it may of inodes that it has to itself (client/leases/held-inodes.ts).
 *
 * Changes go out in batches, in their order, one batch at a time; what follows a close waits until data nodes have the bytes
 * (waiting-changes.ts), unless they are away. What is not sent yet is milliseconds old: while the
 * server is slow to answer, or away, nothing more is taken (`isOpen`), and requests wait for the server. So a client that is
 * killed loses what it acknowledged in its last second at the most, and always the newest of it.
 */
import { sleep, type Clock, type Timer } from '../../platform/clock.js';
import { Counts } from '../../platform/counts.js';
import type { Logger } from '../../platform/log.js';
import { DfsError, hasCode, isErrnoName, toDfsError } from '../../protocol/errors.js';
import type { Command, ReplyOf, RequestOf } from '../../protocol/command.js';
import { MAX_BATCH } from '../../protocol/limits.js';
import type { batch, Changed } from '../../protocol/session-commands.js';
import type { Attributes } from '../../protocol/types.js';
import type { CacheLease } from '../leases/cache-lease.js';
import type { HeldInodes } from '../leases/held-inodes.js';
import type { ServerClock } from '../session/server-clock.js';
import { Allowance, type Allowed } from './allowance.js';
import { LogWaits, type LogProgress, type LogWait } from './log-waits.js';
import { WaitingChanges, type LoggedChange, type LogPlace, type WaitingChange } from './waiting-changes.js';

type BatchRequest = Omit<RequestOf<typeof batch>, 'once'>;
type BatchReply = ReplyOf<typeof batch> & Partial<Changed>;

/** A batch that the server has not answered. */
export interface BatchUnderWay {
  readonly sequence: number;
  /** Resolves when it is answered, well or ill. */
  readonly answered: () => Promise<void>;
}

/** How the log talks to the server. */
export interface ChangeLogPeer {
  /** See AllowanceOptions. */
  ask(reserve: number): Promise<Allowed>;
  /**
   * @param refusal why it must not be sent (again), if it must not
   * @param numbered told the request's sequence before it is sent
   */
  send(
    request: BatchRequest,
    refusal: () => DfsError | undefined,
    numbered: (sequence: number) => void,
  ): Promise<BatchReply>;
  /** What the server made of a batch: what it says of each inode that was changed. */
  confirm(changed: readonly Attributes[]): void;
  /** A change was acknowledged, and is not done: nothing that is cached can be believed. */
  broken(reason: DfsError): void;
}

/** A change waits at most so long for others to go with it, unless there are so many. */
const GATHER_MS = 8;
/** The same for what data nodes have as an intent, while there is nothing else. */
const PATIENT_GATHER_MS = 40;
const MANY = 48;
/** While the server has not answered a change that is older than this, requests wait. */
const MAX_AGE_MS = 500;
/** How long, and how often, what a full disk of the server refused is sent again. */
const ROOM_PATIENCE_MS = 10_000;
const ROOM_PAUSE_MS = 250;
/** What follows a close waits so long for its bytes: then data nodes are away, and names are not kept back for them. */
const PLACE_PATIENCE_MS = 1000;
/** How long it takes nothing after a change was refused. */
const PAUSE_MS = 1000;

export class ChangeLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #lease: CacheLease;
  readonly #peer: ChangeLogPeer;
  readonly #maxBatch: number;
  readonly #allowance: Allowance;
  /** Nothing is taken before. */
  #closedUntilMs = Number.NEGATIVE_INFINITY;
  /** Not sent yet. */
  readonly #waiting = new WaitingChanges();
  /** In the batch that is under way. */
  #sent: readonly WaitingChange[] = [];
  /** That batch's sequence. */
  #sentAs: number | undefined;
  #isSending = false;
  /** Why what is under way must not be sent again. */
  #lost: DfsError | undefined;
  #timer: Timer | undefined;
  /** Whether something is not sent that only this client has. */
  #isHurried = false;
  #isTimerPatient = false;
  /** Runs while a place is kept. */
  #patience: Timer | undefined;
  readonly #waits = new LogWaits();
  /** inode → changes of it that are not answered */
  readonly #pending = new Counts<number>();

  constructor(
    clock: Clock,
    log: Logger,
    lease: CacheLease,
    held: HeldInodes,
    serverClock: ServerClock,
    peer: ChangeLogPeer,
    maxBatch = MAX_BATCH,
  ) {
    this.#maxBatch = maxBatch;
    this.#clock = clock;
    this.#log = log;
    this.#lease = lease;
    const ask = async (reserve: number): Promise<Allowed> => await peer.ask(reserve);
    this.#allowance = new Allowance({ clock, log, lease, held, serverClock, ask });
    this.#peer = peer;
  }

  /** Whether a change may be acknowledged now. */
  get isOpen(): boolean {
    if (!this.#mayTake) return false;
    const oldest = this.#sent[0]?.logged ?? this.#waiting.firstChange;
    return !oldest || this.#clock.monotonicMs() - oldest.sinceMs < MAX_AGE_MS;
  }

  /** Whether a commit may be acknowledged now into a place: also while what is behind that place is no longer young. */
  isOpenAt(place: LogPlace): boolean {
    return this.#mayTake && this.#waiting.has(place);
  }

  get #mayTake(): boolean {
    return this.#lease.isAlive && this.#clock.monotonicMs() >= this.#closedUntilMs && this.mayOwe(0);
  }

  /** Whether one more change may be acknowledged while so many are that are not in the log yet. */
  mayOwe(others: number): boolean {
    return others + this.#sent.length + this.#waiting.length < this.#allowance.changes;
  }

  /** See Allowance. */
  hasRoomFor(bytes: number): boolean {
    return this.#allowance.hasRoomFor(bytes);
  }

  /** Whether nothing is in it that the server has not answered, and no place is kept. */
  get isEmpty(): boolean {
    return this.#waiting.isEmpty && this.#sent.length === 0;
  }

  /** Whether there are changes that the server has not answered. */
  get hasChanges(): boolean {
    return this.#sent.length > 0 || this.#waiting.firstChange !== undefined;
  }

  /** Whether changes of the inode are on their way. */
  isPending(inode: number): boolean {
    return this.#pending.has(inode);
  }

  /** See Allowance. */
  takeNumber(): number | undefined {
    return this.#allowance.takeNumber();
  }

  /** See Allowance. */
  noteRequest(): void {
    this.#allowance.noteRequest();
  }

  /** Takes a change that was acknowledged; only while `isOpen`, or into a place while `isOpenAt`. */
  append<Request extends object>(
    command: Pick<Command, 'number'>,
    request: Request,
    change: Omit<LoggedChange, 'change' | 'sinceMs'> & { readonly at: BatchRequest['changes'][number]['at'] },
    place?: LogPlace,
  ): void {
    const { at, ...rest } = change;
    const sinceMs = this.#clock.monotonicMs();
    const logged = { ...rest, change: { command: command.number, request, at }, sinceMs };
    if (place) this.#waiting.insert(place, logged);
    else this.#waiting.push(logged);
    if (change.isKept !== true) this.#isHurried = true;
    for (const inode of change.inodes) this.#pending.add(inode);
    this.#sendWhatIsReady();
  }

  /**
   * Keeps a place for commits that come later. The log sends nothing that is acknowledged from now on before the caller leaves the
   * place, or a second has passed.
   * @param hurry called when somebody waits for what is behind it
   */
  reserve(hurry: () => void): LogPlace {
    const place = this.#waiting.reserve(this.#clock.monotonicMs(), hurry);
    this.#watchPlaces();
    return place;
  }

  /** Whether the place is kept, and nothing was acknowledged since it was reserved. */
  isLast(place: LogPlace): boolean {
    return this.#waiting.lastOrder === place.order && this.#waiting.has(place);
  }

  /** Nothing more comes into the place. */
  leave(place: LogPlace): void {
    this.#waiting.leave(place);
    this.#waits.reached(this.#progress);
    this.#sendWhatIsReady();
  }

  /**
   * The server is about to be asked for what belongs into the place. Returns the place if it can be asked for that alone, and not for
   * what follows; when it cannot, because a later change of the inode is acknowledged already, the place is left.
   */
  askedAt(place: LogPlace, inode: number): LogPlace | undefined {
    if (this.#waiting.has(place) && !this.#waiting.isChangedBehind(place, inode)) return place;
    this.leave(place);
    return undefined;
  }

  /**
   * Resolves when everything that was acknowledged before is answered, well or ill.
   * @param isUrgent somebody waits for it: it is sent at once
   * @param place waits only for what is before it, and in it, while it is kept
   */
  async drained(isUrgent = true, place?: LogPlace): Promise<void> {
    const order = this.#lastOrderBefore(place);
    if (this.#progress.answered <= order) await this.#for({ order, isUrgent, until: 'answered' });
  }

  /**
   * Resolves when everything that was acknowledged before is answered, or in the batch that is under way, with that batch.
   * @param place as for `drained`
   */
  async sent(place?: LogPlace): Promise<BatchUnderWay | undefined> {
    const order = this.#lastOrderBefore(place);
    if (this.#progress.sent <= order) await this.#for({ order, isUrgent: true, until: 'sent' });
    const sequence = this.#sentAs;
    const last = this.#sent.at(-1)?.order;
    if (sequence === undefined || last === undefined || this.#progress.answered > order) return undefined;
    const answered = async (): Promise<void> => {
      if (this.#progress.answered <= last)
        await this.#for({ order: last, isUrgent: false, until: 'answered' });
    };
    return { sequence, answered };
  }

  #lastOrderBefore(place: LogPlace | undefined): number {
    return place && this.#waiting.has(place) ? place.order - 1 : this.#waiting.lastOrder;
  }

  async #for(wait: LogWait): Promise<void> {
    const reached = this.#waits.for(wait);
    if (wait.isUrgent) {
      this.#waiting.hurry(wait.order);
      this.#sendNow();
    }
    await reached;
  }

  /** See Allowance. */
  voidNumbers(): void {
    this.#allowance.voidNumbers();
  }

  /** The session is over, or others have used what this client had to itself. */
  lose(): void {
    this.voidNumbers();
    const reason = new DfsError(
      'EIO',
      'the metadata server gave this client up, which was away for too long',
    );
    if (this.#isSending) this.#lost = reason;
    if (this.#waiting.isEmpty) return;
    // Others may have gone on without them.
    const lost = this.#waiting.takeAll();
    if (lost.length > 0) this.#fail(lost, reason);
    this.#waits.reached(this.#progress);
  }

  #sendLater(): void {
    if (this.#timer && !(this.#isHurried && this.#isTimerPatient)) return;
    this.#timer?.cancel();
    this.#isTimerPatient = !this.#isHurried;
    const gatherMs = this.#isHurried ? GATHER_MS : PATIENT_GATHER_MS;
    this.#timer = this.#clock.setTimer(gatherMs, () => this.#sendNow());
  }

  #sendNow(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.#isSending && this.#waiting.ready(1) > 0) void this.#sendAll();
  }

  #sendWhatIsReady(): void {
    if (this.#isSending) return;
    const ready = this.#waiting.ready(MANY);
    if (ready === MANY || (ready > 0 && this.#waits.isUrgent)) this.#sendNow();
    else if (ready > 0) this.#sendLater();
  }

  /** Sees to it that no place is kept for longer than the patience. */
  #watchPlaces(): void {
    const { firstPlace } = this.#waiting;
    if (!firstPlace || this.#patience) return;
    const leftMs = Math.max(1, firstPlace.sinceMs + PLACE_PATIENCE_MS - this.#clock.monotonicMs());
    this.#patience = this.#clock.setTimer(leftMs, () => {
      this.#patience = undefined;
      const passed = this.#waiting.passOver(this.#clock.monotonicMs() - PLACE_PATIENCE_MS);
      if (passed > 0) {
        this.#log.warn(
          { files: passed },
          'names made later do not wait for bytes that data nodes do not take',
        );
        this.#waits.reached(this.#progress);
        this.#sendWhatIsReady();
      }
      this.#watchPlaces();
    });
  }

  /** Never rejects. */
  async #sendAll(): Promise<void> {
    this.#isSending = true;
    do {
      this.#sent = this.#waiting.take(this.#maxBatch);
      this.#isHurried = !this.#waiting.isEmpty;
      const sent = this.#sent.map(({ logged }) => logged);
      this.#lost = undefined;
      const ticket = this.#allowance.ticket();
      try {
        const request = { changes: sent.map(({ change }) => change), reserve: this.#allowance.wantedNumbers };
        const reply = await this.#sendUntilRoom(request);
        this.#allowance.learn(reply, ticket);
        this.#forget(sent);
        this.#settle(sent, reply);
        this.#peer.confirm(reply.changed ?? []);
      } catch (error) {
        this.#fail(sent, toDfsError(error));
      }
      this.#sent = [];
      this.#sentAs = undefined;
      this.#waits.reached(this.#progress);
    } while (this.#waiting.ready(MANY) >= (this.#waits.isUrgent ? 1 : MANY));
    this.#isSending = false;
    if (this.#waiting.ready(1) > 0) this.#sendLater();
  }

  /** What was acknowledged is not given up because the server's disk is full: somebody may make room. */
  async #sendUntilRoom(request: BatchRequest): Promise<BatchReply> {
    const endMs = this.#clock.monotonicMs() + ROOM_PATIENCE_MS;
    for (;;) {
      try {
        return await this.#peer.send(
          request,
          () => this.#lost,
          sequence => {
            this.#sentAs = sequence;
            this.#waits.reached(this.#progress);
          },
        );
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

  get #progress(): LogProgress {
    const sent = this.#waiting.firstOrder;
    return { sent, answered: this.#sent[0]?.order ?? sent };
  }
}
