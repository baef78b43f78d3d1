/** One regular file that this client has open, through however many handles. */
import type { ReadRange } from '../client/content/content-reader.js';
import type { ExtentMap } from '../client/content/extent-map.js';
import type { ReadableChunk } from '../client/content/readable-chunk.js';
import { isDoneWithin, type Timespec } from '../platform/clock.js';
import type { Loans } from '../platform/loans.js';
import { DfsError } from '../protocol/errors.js';
import { ctimeAfter } from '../rules/file-time.js';
import { withoutPrivileges } from '../rules/privileges.js';
import { NO_PAYLOAD, type Payload } from '../protocol/frame.js';
import type { Attributes, Extent, PrivilegeLoss } from '../protocol/types.js';
import { notStored } from './storage-failures.js';
import { FileDurability } from './file-durability.js';
import { FileWriter } from './file-writer.js';
import { readUnder } from './overlay.js';
import type { ReadAhead } from './read-ahead.js';
import type { WriteManner, WriteTerms } from './write-manner.js';
import type { WriterSurroundings } from './writer-surroundings.js';

/** A chunk that no node takes fails with a reason of its own within the timeout and this. */
const OWN_FAILURE_MS = 1000;
/** Asked for so often while something is pending, attributes are worth being kept, and a notice when they are not so any more. */
const SHOWN_OFTEN = 8;

export class OpenFile {
  readonly inode: number;
  readonly #shared: WriterSurroundings;
  readonly #extents: ExtentMap;
  readonly #writer: FileWriter;
  #attributes: Attributes;
  readonly #durability: FileDurability;
  #failures = 0;
  #lastFailure: DfsError | undefined;
  /** How often what was committed here was taken back. */
  #timesForgotten = 0;
  /** How often the metadata server lost changes of the file that it had answered. */
  #losses = 0;
  /** Handles that have it open. */
  handles = 0;
  /** How often `present` showed what something pending makes of it, since something landed. */
  #timesShown = 0;
  /** Its last name was removed through this client. */
  hasLostNames = false;
  /** The server said that the file has no `security.capability`, which the kernel asks for before each write. */
  hasNoCapability = false;
  /** Another client changed the file since the attributes were told. */
  #isStale = false;
  /** The newer ones are being asked for. */
  #refreshing: Promise<void> | undefined;

  /**
   * @param isNew it was created just now, so nobody can have written to it
   * @param extents what is known of the file's extents from earlier
   */
  constructor(attributes: Attributes, isNew: boolean, extents: ExtentMap, shared: WriterSurroundings) {
    this.inode = attributes.inode;
    this.#shared = shared;
    this.#extents = extents;
    this.#attributes = attributes;
    extents.revalidate(attributes.version);
    // Nobody need be asked where nothing is.
    if (isNew) extents.insertPage(attributes.version, 0, Number.POSITIVE_INFINITY, [], []);
    this.#writer = new FileWriter(attributes.inode, shared, {
      extents,
      goal: () => this.#attributes.goal,
      committed: (committed, committedExtents, chunks, isMoved) => {
        this.#committed(committed, committedExtents, chunks);
        if (isMoved) shared.onDisplaced(attributes.inode);
      },
      failed: error => {
        shared.client.log.error(
          { inode: this.inode, reason: error.message },
          'what was written is not stored',
        );
        shared.onFailed(this.inode, error);
        shared.onDisplaced(attributes.inode);
      },
      landed: () => {
        if (this.#timesShown > SHOWN_OFTEN) shared.onLanded(this.inode);
        this.#timesShown = 0;
      },
      uncommitted: () => this.serverStarted(undefined),
      hasMuchUnsynced: () => void this.#durability.syncInBackground(),
    });
    this.#durability = new FileDurability(
      shared.client,
      {
        inode: this.inode,
        extents,
        writer: this.#writer,
        attributes: () => this.#attributes,
        noteAttributes: told => this.note(told),
        size: () => this.size,
        range: (offset, length) => this.#range(offset, length, false),
        committed: (...committed) => this.#committed(...committed),
      },
      isNew ? attributes.version : -1,
    );
  }

  /** How many writes failed after they were taken. */
  get failures(): number {
    return this.#failures;
  }

  get lastFailure(): DfsError | undefined {
    return this.#lastFailure;
  }

  /** A write failed, or a change of the file that a program was told is done; perhaps while nobody had the file open. */
  noteFailure(error: DfsError): void {
    this.#failures += 1;
    this.#lastFailure = error;
  }

  /** As the metadata server told them last. */
  get attributes(): Attributes {
    return this.#attributes;
  }

  get pendingBytes(): number {
    return this.#writer.pendingBytes;
  }

  /**
   * Whether what `present` shows now may be kept by caches above. What is pending gets its attributes, but for the room that it takes, when
   * it is committed; so they may, if they are asked for often enough to be worth the notice when something of it has landed.
   */
  mayKeepShown(): boolean {
    if (!this.isDirty) return true;
    this.#timesShown += 1;
    return this.#timesShown > SHOWN_OFTEN;
  }

  /** Replicas that its chunks should have. */
  get goal(): number {
    return this.#attributes.goal;
  }

  get isDirty(): boolean {
    return this.#writer.isPending;
  }

  /** Whether something that was written and counts as committed may have to be written anew. */
  get isUnanswered(): boolean {
    return this.#writer.isUnanswered;
  }

  /** How what is written but not committed will take setuid, setgid and capabilities away, if it does. */
  get privilegeLoss(): PrivilegeLoss | undefined {
    return this.#writer.privilegeLoss;
  }

  get size(): number {
    return Math.max(this.#attributes.size, this.#writer.shownEnd);
  }

  /** The metadata server says that another client changed the file, or cannot be heard any more. */
  mayBeStale(): void {
    this.#isStale = true;
    this.hasNoCapability = false;
  }

  /**
   * The metadata server was started anew, and may tell older versions than were known.
   * @param lost the failure of changes that it had answered and has lost; undefined when it has lost none
   */
  serverStarted(lost: DfsError | undefined): void {
    this.#attributes = { ...this.#attributes, version: 0 };
    this.#durability.forget();
    this.#extents.forget();
    this.#timesForgotten += 1;
    this.mayBeStale();
    if (!lost) return;
    this.#failures += 1;
    this.#losses += 1;
    this.#lastFailure = lost;
    this.#shared.onDisplaced(this.inode);
  }

  /** Takes over attributes that the metadata server told, unless newer ones are known. */
  note(attributes: Attributes): void {
    if (attributes.version < this.#attributes.version) return;
    this.#attributes = attributes;
    this.#extents.revalidate(attributes.version);
  }

  /** What stat(2) shows: `attributes`, or newer ones that are known, with what is written but not committed. */
  present(attributes: Attributes): Attributes {
    this.note(attributes);
    const newest = attributes.version < this.#attributes.version ? this.#attributes : attributes;
    if (!this.#writer.isPending) return newest;
    const { mtime, lastWrite, privilegeLoss: loss } = this.#writer;
    return {
      ...newest,
      mode: withoutPrivileges(newest.mode, loss),
      size: this.size,
      allocated: newest.allocated + this.#writer.pendingBytes,
      // What the commit will make of them.
      mtime,
      ctime: ctimeAfter(newest.ctime, lastWrite, this.#now()),
    };
  }

  /** As FileSystem.read. */
  async read(readAhead: ReadAhead, offset: number, length: number, loans?: Loans): Promise<Payload> {
    const { lease } = this.#shared.client.session;
    // This client was away, and others use the file by now: where its own bytes belong is for the server to say.
    if (this.#writer.isBuffering && !this.#shared.mayBuffer(this.inode)) await this.settledInTime();
    // Without a lease nobody says what changes.
    if (lease.isWanted && !lease.isAlive) this.#isStale = true;
    while (this.#isStale || this.#refreshing) {
      this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined));
      await this.#refreshing;
    }
    for (;;) {
      const forgotten = this.#timesForgotten;
      const bytes = await this.#readOnce(readAhead, offset, length, loans);
      // What was refused meanwhile was in no layer when the read began, and is in no extent any more.
      if (forgotten === this.#timesForgotten) return bytes;
    }
  }

  async #readOnce(readAhead: ReadAhead, offset: number, length: number, loans?: Loans): Promise<Payload> {
    const { size } = this;
    const wanted = Math.min(length, size - offset);
    if (wanted <= 0) return NO_PAYLOAD;
    const advice = readAhead.advise(offset, wanted, size);
    if (advice.aheadLength > 0) {
      const ahead = this.#range(advice.aheadOffset, advice.aheadLength, true);
      // Without a loan each read is given memory of its own.
      void this.#shared.client.content.prefetch(ahead, loans ? wanted : 0);
    }
    const read = async (from: number, bytes: number): Promise<Payload> =>
      await this.#shared.client.content.read(this.#range(from, bytes, advice.isSequential, loans));
    if (!this.#writer.isPending) return await read(offset, wanted);
    return await readUnder(this.#writer.layers(), offset, offset + wanted, read);
  }

  /** As FileSystem.write. */
  async write(offset: number, data: Uint8Array, terms: WriteTerms = {}): Promise<void> {
    const losses = this.#losses;
    await this.#writer.write(offset, data, this.#manner(terms));
    this.#requireNoLossSince(losses);
  }

  /** As `write`, if it can be answered from the buffer at once; returns whether it was. Else nothing has changed. */
  writeNow(offset: number, data: Uint8Array, terms: WriteTerms): boolean {
    return (
      this.#shared.mayBuffer(this.inode) &&
      this.#writer.writeNow(offset, data, { ...terms, now: this.#now() })
    );
  }

  /**
   * As FileSystem.write with O_APPEND.
   * @param expected where the caller, who may show the bytes from a cache of his own, takes the end of the file to be
   */
  async append(expected: number, data: Uint8Array, terms: WriteTerms = {}): Promise<void> {
    // In turns with others that append, so that its place is known.
    if (this.#isStale && this.#shared.mayBuffer(this.inode)) await this.#refresh();
    const size = (): number => this.#attributes.size;
    const losses = this.#losses;
    const offset = await this.#writer.append(data, size, this.#manner(terms));
    this.#requireNoLossSince(losses);
    if (offset !== expected) this.#shared.onDisplaced(this.inode);
  }

  /** As `append`, if it can be answered from the buffer at once; returns whether it was. Else nothing has changed. */
  appendNow(expected: number, data: Uint8Array, terms: WriteTerms): boolean {
    if (this.#isStale || !this.#shared.mayBuffer(this.inode)) return false;
    const offset = this.#writer.appendNow(data, this.#attributes.size, { ...terms, now: this.#now() });
    if (offset === undefined) return false;
    if (offset !== expected) this.#shared.onDisplaced(this.inode);
    return true;
  }

  /** Of a write in several chunks, the first may have been committed, and lost, before the last one is. */
  #requireNoLossSince(losses: number): void {
    if (this.#losses !== losses && this.#lastFailure) throw this.#lastFailure;
  }

  /** How a write is acknowledged: from the buffer, or by the server. */
  #manner(terms: WriteTerms): WriteManner {
    const isThrough = (): boolean => !this.#shared.mayBuffer(this.inode);
    return { ...terms, now: this.#now(), isThrough };
  }

  /** As FileSystem.seek. */
  async seek(offset: number, wanted: 'data' | 'hole'): Promise<number> {
    await this.settledInTime();
    await this.#refresh();
    const { size } = this;
    for (let at = offset; at < size;) {
      const run = await this.#shared.client.content.runAt(this.#range(at, 1, false));
      if (run.isHole === (wanted === 'hole')) return at;
      at = run.end;
    }
    // lseek(2): "there is an implicit hole at the end of any file".
    if (wanted === 'hole' && offset < size) return size;
    throw new DfsError('ENXIO', 'there is nothing more behind that offset');
  }

  /** Begins to store what was written `ageMs` ago or earlier. */
  sealOlderThan(ageMs: number): void {
    this.#writer.sealOlderThan(ageMs);
  }

  /**
   * Commits everything written so far; what fails is counted in `failures`.
   * @param isUrgent somebody waits for it
   */
  async flush(isUrgent = true): Promise<void> {
    await this.#writer.flush(false, isUrgent);
  }

  /**
   * A program was told that what was written is there: it is not given up because servers are away. Its commits have their place
   * in the log of changes; returns false where that is the place of an earlier call.
   */
  acknowledge(): boolean {
    return this.#writer.acknowledge();
  }

  /** Whoever waits for it will be told if it fails. */
  unacknowledge(): void {
    this.#writer.unacknowledge();
  }

  /** As `flush`, and the metadata server has said so. */
  async settled(isUrgent = true): Promise<void> {
    await this.#writer.settled(isUrgent);
  }

  /** As `flush`; EIO when what was acknowledged before is not committed within the timeout, which goes on being tried. */
  async flushedInTime(): Promise<void> {
    await this.#inTime(this.flush());
  }

  /** As `settled`; EIO as `flushedInTime`. */
  async settledInTime(): Promise<void> {
    await this.#inTime(this.settled());
  }

  /**
   * As `settled`, within a time: what no data node has taken by then is given up, and its failure is counted.
   * @throws EIO when the metadata server does not answer within as long again
   */
  async settledWithin(patienceMs: number): Promise<void> {
    await this.#writer.settledWithin(patienceMs);
  }

  async #inTime(done: Promise<void>): Promise<void> {
    // Everything else fails by itself before.
    if (!this.#writer.mayWaitForever) {
      await done;
      return;
    }
    const { clock, timeoutMs } = this.#shared;
    if (!(await isDoneWithin(clock, timeoutMs + OWN_FAILURE_MS, done))) throw notStored(timeoutMs);
  }

  /** Whether `setTime` can do what it says. */
  get maySetTime(): boolean {
    return this.#writer.maySetTime;
  }

  /** What was written before, and is not committed yet, makes this the modification time when it is. */
  setTime(mtime: Timespec): void {
    this.#writer.setTime(mtime);
  }

  /** Whether `truncated` can do what it says. */
  get mayCut(): boolean {
    return this.#writer.mayCut;
  }

  /**
   * The file has these attributes, and another size, by a change that was logged just now.
   * @param before the size of what was committed until then
   */
  truncated(attributes: Attributes, before: number): void {
    const { size, mtime, version } = attributes;
    this.#writer.cut(size, mtime);
    this.#extents.resize(version, Math.min(size, before));
    this.#durability.noteCommitted(version);
    this.note(attributes);
  }

  /** What is written but not committed fails with `reason`. */
  abandonWrites(reason: DfsError): void {
    this.#writer.abandon(reason);
  }

  /** As FileSystem.fsync, apart from earlier failures, which are counted. */
  async fsync(): Promise<void> {
    const { intents } = this.#shared.client.session;
    await this.#writer.flush(true);
    if (intents.covers(this.inode)) return;
    await this.settledInTime();
    const attributes = this.#attributes;
    await this.#durability.sync();
    intents.synced(attributes);
  }

  /** By the metadata server's clock, which others go by, too. */
  #now(): Timespec {
    return this.#shared.client.session.serverClock.now();
  }

  /** Asks how long the file is by now, and at which version. */
  async #refresh(): Promise<void> {
    this.#isStale = false;
    try {
      this.note(await this.#shared.client.session.getattr(this.inode));
    } catch (error) {
      this.#isStale = true;
      throw error;
    }
  }

  #range(offset: number, length: number, isSequential: boolean, loans?: Loans): ReadRange {
    return {
      inode: this.inode,
      extents: this.#extents,
      offset,
      length,
      isSequential,
      loans,
      onAttributes: attributes => this.note(attributes),
    };
  }

  /** The server has committed what this client stored. */
  #committed(attributes: Attributes, extents: readonly Extent[], chunks: readonly ReadableChunk[]): void {
    this.#extents.commit(attributes.version, extents, chunks);
    this.#durability.noteCommitted(attributes.version);
    this.note(attributes);
  }
}
