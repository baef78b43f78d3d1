/**
 * The flights of one file, in the order in which they were written.
 *
 *     add ──► the queue, stored side by side ──► the head's batch: ahead of the server, or by asking it ──► landed
 *                        ▲                                           │
 *                        └────────── refused late: put back ◄────────┘ to its place by number
 *
 * Two invariants make a file's content that of its writes in their order:
 *
 * 1. Commits leave in the order written: only the flights at the head of the queue are committed, and one that is put back
 *    takes its old place.
 * 2. Nothing that overlaps a flight which is ahead is committed before the server has answered that flight: if it were
 *    refused and committed again, older bytes would land on newer ones.
 *
 * A truncation that this client decides alone waits for none of them (`cut`). It goes into the log behind the commits that are
 * ahead, and the server cuts off what these have put there. What is not committed yet comes into the log later, and must
 * not bring bytes back that were cut off; nor must a flight that is ahead, if it is refused and committed again. So each
 * flight loses what it has at or behind the new end in the moment in which the truncation is logged. Of what is left, before
 * the new end, it makes no difference whether the truncation comes before or after it. While the server is being asked for
 * a commit, which may be executed already or not yet, nothing can be cut: then the truncation waits and asks as well.
 */
import type { WrittenChunk } from '../client/content/readable-chunk.js';
import { isDoneWithin, type Clock, type Timespec } from '../platform/clock.js';
import { assert, DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { MAX_EXTENTS } from '../protocol/limits.js';
import type { LogPlace } from '../client/log/waiting-changes.js';
import { Flight, type WrittenSlices } from './flight.js';
import type { Slice } from './write-buffer.js';

/** Flights that are committed together, and where in the log of changes that belongs; undefined: at its end. */
export interface PlacedCommit {
  readonly batch: readonly Flight[];
  readonly place: LogPlace | undefined;
}

/** How the queue talks to the servers and to the file that owns it. */
export interface CommitPeer {
  /**
   * Stores a flight's bytes on data nodes. Rejects with the reason for which none has them.
   * @param isPatient nobody waits for it
   */
  store(flight: Flight, isPatient: boolean): Promise<WrittenChunk>;
  /** Every grant is void. */
  forgetGrants(): void;
  /** Waits for the requests under way that keep this client from knowing how the file is. */
  quiesce(place: LogPlace | undefined): Promise<void>;
  /**
   * Commits a batch before the server is told, if this client may; returns whether it did. Exactly one of `answered` and
   * `refused` is called later.
   */
  commitAhead(commit: PlacedCommit, answered: () => void, refused: (reason: DfsError) => void): boolean;
  /**
   * Resolves when the server has answered everything that was committed ahead.
   * @param place waits for nothing behind this place of the log
   */
  drained(isUrgent: boolean, place?: LogPlace): Promise<void>;
  /**
   * Asks the server to commit a batch.
   * @param refusal why the request must not be sent (again), if it must not
   */
  commit(commit: PlacedCommit, refusal: () => DfsError | undefined): Promise<void>;
  /** What was committed ahead is not: it is committed again, or fails. */
  uncommitted(): void;
  /** What was written is in no file. Once for the flights that fail together. */
  failed(reason: DfsError): void;
  /** Flights have left the queue: less is written than was shown as not committed. */
  landed(): void;
  /** Nobody needs a flight's bytes any more, but for a store of them that is not over. */
  free(flight: Flight): void;
}

/** With these the server says of a commit that there is nothing to which the bytes could be put, or that others have gone on. */
const FINAL = ['ENOENT', 'EIO'];
/** How often a chunk is stored anew because its grant was void when it was to be committed. */
const MAX_STORED_ANEW = 5;

export class CommitQueue {
  readonly #peer: CommitPeer;
  /** In the order in which they are to be committed. */
  #flights: Flight[] = [];
  readonly #ahead = new Set<Flight>();
  #isRunning = false;
  #isAsking = false;
  #nextNumber = 1;

  constructor(peer: CommitPeer) {
    this.#peer = peer;
  }

  /** Those that are not committed, oldest first. */
  get flights(): readonly Flight[] {
    return this.#flights;
  }

  /** Whether a program was told of something that it is written, and the server has not committed it. */
  get hasAcknowledged(): boolean {
    return this.#ahead.size > 0 || this.#flights.some(({ isAcknowledged }) => isAcknowledged);
  }

  /** Whether the server has not answered something that was committed ahead: it may refuse it. */
  get isUnanswered(): boolean {
    return this.#ahead.size > 0;
  }

  /** Whether the server is being asked for a commit. */
  get isAsking(): boolean {
    return this.#isAsking;
  }

  /**
   * Takes what was written after everything that was added before, and begins to store it.
   * @param isPatient nobody waits for it
   */
  add(written: WrittenSlices, isPatient = false): Flight {
    const flight = new Flight(this.#nextNumber, written, isPatient);
    this.#nextNumber += 1;
    this.#store(flight, isPatient);
    this.#flights.push(flight);
    this.#start();
    return flight;
  }

  /**
   * Puts what was written into the flight that was added last, if that is acknowledged and has not set out. Returns whether it did.
   * @param maxBytes of a chunk
   * @param isOpen whether what is acknowledged now may be committed in that flight's place
   */
  join(written: WrittenSlices, maxBytes: number, isOpen: (place: LogPlace) => boolean): boolean {
    const last = this.#flights.at(-1);
    if (!last?.isAcknowledged || !last.place || !last.mayTake(written, maxBytes)) return false;
    if (!isOpen(last.place)) return false;
    last.take(written, maxBytes);
    return true;
  }

  /** Everything that was added before is committed, by the server or ahead of it, or has failed. */
  async landed(): Promise<void> {
    // Not the last one alone, which a truncation may take away before the others.
    await Promise.all(this.#flights.map(async ({ landed }) => await landed));
  }

  /** Everything that was added before is committed by the server's word, or has failed. */
  async settled(isUrgent: boolean): Promise<void> {
    const last = this.#nextNumber;
    do {
      await this.landed();
      if (this.#ahead.size > 0) await this.#peer.drained(isUrgent);
    } while (this.#flights.some(({ mustAsk, number }) => mustAsk && number < last));
  }

  /**
   * As `settled`, within a time: what no data node has taken by then is given up with `reason`, or with the data nodes' own
   * if that is ENOSPC.
   * @throws EIO when the server does not answer within as long again; what is stored stays in the queue
   */
  async settledWithin(clock: Clock, patienceMs: number, reason: DfsError): Promise<void> {
    const last = this.#nextNumber;
    const settled = this.settled(true);
    if (await isDoneWithin(clock, patienceMs, settled)) return;
    for (const flight of this.#flights) {
      if (flight.number >= last || flight.state.is !== 'storing') continue;
      const { trouble } = flight;
      flight.giveUp(trouble?.code === 'ENOSPC' ? trouble : reason);
    }
    if (await isDoneWithin(clock, patienceMs, settled)) return;
    throw new DfsError('EIO', 'the metadata server does not answer the commit of what was written');
  }

  /** What is not committed makes this the file's modification time when it is. */
  setTime(mtime: Timespec): void {
    for (const flight of this.#flights) flight.mtime = mtime;
    // One that the server refuses is committed anew.
    for (const flight of this.#ahead) flight.mtime = mtime;
  }

  /** The file ends at `size`, by a change that was logged just now. Only while the server is not being asked. */
  cut(size: number): void {
    assert(!this.#isAsking, 'what the server is asked for is not cut');
    for (const flight of this.#ahead) flight.cut(size);
    for (const flight of this.#flights) flight.cut(size);
    // A flight that has failed reports its failure, and leaves the queue by itself.
    this.#drop(this.#flights.filter(({ isEmpty, state }) => isEmpty && state.is !== 'failed'));
  }

  /**
   * A program was told that everything added before is written.
   * @param place where in the log of changes its commits belong, unless an earlier acknowledgement has said so
   */
  acknowledge(place: LogPlace): void {
    for (const flight of this.#flights) {
      flight.isAcknowledged = true;
      flight.place ??= place;
    }
  }

  /** Somebody waits for what was added before, and is told if it fails. */
  unacknowledge(): void {
    for (const flight of this.#flights) flight.isAcknowledged = false;
  }

  /** What is not committed fails with `reason`; what the server is asked for, unless it answers without being asked again. */
  giveUp(reason: DfsError): void {
    for (const flight of this.#flights) flight.giveUp(reason);
  }

  #start(): void {
    if (!this.#isRunning) void this.#run();
  }

  #store(flight: Flight, isPatient = false): void {
    this.#peer.store(flight, isPatient).then(
      chunk => flight.store(chunk),
      (error: unknown) => flight.fail(toDfsError(error)),
    );
  }

  /** Runs while there are flights; never rejects. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let head = this.#flights[0]; head; head = this.#flights[0]) {
      if (head.state.is === 'storing') await head.decided;
      else if (head.state.is === 'failed') this.#fail([head], head.state.reason);
      else await this.#commitFrom(head);
    }
    this.#isRunning = false;
  }

  async #commitFrom(head: Flight): Promise<void> {
    const batch = this.#ready();
    // Of one that was put back the place is left; but it comes before those that wait behind it. While the commit waits, its file
    // may be closed.
    const place = (): LogPlace | undefined => this.#flights.find(flight => flight.place)?.place;
    // Something was given up, or put back before it, while the commit waited for others.
    const isOvertaken = (): boolean => this.#flights[0] !== head || !batch.every(({ isReady }) => isReady);
    try {
      await this.#peer.quiesce(place());
      if (isOvertaken() || this.#commitAhead(batch, place())) return;
      if (this.#ahead.size > 0) {
        await this.#peer.drained(true, place());
        // What it overlapped may have been all that kept it from going ahead.
        if (isOvertaken() || this.#commitAhead(batch, place())) return;
      }
      await this.#ask(batch, place());
    } catch (error) {
      const reason = toDfsError(error);
      const left = batch.filter(({ state }) => state.is !== 'cut');
      if (reason.code !== 'ESTALE' || !this.#storeAnew(left)) this.#fail(left, reason);
    }
  }

  /** The flights at the head of the queue that are stored, do not overlap, and fit one request. */
  #ready(): Flight[] {
    const ready: Flight[] = [];
    let slices: Slice[] = [];
    for (const flight of this.#flights) {
      if (!flight.isReady || slices.length + flight.slices.length > MAX_EXTENTS) break;
      if (flight.isAppending !== this.#flights[0]?.isAppending) break;
      // Else a failure of one would be reported by the other.
      if (flight.isThrough !== this.#flights[0]?.isThrough) break;
      // The server takes intents in their order, and nothing in between.
      if (flight.isCarriedOut !== this.#flights[0]?.isCarriedOut) break;
      // What was closed later is not seen before the names that were made in between.
      if (flight.place !== this.#flights[0]?.place) break;
      const together = [...slices, ...flight.slices].sort((a, b) => a.offset - b.offset);
      if (together.some((slice, index) => (together[index + 1]?.offset ?? slice.end) < slice.end)) break;
      slices = together;
      ready.push(flight);
    }
    return ready;
  }

  /** Intents of one log may overlap: when the server refuses one, it refuses those that follow, and all are committed anew in order. */
  #overlapsAhead(batch: readonly Flight[]): boolean {
    if (this.#ahead.size === 0) return false;
    return [...this.#ahead].some(ahead =>
      batch.some(flight => flight.mayOverlap(ahead) && !flight.followsIntentOf(ahead)),
    );
  }

  #commitAhead(batch: readonly Flight[], place: LogPlace | undefined): boolean {
    if (batch.some(({ mustAsk }) => mustAsk) || this.#overlapsAhead(batch)) return false;
    const isAhead = this.#peer.commitAhead(
      { batch, place },
      () => this.#answered(batch),
      reason => this.#refused(batch, reason),
    );
    if (!isAhead) return false;
    for (const flight of batch) {
      flight.goAhead();
      this.#ahead.add(flight);
    }
    this.#land(batch);
    return true;
  }

  async #ask(batch: readonly Flight[], place: LogPlace | undefined): Promise<void> {
    assert(batch[0] === this.#flights[0], 'commits leave in the order written');
    assert(!this.#overlapsAhead(batch), 'nothing overlaps a flight that is ahead and not answered');
    for (const flight of batch) flight.ask();
    this.#isAsking = true;
    try {
      await this.#peer.commit({ batch, place }, () => batch.map(refusalOf).find(Boolean));
    } finally {
      this.#isAsking = false;
    }
    for (const flight of batch) flight.commit();
    this.#land(batch);
    for (const flight of batch) this.#peer.free(flight);
  }

  #answered(batch: readonly Flight[]): void {
    for (const flight of batch) {
      this.#ahead.delete(flight);
      flight.commit();
      this.#peer.free(flight);
    }
  }

  /**
   * The server refused what others were told is committed. It is committed once more, by asking, and stored anew where its
   * grant was void; when that is refused, too, it has failed.
   */
  #refused(batch: readonly Flight[], reason: DfsError): void {
    for (const flight of batch) this.#ahead.delete(flight);
    this.#peer.uncommitted();
    const left = batch.filter(({ isEmpty }) => !isEmpty);
    this.#drop(batch.filter(({ isEmpty }) => isEmpty));
    if (left.length > 0) this.#tryAgain(left, reason);
  }

  #tryAgain(batch: readonly Flight[], reason: DfsError): void {
    const isTried = reason.code === 'ESTALE' ? this.#storeAnew(batch) : !hasCode(reason, ...FINAL);
    if (!isTried) {
      this.#fail(batch, reason);
      return;
    }
    for (const flight of batch) if (flight.state.is === 'ahead') flight.putBack();
    this.#flights = [...this.#flights, ...batch].sort((a, b) => a.number - b.number);
    this.#start();
  }

  /**
   * The grant of a chunk is void: it took too long to be stored, or the server's clock has jumped. Stores all of them anew,
   * but for what was given up meanwhile, unless that was done often enough.
   */
  #storeAnew(batch: readonly Flight[]): boolean {
    if (batch.some(flight => flight.storedAnew === MAX_STORED_ANEW)) return false;
    this.#peer.forgetGrants();
    for (const flight of batch) {
      const refusal = refusalOf(flight);
      if (refusal) {
        flight.fail(refusal);
      } else {
        flight.storeAnew();
        this.#store(flight);
      }
    }
    return true;
  }

  #fail(batch: readonly Flight[], reason: DfsError): void {
    for (const flight of batch) flight.fail(reason);
    // One that is written through reports its failure itself.
    if (!batch.every(({ isThrough }) => isThrough)) this.#peer.failed(reason);
    this.#land(batch);
    for (const flight of batch) this.#peer.free(flight);
  }

  /** Nothing of these is left to be committed. */
  #drop(batch: readonly Flight[]): void {
    for (const flight of batch) flight.drop();
    this.#land(batch);
    for (const flight of batch) this.#peer.free(flight);
  }

  #land(batch: readonly Flight[]): void {
    this.#flights = this.#flights.filter(flight => !batch.includes(flight));
    for (const flight of batch) flight.land();
    this.#peer.landed();
  }
}

function refusalOf({ state }: Flight): DfsError | undefined {
  return state.is === 'asked' ? state.refusal : undefined;
}
