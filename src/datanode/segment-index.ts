/**
 * The index of the segments, in memory: the place of each chunk, and the living bytes of each segment. Fed with records
 * in the order in which they stand in the log, while running and when the log is replayed, it comes to the same state.
 * Every change is also noted in a journal, from which `index.db` is brought up to date later.
 */
import { ChunkTable, type ChunkEntry } from './chunk-table.js';
import { chunkRecordBytes, comparePositions, TOMBSTONE_BYTES, type LogPosition } from './record.js';

/** Where a chunk is. */
export interface ChunkLocation {
  readonly segment: number;
  readonly offset: number;
  /** Bytes of the payload. */
  readonly length: number;
}

/** A change that `index.db` has to learn. `end` is the end of the log when it happened. */
export type JournalEntry =
  | {
      readonly is: 'chunk';
      readonly end: LogPosition;
      readonly chunk: number;
      readonly entry: ChunkEntry | undefined;
    }
  /** A segment that gets no more records. */
  | { readonly is: 'sealed'; readonly end: LogPosition; readonly segment: number; readonly bytes: number }
  /** Nothing in this segment counts any more; its file may go once this is known for good. */
  | { readonly is: 'forgotten'; readonly end: LogPosition; readonly segment: number }
  /** The file of a forgotten segment is gone. */
  | { readonly is: 'unlinked'; readonly end: LogPosition; readonly segment: number };

/** Bytes of a segment that count. */
interface Usage {
  chunkBytes: number;
  /** Tombstones without which a dropped chunk would come back from an older record. */
  tombstoneBytes: number;
}

const NO_USAGE: Readonly<Usage> = { chunkBytes: 0, tombstoneBytes: 0 };

export class SegmentIndex {
  #chunks = new ChunkTable();
  /** segment number → bytes that count */
  readonly #usage = new Map<number, Usage>();
  #journal: JournalEntry[] = [];
  #end: LogPosition = { segment: 0, offset: 0 };
  #liveChunks = 0;

  /** Chunks that can be read. */
  get chunkCount(): number {
    return this.#liveChunks;
  }

  /** Changes that `index.db` has not learned yet. */
  get journalLength(): number {
    return this.#journal.length;
  }

  find(chunk: number): ChunkLocation | undefined {
    const entry = this.#chunks.get(chunk);
    return entry && entry.length > 0 ? entry : undefined;
  }

  /** The ids of all chunks that can be read, ascending. */
  chunkIds(): Float64Array {
    return Float64Array.from(this.#chunks.ids(({ length }) => length > 0)).sort();
  }

  /** Chunks whose record is in a segment. */
  chunksIn(segment: number): number[] {
    return this.#chunks.ids(entry => entry.length > 0 && entry.segment === segment);
  }

  /** Payload bytes of all chunks that can be read. */
  payloadBytes(): number {
    let bytes = 0;
    this.#chunks.ids(({ length }) => {
      bytes += length;
      return false;
    });
    return bytes;
  }

  usageOf(segment: number): Readonly<Usage> {
    return this.#usage.get(segment) ?? NO_USAGE;
  }

  /** Takes over what `index.db` knew. */
  restore(chunk: number, entry: ChunkEntry): void {
    this.#chunks.set(chunk, entry);
    this.#count(entry, 1);
  }

  /** Forgets everything. */
  clear(): void {
    this.#chunks = new ChunkTable();
    this.#usage.clear();
    this.#journal = [];
    this.#end = { segment: 0, offset: 0 };
    this.#liveChunks = 0;
  }

  /** A chunk's record was appended, or found in the log. */
  applyChunk(chunk: number, place: ChunkLocation): void {
    this.#advance(place.segment, place.offset + chunkRecordBytes(place.length));
    const before = this.#chunks.get(chunk);
    const copies = before?.deadCopies ?? 0;
    const { segment, offset, length } = place;
    this.#replace(chunk, before, {
      segment,
      offset,
      length,
      deadCopies: before && before.length > 0 ? copies + 1 : copies,
    });
  }

  /** A tombstone was appended, or found in the log. */
  applyTombstone(chunk: number, position: LogPosition): void {
    this.#advance(position.segment, position.offset + TOMBSTONE_BYTES);
    const before = this.#chunks.get(chunk);
    if (!before) return;
    const deadCopies = before.length > 0 ? before.deadCopies + 1 : before.deadCopies;
    this.#replace(chunk, before, { ...position, length: 0, deadCopies });
  }

  /** A record that counts for nothing here was appended, or found in the log, and ends there. */
  pass({ segment, offset }: LogPosition): void {
    this.#advance(segment, offset);
  }

  /** No more records go to `segment`, which has `bytes` bytes. */
  seal(segment: number, bytes: number): void {
    this.#advance(segment, bytes);
    this.#journal.push({ is: 'sealed', end: this.#end, segment, bytes });
  }

  /**
   * Whether the tombstone of `chunk` in `segment` still keeps an older record in another segment from coming back.
   * @param copiesThere dead records of the chunk in `segment` itself
   */
  isTombstoneNeeded(chunk: number, segment: number, copiesThere: number): boolean {
    const entry = this.#chunks.get(chunk);
    return (
      entry !== undefined && entry.length === 0 && entry.segment === segment && entry.deadCopies > copiesThere
    );
  }

  /**
   * The file of `segment` is about to go.
   * @param deadCopies chunk → how many records of it the segment holds, all dead
   */
  forget(segment: number, deadCopies: ReadonlyMap<number, number>): void {
    for (const [chunk, copies] of deadCopies) {
      const before = this.#chunks.get(chunk);
      if (!before) continue;
      const left = Math.max(0, before.deadCopies - copies);
      const isGone = before.length === 0 && left === 0;
      this.#replace(chunk, before, isGone ? undefined : { ...before, deadCopies: left });
    }
    this.#usage.delete(segment);
    this.#journal.push({ is: 'forgotten', end: this.#end, segment });
  }

  /** The file of a forgotten segment is gone. */
  unlinked(segment: number): void {
    this.#journal.push({ is: 'unlinked', end: this.#end, segment });
  }

  /**
   * Takes out changes that happened while the log ended at `through` or before: about `limit` of them, but all or none
   * of those that happened at the same end of the log, so that the end of the last one is a watermark.
   */
  takeJournal(through: LogPosition, limit: number): JournalEntry[] {
    let count = 0;
    for (const entry of this.#journal) {
      if (comparePositions(entry.end, through) > 0) break;
      const before = this.#journal[count - 1];
      if (count >= limit && before && comparePositions(before.end, entry.end) < 0) break;
      count += 1;
    }
    return this.#journal.splice(0, count);
  }

  /** Puts back what could not be written down. */
  returnJournal(entries: readonly JournalEntry[]): void {
    this.#journal = [...entries, ...this.#journal];
  }

  #advance(segment: number, offset: number): void {
    const end = { segment, offset };
    if (comparePositions(end, this.#end) > 0) this.#end = end;
  }

  #replace(chunk: number, before: ChunkEntry | undefined, after: ChunkEntry | undefined): void {
    if (before) this.#count(before, -1);
    if (after) {
      this.#chunks.set(chunk, after);
      this.#count(after, 1);
    } else {
      this.#chunks.delete(chunk);
    }
    this.#journal.push({ is: 'chunk', end: this.#end, chunk, entry: after });
  }

  #count(entry: ChunkEntry, sign: 1 | -1): void {
    let usage = this.#usage.get(entry.segment);
    if (!usage) {
      usage = { chunkBytes: 0, tombstoneBytes: 0 };
      this.#usage.set(entry.segment, usage);
    }
    if (entry.length > 0) {
      this.#liveChunks += sign;
      usage.chunkBytes += sign * chunkRecordBytes(entry.length);
    } else {
      usage.tombstoneBytes += sign * TOMBSTONE_BYTES;
    }
  }
}
