/**
 * One chunk of written bytes on its way to the data nodes and into the file.
 *
 *                   ┌─────────────── its grant was void: stored anew ◄──────────────┐
 *                   ▼                                                               │
 *                storing ──► stored ──► asked ──► committed                         │
 *                   │         │ │ ▲        └──────────────────────────────────────► ┤
 *                   │         │ │ └── refused late ── ahead ──────────────────────► ┘
 *                   │         │ └──────────────────►  ahead ──► committed
 *                   └─────────┴──► failed ◄── asked, ahead
 *                   └─────────┴──► cut ◄── ahead, refused late
 *
 * `asked`: the metadata server is being asked for the commit. `ahead`: the commit is acknowledged and in the log of changes
 * (client/log/change-log.ts), and the server has not answered. `cut`: the file was truncated before its first byte.
 */
import type { TakenIntent } from '../client/log/intent-logs.js';
import type { WrittenChunk } from '../client/content/readable-chunk.js';
import type { LogPlace } from '../client/log/waiting-changes.js';
import type { Timespec } from '../platform/clock.js';
import { assert, type DfsError } from '../protocol/errors.js';
import type { PrivilegeLoss } from '../protocol/types.js';
import { greaterLoss } from './privilege-loss.js';
import { bytesOf, cutSlices, MAX_SLICES_PER_CHUNK, type Slice } from './write-buffer.js';

export type FlightState =
  /** `isGathering`: not on its way yet, so that more can go with it. */
  | { readonly is: 'storing'; readonly isGathering: boolean }
  | { readonly is: 'stored'; readonly chunk: WrittenChunk }
  /** `refusal`: given up meanwhile; the request is not sent again. */
  | { readonly is: 'asked'; readonly chunk: WrittenChunk; readonly refusal: DfsError | undefined }
  | { readonly is: 'ahead'; readonly chunk: WrittenChunk }
  | { readonly is: 'committed' }
  | { readonly is: 'cut' }
  | { readonly is: 'failed'; readonly reason: DfsError };

/** Chunks up to this size may wait for others to be sent with them. */
export const SMALL_CHUNK_BYTES = 64 << 10;

/** What a flight is made of. */
export interface WrittenSlices {
  /** Sorted. */
  readonly slices: readonly Slice[];
  readonly isDurable: boolean;
  /** What the commit makes of the file's modification time. */
  readonly mtime: Timespec;
  /** When the last of it was written. */
  readonly lastWrite: Timespec;
  /** Written with O_APPEND: only the commit tells where the end of the file is. */
  readonly isAppending: boolean;
  /** What the commit takes away, when somebody without CAP_FSETID wrote some of it. */
  readonly privilegeLoss: PrivilegeLoss | undefined;
  /** The write waits for the commit by the server's own word, and reports the failure itself. */
  readonly isThrough: boolean;
  /** What is left with it on the data nodes, so that nobody need wait for the commit. */
  readonly intent?: TakenIntent | undefined;
}

/** Something that happens once. */
class Moment {
  come: () => void = () => undefined;
  readonly hasCome = new Promise<void>(resolve => (this.come = resolve));
}

export class Flight {
  /** Its place among the flights of its file. */
  readonly number: number;
  readonly isDurable: boolean;
  readonly isThrough: boolean;
  readonly intent: TakenIntent | undefined;
  mtime: Timespec;
  /** A program was told that it is written: it is not given up because servers are away. */
  isAcknowledged = false;
  /** Where in the log of changes its commit belongs; undefined: where the log ends when it is committed. */
  place: LogPlace | undefined;
  /** Its commit went ahead of the server as the carrying out of its intent: should the server refuse it, it is asked for just that. */
  isCarriedOut = false;
  /** Why no data node has taken it yet, if that is known. */
  trouble: DfsError | undefined;
  #slices: readonly Slice[];
  #bytes: number;
  #heldBytes: number;
  #lastWrite: Timespec;
  #privilegeLoss: PrivilegeLoss | undefined;
  #state: FlightState;
  #isAppending: boolean;
  /** Only the server itself may commit it. */
  #mustAsk: boolean;
  #storedAnew = 0;
  #landed = new Moment();
  #decided = new Moment();

  /** @param isGathering it waits for others before it sets out */
  constructor(number: number, written: WrittenSlices, isGathering = false) {
    this.number = number;
    this.#slices = written.slices;
    this.#bytes = bytesOf(written.slices);
    this.#heldBytes = this.#bytes;
    this.#state = { is: 'storing', isGathering };
    this.isDurable = written.isDurable;
    this.intent = written.intent;
    this.mtime = written.mtime;
    this.#lastWrite = written.lastWrite;
    this.#privilegeLoss = written.privilegeLoss;
    this.isThrough = written.isThrough;
    this.#isAppending = written.isAppending;
    this.#mustAsk = written.isThrough;
  }

  get state(): FlightState {
    return this.#state;
  }

  /** What is to be in the file, sorted. */
  get slices(): readonly Slice[] {
    return this.#slices;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Memory that it takes of the budget for written data, until it is freed. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  get lastWrite(): Timespec {
    return this.#lastWrite;
  }

  get privilegeLoss(): PrivilegeLoss | undefined {
    return this.#privilegeLoss;
  }

  /** Whether nothing of it is to be in the file any more. */
  get isEmpty(): boolean {
    return this.#slices.length === 0;
  }

  get offset(): number {
    return this.slices[0]?.offset ?? 0;
  }

  get end(): number {
    return this.slices.at(-1)?.end ?? 0;
  }

  get isAppending(): boolean {
    return this.#isAppending;
  }

  get mustAsk(): boolean {
    return this.#mustAsk;
  }

  /** How often it was stored anew. */
  get storedAnew(): number {
    return this.#storedAnew;
  }

  /** Whether it is stored, and its commit is nobody's business yet. */
  get isReady(): boolean {
    return this.#state.is === 'stored';
  }

  /** Resolves when it is not being stored any more: it is stored, or has failed. */
  get decided(): Promise<void> {
    return this.#decided.hasCome;
  }

  /** Resolves when it has left the queue: committed, by the server or ahead of it, or failed. */
  get landed(): Promise<void> {
    return this.#landed.hasCome;
  }

  /** The chunk, from when it is stored until it is committed. */
  get chunk(): WrittenChunk {
    assert('chunk' in this.#state, `a flight that is ${this.#state.is} has no chunk`);
    return this.#state.chunk;
  }

  /**
   * Whether what was written after it can go in the same chunk, and in the same commit.
   * @param maxBytes of a chunk
   */
  mayTake({ slices, isDurable, isAppending, isThrough }: WrittenSlices, maxBytes: number): boolean {
    const [first] = slices;
    return (
      this.#state.is === 'storing' &&
      this.#state.isGathering &&
      first !== undefined &&
      first.offset >= this.end &&
      isDurable === this.isDurable &&
      isThrough === this.isThrough &&
      isAppending === this.#isAppending &&
      this.#slices.length + slices.length <= MAX_SLICES_PER_CHUNK &&
      this.#bytes + bytesOf(slices) <= Math.min(maxBytes, SMALL_CHUNK_BYTES)
    );
  }

  /** Takes what was written after it; only what it may (`mayTake`). */
  take(written: WrittenSlices, maxBytes: number): void {
    assert(this.mayTake(written, maxBytes), 'a flight takes only what can go with it');
    this.#slices = [...this.#slices, ...written.slices];
    this.#bytes += bytesOf(written.slices);
    this.#heldBytes += bytesOf(written.slices);
    this.#lastWrite = written.lastWrite;
    this.#privilegeLoss = greaterLoss(this.#privilegeLoss, written.privilegeLoss);
    this.mtime = written.mtime;
  }

  /** Its bytes are sent from now on. Without effect when it was given up meanwhile. */
  setOut(): void {
    if (this.#state.is === 'storing') this.#state = { is: 'storing', isGathering: false };
  }

  /** Data nodes hold the bytes. Without effect when it was given up meanwhile. */
  store(chunk: WrittenChunk): void {
    if (this.#state.is === 'failed' || this.#state.is === 'cut') return;
    this.#move(['storing'], { is: 'stored', chunk });
    this.#decided.come();
  }

  /** The server is asked from now on. */
  ask(): void {
    this.#move(['stored'], { is: 'asked', chunk: this.chunk, refusal: undefined });
  }

  /** It is committed before the server is told. */
  goAhead(): void {
    assert(!this.#mustAsk, 'only the server may commit this flight');
    this.#move(['stored'], { is: 'ahead', chunk: this.chunk });
  }

  /** The server has committed it. */
  commit(): void {
    this.#move(['asked', 'ahead'], { is: 'committed' });
  }

  /** The server refused its commit after other programs saw it: the next time it is asked first. */
  putBack(): void {
    this.#move(['ahead'], { is: 'stored', chunk: this.chunk });
    this.#wasRefusedAhead();
  }

  /** The grant of its chunk was void. */
  storeAnew(): void {
    const wasAhead = this.#state.is === 'ahead';
    this.#move(['asked', 'ahead'], { is: 'storing', isGathering: false });
    this.#storedAnew += 1;
    this.#decided = new Moment();
    if (wasAhead) this.#wasRefusedAhead();
  }

  /** It will be in no file. */
  fail(reason: DfsError): void {
    if (this.#state.is === 'failed' || this.#state.is === 'cut') return;
    this.#move(['storing', 'stored', 'asked', 'ahead'], { is: 'failed', reason });
    this.#decided.come();
  }

  /** The file ends at `size`: what lies behind that is not committed any more, nor once more if it was refused. */
  cut(size: number): void {
    assert(this.#state.is !== 'asked', 'what the server is asked for is not changed');
    this.#slices = cutSlices(this.#slices, size);
    this.#bytes = bytesOf(this.#slices);
  }

  /** Nothing of it is left. */
  drop(): void {
    assert(this.isEmpty, 'only what is cut away wholly is dropped');
    this.#move(['storing', 'stored', 'ahead'], { is: 'cut' });
    this.#decided.come();
  }

  /** It must not be committed any more, unless the server was asked and answers without being asked again. */
  giveUp(reason: DfsError): void {
    if (this.#state.is === 'asked') this.#state = { ...this.#state, refusal: this.#state.refusal ?? reason };
    else if (this.#state.is === 'storing' || this.#state.is === 'stored') this.fail(reason);
  }

  /** It has left the queue. */
  land(): void {
    assert(['ahead', 'committed', 'cut', 'failed'].includes(this.#state.is), `${this.#state.is} is no end`);
    this.#landed.come();
  }

  /** Whether both have bytes of one place; by the ends of each, so that "yes" may be wrong. */
  mayOverlap(other: Flight): boolean {
    return this.offset < other.end && other.offset < this.end;
  }

  /** Whether it and an earlier one leave intents in the same log. */
  followsIntentOf({ intent }: Flight): boolean {
    return this.intent !== undefined && this.intent.owner === intent?.owner;
  }

  #wasRefusedAhead(): void {
    this.#mustAsk = true;
    this.place = undefined;
    // The first commit has told where the file ends.
    this.#isAppending = false;
    this.#landed = new Moment();
  }

  #move(from: readonly FlightState['is'][], to: FlightState): void {
    assert(from.includes(this.#state.is), `a flight that is ${this.#state.is} does not become ${to.is}`);
    this.#state = to;
  }
}

/** Resolves when all of these have landed; throws the first failure. */
export async function landedWell(flights: readonly Flight[]): Promise<void> {
  for (const flight of flights) await flight.landed;
  for (const { state } of flights) if (state.is === 'failed') throw state.reason;
}
