/**
 * Takes the writes of one file, and has them stored and committed in the order in which they were written.
 *
 *     write ──► WriteBuffer ──seal──► flight (flight.ts) ──► CommitQueue ──► committed
 *                                                               └── failed: reported by the next write, fsync or close
 *
 * A write of a file that others use is written through: it is sealed at once and answered when the server has committed it,
 * and its failure is its own.
 */
import { MAX_FANNED_BYTES } from '../client/content/chunk-writer.js';
import type { Timespec } from '../platform/clock.js';
import { blocks } from '../protocol/content-commands.js';
import { DfsError } from '../protocol/errors.js';
import type { CarriedOut } from '../protocol/intents.js';
import { MAX_FILE_BYTES } from '../protocol/limits.js';
import type { PrivilegeLoss } from '../protocol/types.js';
import type { TakenIntent } from '../client/log/intent-logs.js';
import { CommitQueue, type PlacedCommit } from './commit-queue.js';
import { commitOf, movedBy } from './commit-request.js';
import { landedWell, SMALL_CHUNK_BYTES, type Flight, type WrittenSlices } from './flight.js';
import { FlightStorage } from './flight-storage.js';
import { greaterLoss } from './privilege-loss.js';
import { notTaken } from './storage-failures.js';
import { UnsyncedChunks } from './unsynced-chunks.js';
import { bytesOf, WriteBuffer, type Slice } from './write-buffer.js';
import type { WriteManner } from './write-manner.js';
import type { WriterOwner, WriterSurroundings } from './writer-surroundings.js';

export class FileWriter {
  readonly #inode: number;
  readonly #shared: WriterSurroundings;
  readonly #owner: WriterOwner;
  readonly #buffer: WriteBuffer;
  readonly #queue: CommitQueue;
  #dirtySinceMs = 0;
  #mtime: Timespec = { sec: 0, nsec: 0 };
  #lastWrite: Timespec = { sec: 0, nsec: 0 };
  /** The same as a flight's, for the buffer. */
  #bufferLoss: PrivilegeLoss | undefined;
  #unsynced = new UnsyncedChunks();
  /** What is pending was written with O_APPEND, all of it or nothing. */
  #isAppending = false;

  constructor(inode: number, shared: WriterSurroundings, owner: WriterOwner) {
    this.#inode = inode;
    this.#shared = shared;
    this.#owner = owner;
    this.#buffer = new WriteBuffer(shared.pool, shared.chunkBytes);
    const storage = new FlightStorage(inode, shared, owner);
    this.#queue = new CommitQueue({
      store: async (flight, isPatient) => await storage.store(flight, isPatient),
      forgetGrants: () => shared.client.grants.clear(),
      quiesce: async place => await shared.client.session.ordered.quiesce(inode, place),
      commitAhead: (...commit) => this.#commitAhead(...commit),
      drained: async (...until) => await shared.client.session.changes.drained(...until),
      commit: async (...commit) => await this.#commit(...commit),
      uncommitted: () => owner.uncommitted(),
      failed: reason => {
        shared.client.session.intents.void(inode);
        owner.failed(reason);
      },
      landed: () => owner.landed(),
      free: flight => storage.free(flight),
    });
  }

  /** Whether anything written is not committed yet. */
  get isPending(): boolean {
    return this.#buffer.bytes > 0 || this.#queue.flights.length > 0;
  }

  /** Whether something is not committed yet that was answered from the buffer, while nobody else used the file. */
  get isBuffering(): boolean {
    return this.#buffer.bytes > 0 || this.#buffered.length > 0;
  }

  /** Whether something that counts as committed here may be refused by the server, and be written anew. */
  get isUnanswered(): boolean {
    return this.#queue.isUnanswered;
  }

  /** Where the last byte that is not committed yet ends; 0 when there is none. */
  get pendingEnd(): number {
    return this.#endOf(this.#queue.flights);
  }

  get pendingBytes(): number {
    return this.#queue.flights.reduce((sum, flight) => sum + flight.bytes, this.#buffer.bytes);
  }

  /** What the file's modification time becomes with what is not committed yet. */
  get mtime(): Timespec {
    return this.#mtime;
  }

  /** Whether `flush` or `settled` may wait without end, for bytes that were acknowledged to a program. */
  get mayWaitForever(): boolean {
    return this.#queue.hasAcknowledged;
  }

  get lastWrite(): Timespec {
    return this.#lastWrite;
  }

  /** Whether `setTime` can do what it says. */
  get maySetTime(): boolean {
    return !this.#queue.isAsking;
  }

  /** What is not committed yet makes this the file's modification time when it is. */
  setTime(mtime: Timespec): void {
    this.#mtime = mtime;
    this.#queue.setTime(mtime);
  }

  /**
   * Whether the file may be truncated without committing what was written before: `cut` can take all of it away that lies
   * behind the new end. Where bytes are appended, only their commit tells what that is.
   */
  get mayCut(): boolean {
    if (this.#queue.isAsking || this.privilegeLoss !== undefined) return false;
    return this.#buffer.bytes === 0
      ? !this.#queue.flights.some(({ isAppending }) => isAppending)
      : !this.#isAppending;
  }

  /** The file ends at `size`, by a change that was logged just now and that has `mtime`. */
  cut(size: number, mtime: Timespec): void {
    this.#shared.budget.release(this.#buffer.cut(size));
    this.#queue.cut(size);
    this.setTime(mtime);
  }

  /** How what is not committed yet will take setuid, setgid and capabilities away, if it does. */
  get privilegeLoss(): PrivilegeLoss | undefined {
    const { flights } = this.#queue;
    return flights.reduce((loss, flight) => greaterLoss(loss, flight.privilegeLoss), this.#bufferLoss);
  }

  /**
   * What is not committed yet and was answered from the buffer, newest first, each layer sorted. What is written through is not
   * among it: others may have written since, or appended where it would lie.
   */
  layers(): (readonly Slice[])[] {
    return [this.#buffer.slices, ...this.#buffered.map(flight => flight.slices).toReversed()];
  }

  /** Where the last byte of these ends; 0 when there is none. */
  get shownEnd(): number {
    return this.#endOf(this.#buffered);
  }

  /** Takes a copy of `data`; waits while too much is dirty. EFBIG beyond the largest file. */
  async write(offset: number, data: Uint8Array, manner: WriteManner): Promise<void> {
    if (offset + data.length > MAX_FILE_BYTES) throw tooLarge();
    const through: Flight[] = [];
    for (const [at, part] of this.#parts(data)) {
      await this.#reserve(part.length);
      if (this.isPending && this.#isAppending) await this.#become(false);
      this.#requireWanted(part.length, manner);
      this.#isAppending = false;
      through.push(...this.#take(offset + at, part, manner));
    }
    await landedWell(through);
  }

  /** As `write` from the buffer, if there is room and nothing is waited for; returns whether it was done. Else nothing has changed. */
  writeNow(offset: number, data: Uint8Array, manner: Omit<WriteManner, 'isThrough'>): boolean {
    const { budget, chunkBytes } = this.#shared;
    if (data.length > chunkBytes || offset + data.length > MAX_FILE_BYTES) return false;
    if ((this.isPending && this.#isAppending) || !budget.tryReserve(data.length)) return false;
    this.#requireWanted(data.length, manner);
    this.#isAppending = false;
    this.#take(offset, data, manner);
    return true;
  }

  /**
   * As `write` at the end of the file, wherever that is when it is committed. Returns where the bytes begin, as far as is
   * known: for certain when they are written through.
   * @param size how long the committed file is, as far as is known
   */
  async append(data: Uint8Array, size: () => number, manner: WriteManner): Promise<number> {
    let start: number | undefined;
    const through: Flight[] = [];
    for (const [, part] of this.#parts(data)) {
      await this.#reserve(part.length);
      if (this.isPending && !this.#isAppending) await this.#become(true);
      this.#requireWanted(part.length, manner);
      this.#isAppending = true;
      const offset = this.isPending ? this.pendingEnd : size();
      start ??= offset;
      if (offset + part.length > MAX_FILE_BYTES) {
        this.#shared.budget.release(part.length);
        throw tooLarge();
      }
      through.push(...this.#take(offset, part, manner));
    }
    await landedWell(through);
    return through[0]?.offset ?? start ?? size();
  }

  /**
   * As `append` to the buffer, if there is room and nothing is waited for; returns where the bytes begin, or undefined when it was not done:
   * then nothing has changed.
   */
  appendNow(data: Uint8Array, size: number, manner: Omit<WriteManner, 'isThrough'>): number | undefined {
    const { budget, chunkBytes } = this.#shared;
    const offset = this.isPending ? this.pendingEnd : size;
    if (data.length > chunkBytes || offset + data.length > MAX_FILE_BYTES) return undefined;
    if ((this.isPending && !this.#isAppending) || !budget.tryReserve(data.length)) return undefined;
    this.#requireWanted(data.length, manner);
    this.#isAppending = true;
    this.#take(offset, data, manner);
    return offset;
  }

  /** Begins to store what was written `ageMs` ago or earlier. */
  sealOlderThan(ageMs: number): void {
    const isOld = this.#shared.clock.monotonicMs() - this.#dirtySinceMs >= ageMs;
    if (isOld) this.#seal(false);
  }

  /**
   * Everything written before this call is committed, or has failed and told its owner so, when it returns.
   * @param isUrgent somebody waits for it
   */
  async flush(isDurable: boolean, isUrgent = true): Promise<void> {
    if (isUrgent && this.isPending) this.#shared.gathering.setOut();
    // Whoever waits for it hears of it when it fails.
    if (isDurable) this.unacknowledge();
    this.#seal(isDurable);
    await this.#queue.landed();
  }

  /**
   * A program was told that everything written before this call is done. Its commits belong here in the log of changes, or
   * where those of an earlier call belong with which they can go. Returns whether it is the former.
   */
  acknowledge(): boolean {
    const { client, gathering, chunkBytes } = this.#shared;
    const { changes } = client.session;
    const written = this.#written(this.#buffer.slices);
    if (this.#queue.join(written, chunkBytes, last => changes.isLast(last))) {
      this.#buffer.takeAll();
      this.#bufferLoss = undefined;
      return false;
    }
    const place = changes.reserve(() => gathering.setOut());
    this.#seal(false, true);
    this.#queue.acknowledge(place);
    void this.#queue.landed().then(() => changes.leave(place));
    return true;
  }

  /** Somebody will be told if it fails. */
  unacknowledge(): void {
    this.#queue.unacknowledge();
  }

  /**
   * Everything written before this call is committed by the server's word, or has failed.
   * @param isUrgent somebody waits for it
   */
  async settled(isUrgent = true): Promise<void> {
    if (isUrgent && this.isPending) this.#shared.gathering.setOut();
    this.#seal(false);
    await this.#queue.settled(isUrgent);
  }

  /**
   * As `settled`, within a time: what no data node has taken by then fails.
   * @throws EIO when the metadata server does not answer within as long again
   */
  async settledWithin(patienceMs: number): Promise<void> {
    this.#seal(false);
    if (this.isPending) this.#shared.gathering.setOut();
    await this.#queue.settledWithin(this.#shared.clock, patienceMs, notTaken(patienceMs));
  }

  /** What is not committed yet fails with `reason`; what is being committed, unless it is answered without being sent again. */
  abandon(reason: DfsError): void {
    this.#seal(false);
    this.#queue.giveUp(reason);
  }

  /** Takes over the knowledge of what is not on stable storage; who takes it sees to it. */
  takeUnsynced(): UnsyncedChunks {
    const taken = this.#unsynced;
    this.#unsynced = new UnsyncedChunks();
    return taken;
  }

  /** Gives back what takeUnsynced() took, when syncing failed. */
  putBackUnsynced(unsynced: UnsyncedChunks): void {
    this.#unsynced.addAll(unsynced);
  }

  /** Flights of what was answered from the buffer. */
  get #buffered(): readonly Flight[] {
    return this.#queue.flights.filter(({ isThrough }) => !isThrough);
  }

  /** Where the last byte of these, and of the buffer, ends. */
  #endOf(flights: readonly Flight[]): number {
    return flights.reduce((end, flight) => Math.max(end, flight.end), this.#buffer.end);
  }

  *#parts(data: Uint8Array): Generator<[number, Uint8Array]> {
    const { chunkBytes } = this.#shared;
    for (let at = 0; at < data.length; at += chunkBytes) yield [at, data.subarray(at, at + chunkBytes)];
  }

  async #reserve(bytes: number): Promise<void> {
    const { budget } = this.#shared;
    if (!budget.tryReserve(bytes)) await budget.reserve(bytes);
  }

  /** Gives the room back that was reserved, when the bytes must not be taken any more. */
  #requireWanted(reservedBytes: number, { refusal }: WriteManner): void {
    const reason = refusal?.();
    if (!reason) return;
    this.#shared.budget.release(reservedBytes);
    throw reason;
  }

  /** Waits until nothing of the other kind is pending. */
  async #become(isAppending: boolean): Promise<void> {
    while (this.isPending && this.#isAppending !== isAppending) await this.flush(false);
  }

  /** Returns the flights for which the write must wait. */
  #take(offset: number, data: Uint8Array, { now, privilegeLoss, isThrough: ask }: WriteManner): Flight[] {
    const isThrough = ask?.() ?? false;
    // What was taken before is not this write's: whether it fails is another question.
    if (isThrough) this.#seal(false);
    if (this.#buffer.bytes === 0) this.#dirtySinceMs = this.#shared.clock.monotonicMs();
    this.#mtime = now;
    this.#lastWrite = now;
    this.#bufferLoss = greaterLoss(this.#bufferLoss, privilegeLoss);
    const { grewBytes, isSliceFull } = this.#buffer.write(offset, data);
    this.#shared.budget.release(data.length - grewBytes);
    if (isThrough) return this.#launch(this.#buffer.takeAll(), { isThrough });
    if (isSliceFull) this.#launch(this.#buffer.takeFull());
    if (this.#buffer.isWorthPacking) this.#seal(false);
    return [];
  }

  /** @param isPatient nobody waits for it */
  #seal(isDurable: boolean, isPatient = false): void {
    if (this.#buffer.bytes > 0) this.#launch(this.#buffer.takeAll(), { isDurable, isPatient });
  }

  #launch(
    chunks: readonly Slice[][],
    { isDurable = false, isPatient = false, isThrough = false } = {},
  ): Flight[] {
    const launched = chunks.map(slices => {
      const intent = isDurable && chunks.length === 1 ? this.#intentOf(slices) : undefined;
      const written = { ...this.#written(slices), isDurable, isThrough, intent };
      return this.#queue.add(written, isPatient && bytesOf(slices) <= SMALL_CHUNK_BYTES);
    });
    if (this.#buffer.bytes === 0) this.#bufferLoss = undefined;
    return launched;
  }

  /** Only what goes to all nodes at once, and is the next that is committed. */
  #intentOf(slices: readonly Slice[]): TakenIntent | undefined {
    if (this.#bufferLoss || bytesOf(slices) > MAX_FANNED_BYTES) return undefined;
    if (this.#queue.flights.some(({ intent }) => !intent)) return undefined;
    const times = { mtime: this.#mtime, ctime: this.#lastWrite };
    return this.#shared.client.session.intents.take(this.#inode, slices, times);
  }

  #written(slices: readonly Slice[]): WrittenSlices {
    return {
      slices,
      isDurable: false,
      mtime: this.#mtime,
      lastWrite: this.#lastWrite,
      isAppending: this.#isAppending,
      privilegeLoss: this.#bufferLoss,
      isThrough: false,
    };
  }

  #commitAhead(
    { batch, place }: PlacedCommit,
    answered: () => void,
    refused: (reason: DfsError) => void,
  ): boolean {
    const { session } = this.#shared.client;
    const carriesOut = session.intents.carriedOut(batch);
    const { request, extents, chunks } = commitOf(this.#inode, batch, carriesOut);
    const { extents: known } = this.#owner;
    const answers = {
      committed: () => {
        if (carriesOut) session.intents.answered(this.#inode, carriesOut);
        answered();
      },
      refused: (reason: DfsError) => {
        session.intents.void(this.#inode);
        refused(reason);
      },
    };
    const attributes = session.foretold.content.commit(request, known, answers, place);
    if (!attributes) return false;
    if (carriesOut) {
      session.intents.committed(carriesOut, attributes);
      for (const flight of batch) flight.isCarriedOut = true;
    }
    for (const flight of batch) this.#noteUnsynced(flight);
    this.#owner.committed(attributes, extents, chunks, false);
    return true;
  }

  async #commit({ batch, place }: PlacedCommit, refusal: () => DfsError | undefined): Promise<void> {
    const { session } = this.#shared.client;
    const { intents } = session;
    const redone = refusedIntents(batch);
    const { request, extents, chunks } = commitOf(this.#inode, batch, redone);
    intents.void(this.#inode);
    const wantsLog = request.durable ? intents.want(this.#inode, this.#owner.goal()) : undefined;
    const ticket = intents.ticket();
    const reply = await session.ordered.execute(
      blocks,
      wantsLog ? { ...request, wantsLog } : request,
      refusal,
      () => batch.some(flight => flight.isAcknowledged),
      place && session.changes.askedAt(place, this.#inode),
    );
    const { attributes, moved = 0, opened } = reply;
    if (opened) intents.opened(opened, attributes, ticket);
    if (moved !== 0) this.#move(moved);
    for (const flight of batch) this.#noteUnsynced(flight);
    this.#owner.committed(attributes, movedBy(moved, extents), chunks, moved !== 0);
  }

  /** What was just committed lies so much further on, and what is still to be appended follows it. */
  #move(by: number): void {
    const flights = this.#queue.flights.filter(({ isAppending }) => isAppending);
    const buffered = this.#isAppending ? this.#buffer.slices : [];
    for (const slice of [...buffered, ...flights.flatMap(({ slices }) => slices)]) slice.move(by);
  }

  #noteUnsynced(flight: Flight): void {
    if (flight.isDurable) return;
    const { nodes, chunk } = flight.chunk;
    this.#unsynced.add(nodes, chunk, flight.offset, flight.end);
    if (this.#unsynced.count > this.#shared.maxUnsyncedReplicas) this.#owner.hasMuchUnsynced();
  }
}

function tooLarge(): DfsError {
  return new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
}

/** The intents that the server refused to carry out, and that it has to before anything else is done with the file. */
function refusedIntents(batch: readonly Flight[]): CarriedOut | undefined {
  const [first, last] = [batch[0], batch.at(-1)];
  if (first?.isCarriedOut !== true || !first.intent || !last?.intent) return undefined;
  return { log: first.intent.owner.number, first: first.intent.sequence, last: last.intent.sequence };
}
