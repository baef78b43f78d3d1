/**
 * Takes the writes of one file, stores them as chunks, and commits the chunks in the order in which they were written.
 *
 *     write ──► WriteBuffer ──seal──► flight: storing ──► stored ──► committing ──► done
 *                                        └──────────── failed: the error is told at the next write, fsync or close
 *
 * With the delegation (client/log/change-log.ts) what is stored is committed before the metadata server is told; the bytes are
 * kept until it has answered, for it may say that their grant was void.
 *
 * Flights store side by side but commit first in, first out, several at once if they are ready: what another client
 * sees never skips over an earlier write.
 */
import type { LimitFunction } from 'p-limit';
import type { RequestOf } from '../protocol/command.js';
import {
  readableOf,
  storedOf,
  type ReadableChunk,
  type WrittenChunk,
} from '../client/content/readable-chunk.js';
import type { Client } from '../client/client.js';
import { sleep, type Clock, type Timespec } from '../platform/clock.js';
import { assert, DfsError, hasCode, toDfsError } from '../protocol/errors.js';
import { MAX_EXTENTS, MAX_FILE_BYTES, SCATTERED_OFFSET } from '../protocol/limits.js';
import { blocks } from '../protocol/content-commands.js';
import type { Attributes, Extent, PrivilegeLoss } from '../protocol/types.js';
import type { BlockPool } from './block-pool.js';
import type { DirtyBudget } from './dirty-budget.js';
import type { StoreGathering } from './store-gathering.js';
import { UnsyncedChunks } from './unsynced-chunks.js';
import { WriteBuffer, type Slice } from './write-buffer.js';

/** What all writers of a client share. */
export interface WriterSurroundings {
  readonly client: Client;
  readonly budget: DirtyBudget;
  readonly pool: BlockPool;
  readonly clock: Clock;
  readonly chunkBytes: number;
  /** Bounds how many chunks are being stored at once. */
  readonly storeLimit: LimitFunction;
  /** What small chunks that nobody waits for wait for. */
  readonly gathering: StoreGathering;
  /** Told of an inode whose written bytes are not where they were shown: not stored, or behind what others appended. */
  readonly onDisplaced: (inode: number) => void;
  /** Told of an inode of which what was written is not stored, whether or not it is still open. */
  readonly onFailed: (inode: number, reason: DfsError) => void;
}

/** Whoever owns the writer. */
export interface WriterOwner {
  /** Replicas that the file should have. */
  readonly goal: () => number;
  /**
   * Called for each commit before its bytes leave the overlay. `extents` are sorted. `isMoved`: others had appended in
   * between, so they are elsewhere than was thought.
   */
  committed(
    attributes: Attributes,
    extents: readonly Extent[],
    chunks: readonly ReadableChunk[],
    isMoved: boolean,
  ): void;
  failed(error: DfsError): void;
  /** What `committed` told is not so: the server refused it, and it is written again. */
  uncommitted(): void;
  /** So much was stored without an fsync that it becomes a burden to know what. */
  hasMuchUnsynced(): void;
}

/** What a flight is made of; the fields are a flight's. */
interface WrittenSlices {
  readonly slices: readonly Slice[];
  readonly isDurable: boolean;
  readonly mtime: Timespec;
  readonly lastWrite: Timespec;
  readonly isAppending: boolean;
  readonly privilegeLoss: PrivilegeLoss | undefined;
}

/** One chunk on its way. */
class Flight {
  /** Sorted. */
  readonly slices: readonly Slice[];
  readonly bytes: number;
  readonly isDurable: boolean;
  /** What its commit makes of the file's modification time. */
  mtime: Timespec;
  /** When the last of it was written. */
  readonly lastWrite: Timespec;
  /** Written with O_APPEND, and where the end of the file is only its commit will tell. */
  isAppending: boolean;
  /** What the commit takes away, when somebody without CAP_FSETID wrote some of it. */
  readonly privilegeLoss: PrivilegeLoss | undefined;
  /** Why it must not be committed, if it must not. */
  refusal: DfsError | undefined;
  /** A program was told that it is done: it is not given up because servers are away. */
  isAcknowledged = false;
  /** The server refused its commit after others were told of it. */
  isUncommitted = false;
  /** How often it was stored anew, since its grant was void when it was to be committed. */
  storedAnew = 0;
  /** What became of storing it; undefined while that is under way. */
  outcome: WrittenChunk | DfsError | undefined;
  /** Never rejects. */
  storing: Promise<void> = Promise.resolve();
  /** Resolves when it is committed or has failed. */
  landed: Promise<void>;
  #land: () => void = () => undefined;

  constructor({ slices, isDurable, mtime, lastWrite, isAppending, privilegeLoss }: WrittenSlices) {
    this.slices = slices;
    this.bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
    this.isDurable = isDurable;
    this.mtime = mtime;
    this.lastWrite = lastWrite;
    this.isAppending = isAppending;
    this.privilegeLoss = privilegeLoss;
    this.landed = new Promise(resolve => (this.#land = resolve));
  }

  get first(): Slice {
    const [first] = this.slices;
    assert(first, 'a chunk has bytes');
    return first;
  }

  get end(): number {
    return this.slices.at(-1)?.end ?? 0;
  }

  get stored(): WrittenChunk | undefined {
    return this.refusal || this.outcome instanceof DfsError ? undefined : this.outcome;
  }

  land(): void {
    this.#land();
  }

  /** The server refused its commit after other programs saw it: the next commit goes to the server first. */
  putBack(): void {
    this.isUncommitted = true;
    // Its place is known by now.
    this.isAppending = false;
    this.landed = new Promise(resolve => (this.#land = resolve));
  }
}

/** Chunks up to this size may wait for others to set out with them. */
const SMALL_CHUNK_BYTES = 64 << 10;
/** With these the server says of a commit that there is nothing to which the bytes could be put, or that others have gone on. */
const FINAL = ['ENOENT', 'EIO'];
/** How often a chunk is stored anew because its grant was void when it was to be committed. */
const MAX_STORED_ANEW = 5;
/** How long before what a program was told is stored is tried again, when no node took it. */
const STORE_AGAIN_MS = 500;
/** Replicas not known to be on stable storage, beyond which the owner is asked to see to it. */
const MAX_UNSYNCED_REPLICAS = 8192;

export class FileWriter {
  readonly #inode: number;
  readonly #shared: WriterSurroundings;
  readonly #owner: WriterOwner;
  readonly #buffer: WriteBuffer;
  /** In the order in which they are to be committed. */
  #flights: Flight[] = [];
  /** Committed ahead of the server (client/log/change-log.ts), which has not answered. */
  readonly #ahead = new Set<Flight>();
  #isCommitting = false;
  /** The metadata server is being asked for a commit. */
  #isAsking = false;
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
  }

  /** Whether anything written is not committed yet. */
  get isPending(): boolean {
    return this.#buffer.bytes > 0 || this.#flights.length > 0;
  }

  /** Where the last byte that is not committed yet ends; 0 when there is none. */
  get pendingEnd(): number {
    let end = this.#buffer.end;
    for (const flight of this.#flights) end = Math.max(end, flight.end);
    return end;
  }

  get pendingBytes(): number {
    return this.#flights.reduce((sum, flight) => sum + flight.bytes, this.#buffer.bytes);
  }

  /** What the file's modification time becomes with what is not committed yet. */
  get mtime(): Timespec {
    return this.#mtime;
  }

  /** Whether some of what is not committed is not given up because servers are away. */
  get isAcknowledged(): boolean {
    return this.#flights.some(({ isAcknowledged }) => isAcknowledged);
  }

  get lastWrite(): Timespec {
    return this.#lastWrite;
  }

  /** Whether `setTime` can do what it says. */
  get maySetTime(): boolean {
    return !this.#isAsking;
  }

  /** What is not committed yet makes this the file's modification time when it is. */
  setTime(mtime: Timespec): void {
    this.#mtime = mtime;
    for (const flight of this.#flights) flight.mtime = mtime;
    // One that the server refuses is committed anew.
    for (const flight of this.#ahead) flight.mtime = mtime;
  }

  /** How what is not committed yet will take setuid, setgid and capabilities away, if it does. */
  get privilegeLoss(): PrivilegeLoss | undefined {
    return this.#flights.reduce((loss, flight) => greater(loss, flight.privilegeLoss), this.#bufferLoss);
  }

  /** What is not committed yet, newest first, each layer sorted. */
  layers(): (readonly Slice[])[] {
    return [this.#buffer.slices, ...this.#flights.map(flight => flight.slices).toReversed()];
  }

  /**
   * Takes a copy of `data`; waits while too much is dirty. EFBIG beyond the largest file.
   * @param now when it is written, by the metadata server's clock
   * @param privilegeLoss how setuid, setgid and capabilities go with the commit
   */
  async write(offset: number, data: Uint8Array, now: Timespec, privilegeLoss?: PrivilegeLoss): Promise<void> {
    if (offset + data.length > MAX_FILE_BYTES) {
      throw new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
    }
    const { budget, chunkBytes } = this.#shared;
    for (let at = 0; at < data.length; at += chunkBytes) {
      const part = data.subarray(at, at + chunkBytes);
      if (!budget.tryReserve(part.length)) await budget.reserve(part.length);
      if (this.isPending && this.#isAppending) await this.#become(false);
      this.#isAppending = false;
      this.#bufferLoss = greater(this.#bufferLoss, privilegeLoss);
      this.#take(offset + at, part, now);
    }
  }

  /**
   * As `write` at the end of the file, wherever that is when it is committed. Returns where the end is taken to be.
   * @param size how long the committed file is, as far as is known
   */
  async append(
    data: Uint8Array,
    now: Timespec,
    size: () => number,
    privilegeLoss?: PrivilegeLoss,
  ): Promise<number> {
    const { budget, chunkBytes } = this.#shared;
    let start: number | undefined;
    for (let at = 0; at < data.length; at += chunkBytes) {
      const part = data.subarray(at, at + chunkBytes);
      if (!budget.tryReserve(part.length)) await budget.reserve(part.length);
      if (this.isPending && !this.#isAppending) await this.#become(true);
      this.#isAppending = true;
      const offset = this.isPending ? this.pendingEnd : size();
      start ??= offset;
      if (offset + part.length > MAX_FILE_BYTES) {
        budget.release(part.length);
        throw new DfsError('EFBIG', `a file holds at most ${MAX_FILE_BYTES} bytes`);
      }
      this.#bufferLoss = greater(this.#bufferLoss, privilegeLoss);
      this.#take(offset, part, now);
    }
    return start ?? size();
  }

  /** Begins to store what was written `ageMs` ago or earlier. */
  sealOlderThan(ageMs: number): void {
    const isOld = this.#shared.clock.monotonicMs() - this.#dirtySinceMs >= ageMs;
    if (this.#buffer.bytes > 0 && isOld) this.#launch(this.#buffer.takeAll(), false);
  }

  /**
   * Everything written before this call is committed, or has failed and told its owner so, when it returns.
   * @param isUrgent somebody waits for it
   */
  async flush(isDurable: boolean, isUrgent = true): Promise<void> {
    if (isUrgent && this.isPending) this.#shared.gathering.setOut();
    // Whoever waits for it hears of it when it fails.
    if (isDurable) this.unacknowledge();
    if (this.#buffer.bytes > 0) this.#launch(this.#buffer.takeAll(), isDurable);
    await this.#flights.at(-1)?.landed;
  }

  /** A program was told that everything written before this call is done. */
  acknowledge(): void {
    if (this.#buffer.bytes > 0) this.#launch(this.#buffer.takeAll(), false, true);
    for (const flight of this.#flights) flight.isAcknowledged = true;
  }

  /** Somebody will be told if it fails. */
  unacknowledge(): void {
    for (const flight of this.#flights) flight.isAcknowledged = false;
  }

  /**
   * Everything written before this call is committed by the server's word, or has failed.
   * @param isUrgent somebody waits for it
   */
  async settled(isUrgent = true): Promise<void> {
    do {
      await this.flush(false, isUrgent);
      if (this.#ahead.size > 0) await this.#shared.client.session.changes.drained(isUrgent);
    } while (this.#flights.some(({ isUncommitted }) => isUncommitted));
  }

  /** What is not committed yet fails with `reason`; what is being committed, unless it is answered without being sent again. */
  abandon(reason: DfsError): void {
    if (this.#buffer.bytes > 0) this.#launch(this.#buffer.takeAll(), false);
    for (const flight of this.#flights) flight.refusal ??= reason;
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

  /** Waits until nothing of the other kind is pending. */
  async #become(isAppending: boolean): Promise<void> {
    while (this.isPending && this.#isAppending !== isAppending) await this.flush(false);
  }

  #take(offset: number, data: Uint8Array, now: Timespec): void {
    if (this.#buffer.bytes === 0) this.#dirtySinceMs = this.#shared.clock.monotonicMs();
    this.#mtime = now;
    this.#lastWrite = now;
    const { grewBytes, isSliceFull } = this.#buffer.write(offset, data);
    this.#shared.budget.release(data.length - grewBytes);
    if (isSliceFull) this.#launch(this.#buffer.takeFull(), false);
    if (this.#buffer.isWorthPacking) this.#launch(this.#buffer.takeAll(), false);
  }

  /** @param isPatient nobody waits for it */
  #launch(chunks: readonly Slice[][], isDurable: boolean, isPatient = false): void {
    for (const slices of chunks) {
      const flight = new Flight({
        slices,
        isDurable,
        mtime: this.#mtime,
        lastWrite: this.#lastWrite,
        isAppending: this.#isAppending,
        privilegeLoss: this.#bufferLoss,
      });
      this.#store(flight, isPatient && flight.bytes <= SMALL_CHUNK_BYTES);
      this.#flights.push(flight);
    }
    if (this.#buffer.bytes === 0) this.#bufferLoss = undefined;
    if (!this.#isCommitting) void this.#commitAll();
  }

  #store(flight: Flight, isPatient = false): void {
    flight.outcome = undefined;
    const { gathering, storeLimit } = this.#shared;
    // Small ones need no limit: there are no more of them than files that were closed ahead.
    flight.storing = isPatient
      ? gathering.turn().then(async () => await this.#storeNow(flight))
      : storeLimit(async () => await this.#storeNow(flight));
  }

  async #storeNow(flight: Flight): Promise<void> {
    const { client, clock } = this.#shared;
    const chunk = {
      payload: flight.slices.flatMap(slice => slice.payload()),
      inode: this.#inode,
      fileOffset: hintOf(flight.slices),
      durable: flight.isDurable,
    };
    for (;;) {
      try {
        const stored = await client.writer.store({ ...chunk, goal: this.#owner.goal() });
        // The kernel drops the pages that it has of it as soon as it hears of the file's new time.
        if (flight.bytes <= SMALL_CHUNK_BYTES) client.content.keep(stored.chunk, chunk.payload);
        flight.outcome = stored;
        return;
      } catch (error) {
        const reason = toDfsError(error);
        if (reason.code !== 'EIO' || !flight.isAcknowledged || flight.refusal) {
          flight.outcome = reason;
          return;
        }
        await sleep(clock, STORE_AGAIN_MS);
      }
    }
  }

  /** Runs while there are flights; never rejects. */
  async #commitAll(): Promise<void> {
    this.#isCommitting = true;
    for (let head = this.#flights[0]; head; head = this.#flights[0]) {
      await head.storing;
      const failure = head.refusal ?? head.outcome;
      if (failure instanceof DfsError) {
        this.#owner.failed(failure);
        this.#land([head]);
        continue;
      }
      const batch = this.#readyFlights();
      try {
        const { session } = this.#shared.client;
        await session.quiesce();
        // Given up meanwhile.
        if (batch.some(({ refusal }) => refusal)) continue;
        if (this.#commitAhead(batch)) continue;
        // What was committed ahead before, and is refused, comes before what was written later.
        if (this.#ahead.size > 0) await session.changes.drained();
        if (this.#flights[0] !== head || batch.some(({ refusal }) => refusal)) continue;
        this.#isAsking = true;
        await this.#commit(batch);
      } catch (error) {
        if (hasCode(error, 'ESTALE') && this.#storeAgain(batch)) continue;
        this.#owner.failed(toDfsError(error));
      } finally {
        this.#isAsking = false;
      }
      this.#land(batch);
    }
    this.#isCommitting = false;
  }

  /**
   * The grant of a chunk is void: it took too long to be stored, or the server's clock has jumped. Stores everything anew,
   * unless that was done often enough; a flight that was refused meanwhile stays refused.
   */
  #storeAgain(batch: readonly Flight[]): boolean {
    if (batch.some(flight => flight.storedAnew === MAX_STORED_ANEW)) return false;
    this.#shared.client.grants.clear();
    for (const flight of batch) {
      flight.storedAnew += 1;
      this.#store(flight);
    }
    return true;
  }

  /** The flights at the head of the queue that are stored, do not overlap, and fit one request. */
  #readyFlights(): Flight[] {
    const ready: Flight[] = [];
    let slices: Slice[] = [];
    for (const flight of this.#flights) {
      if (!flight.stored || slices.length + flight.slices.length > MAX_EXTENTS) break;
      if (flight.isAppending !== this.#flights[0]?.isAppending) break;
      const together = [...slices, ...flight.slices].sort((a, b) => a.offset - b.offset);
      if (together.some((slice, index) => (together[index + 1]?.offset ?? slice.end) < slice.end)) break;
      slices = together;
      ready.push(flight);
    }
    return ready;
  }

  /** Commits before the server is told, if this client may; returns whether. */
  #commitAhead(batch: readonly Flight[]): boolean {
    const { session } = this.#shared.client;
    if (!session.changes.isOpen || batch.some(({ isUncommitted }) => isUncommitted)) return false;
    const { request, extents, chunks } = this.#requestOf(batch);
    const attributes = session.delegated.commit(
      request,
      () => this.#answered(batch),
      reason => this.#refused(batch, reason),
    );
    if (!attributes) return false;
    for (const flight of batch) {
      this.#ahead.add(flight);
      this.#noteUnsynced(flight);
    }
    this.#owner.committed(attributes, extents, chunks, false);
    this.#flights = this.#flights.filter(flight => !batch.includes(flight));
    for (const flight of batch) flight.land();
    return true;
  }

  #answered(batch: readonly Flight[]): void {
    for (const flight of batch) this.#ahead.delete(flight);
    this.#giveBack(batch);
  }

  /**
   * The server refused what others were told is committed. It is committed once more, by itself and stored anew where its
   * grant was void; when that is refused, too, it has failed.
   */
  #refused(batch: readonly Flight[], reason: DfsError): void {
    for (const flight of batch) this.#ahead.delete(flight);
    this.#owner.uncommitted();
    const isTriedAgain = reason.code === 'ESTALE' ? this.#storeAgain(batch) : !hasCode(reason, ...FINAL);
    if (!isTriedAgain) {
      this.#giveBack(batch);
      this.#owner.failed(reason);
      return;
    }
    for (const flight of batch) flight.putBack();
    this.#flights.unshift(...batch);
    if (!this.#isCommitting) void this.#commitAll();
  }

  async #commit(batch: readonly Flight[]): Promise<void> {
    const { request, extents, chunks } = this.#requestOf(batch);
    const { attributes, moved = 0 } = await this.#shared.client.session.execute(
      blocks,
      request,
      () => batch.find(flight => flight.refusal)?.refusal,
      () => batch.some(flight => flight.isAcknowledged),
    );
    if (moved !== 0) this.#move(moved);
    for (const flight of batch) this.#noteUnsynced(flight);
    this.#owner.committed(attributes, movedBy(moved, extents), chunks, moved !== 0);
  }

  #requestOf(batch: readonly Flight[]): {
    readonly request: Omit<RequestOf<typeof blocks>, 'once'>;
    readonly extents: readonly Extent[];
    readonly chunks: readonly ReadableChunk[];
  } {
    const extents: Extent[] = [];
    const chunks: WrittenChunk[] = [];
    for (const flight of batch) {
      assert(flight.stored, 'only stored chunks are committed');
      chunks.push(flight.stored);
      extents.push(...extentsOf(flight.slices, flight.stored.chunk));
    }
    extents.sort((a, b) => a.offset - b.offset);
    const last = extents.at(-1);
    const newest = batch.at(-1);
    const loss = batch.map(flight => flight.privilegeLoss).reduce(greater, undefined);
    assert(last && newest, 'a commit has extents');
    const request = {
      inode: this.#inode,
      extents,
      chunks: chunks.map(storedOf),
      size: last.offset + last.length,
      mtime: newest.mtime,
      ctime: newest.lastWrite,
      durable: batch.some(flight => flight.isDurable),
      ...(newest.isAppending ? { append: true } : {}),
      ...(batch.some(({ isAcknowledged }) => isAcknowledged) ? { acknowledged: true } : {}),
      ...(loss ? { privilegeLoss: loss } : {}),
    };
    return { request, extents, chunks: chunks.map(readableOf) };
  }

  /** What was just committed lies so much further on, and what is still to be appended follows it. */
  #move(by: number): void {
    const flights = this.#flights.filter(({ isAppending }) => isAppending);
    const buffered = this.#isAppending ? this.#buffer.slices : [];
    for (const slice of [...buffered, ...flights.flatMap(({ slices }) => slices)]) slice.move(by);
  }

  #noteUnsynced(flight: Flight): void {
    if (flight.isDurable || !flight.stored) return;
    const { nodes, chunk } = flight.stored;
    this.#unsynced.add(nodes, chunk, flight.first.offset, flight.end);
    if (this.#unsynced.count > MAX_UNSYNCED_REPLICAS) this.#owner.hasMuchUnsynced();
  }

  #land(batch: readonly Flight[]): void {
    this.#flights = this.#flights.filter(flight => !batch.includes(flight));
    this.#giveBack(batch);
    for (const flight of batch) flight.land();
  }

  /** Nobody needs the bytes any more. */
  #giveBack(batch: readonly Flight[]): void {
    for (const flight of batch) {
      for (const slice of flight.slices) this.#shared.pool.give(slice.blocks);
      this.#shared.budget.release(flight.bytes);
    }
  }
}

function greater(a: PrivilegeLoss | undefined, b: PrivilegeLoss | undefined): PrivilegeLoss | undefined {
  return a === 'all' || b === 'all' ? 'all' : (a ?? b);
}

function movedBy(bytes: number, extents: readonly Extent[]): readonly Extent[] {
  if (bytes === 0) return extents;
  return extents.map(({ offset, length, chunk, chunkOffset }) => ({
    offset: offset + bytes,
    length,
    chunk,
    chunkOffset,
  }));
}

/** Slices that follow each other in the file, as they do in the chunk, are one extent. */
function extentsOf(slices: readonly Slice[], chunk: number): Extent[] {
  const extents: { offset: number; length: number; chunk: number; chunkOffset: number }[] = [];
  let chunkOffset = 0;
  for (const slice of slices) {
    const before = extents.at(-1);
    if (before && before.offset + before.length === slice.offset) before.length += slice.length;
    else extents.push({ offset: slice.offset, length: slice.length, chunk, chunkOffset });
    chunkOffset += slice.length;
  }
  return extents;
}

/** Where the bytes of a chunk stand in their file, should they have to be put together again without the metadata. */
function hintOf(slices: readonly Slice[]): number {
  let end = slices[0]?.offset;
  const first = end ?? 0;
  for (const slice of slices) {
    if (slice.offset !== end) return SCATTERED_OFFSET;
    end = slice.end;
  }
  return first;
}
