/**
 * What a client knows of one file's extents, at one version of the file. Parts of the file that were never asked for
 * are unknown, which is not the same as a hole.
 */
import type { Extent } from '../../protocol/types.js';
import { overlaid, spliced, united, type Interval } from './extent-lists.js';
import type { ReadableChunk } from './readable-chunk.js';
import { firstAfter } from '../caches/sorted-search.js';

/** A run of the file: bytes of a chunk, or (without location) a hole. */
export interface ExtentPiece {
  readonly offset: number;
  readonly length: number;
  /** Of the whole extent, of which this may be a part. */
  readonly extentLength: number;
  readonly location: ReadableChunk | undefined;
  readonly chunkOffset: number;
}

/** What lies in a range of the file. */
export interface Covered {
  readonly bytes: number;
  /** How many extents those are in. */
  readonly extents: number;
}

/** Bounds what is known of all files together (extent-maps.ts). */
export interface ExtentRoom {
  /** A map holds so many bytes of memory more, or fewer. */
  readonly resized: (byBytes: number) => void;
  /** Whether a map may hold so many more; if not, it forgets what it has. */
  readonly hasRoomFor: (bytes: number, asking: ExtentMap) => boolean;
}

/** Measured as the costs in cache-budget.ts were: an extent and its place in the list, */
const EXTENT_BYTES = 88;
/** where a chunk is, its nodes, its read grant, and its slot of the Map, */
const LOCATION_BYTES = 272;
/** (both together, of a file in pieces) */
export const LOCATED_EXTENT_BYTES = EXTENT_BYTES + LOCATION_BYTES;
/** and a range that is known. */
const INTERVAL_BYTES = 56;
/** The locations of so many chunks that no extent names any more may be there, besides as many as there are extents. */
const MAX_UNUSED_LOCATIONS = 16;

export class ExtentMap {
  #room: ExtentRoom | undefined;
  /** An open file has it. */
  isHeld = false;
  /** What the room was told that this map holds. */
  #countedBytes = 0;
  #version = -1;
  /** Sorted, not overlapping. */
  #extents: Extent[] = [];
  /** What is known: sorted, not touching. */
  #known: Interval[] = [];
  /** chunk → where it is */
  #locations = new Map<number, ReadableChunk>();

  /** @param room without it, everything is remembered */
  constructor(room?: ExtentRoom) {
    this.#room = room;
  }

  get version(): number {
    return this.#version;
  }

  /** Forgets everything if the file is at another version than what is known here. */
  revalidate(version: number): void {
    if (version !== this.#version) this.#reset(version);
  }

  /** The file is at `version` by now, or at a later one: what is known of an earlier one is forgotten. */
  overtake(version: number): void {
    if (version > this.#version) this.#reset(version);
  }

  /** Forgets everything, the file's version too: it may be an older one by now. */
  forget(): void {
    this.#reset(-1);
  }

  /** Forgets everything, also what is true: locations may have changed though the content did not. */
  clear(): void {
    this.#reset(this.#version);
  }

  /** Forgets everything. A reader that is still at work with it may go on, but it does not count any more. */
  detach(): void {
    this.clear();
    this.#room = undefined;
  }

  /**
   * Takes over one page of a `get` reply.
   * @param from the offset that was asked for
   * @param until where the next page begins; Infinity on the last page
   */
  insertPage(
    version: number,
    from: number,
    until: number,
    extents: readonly Extent[],
    chunks: readonly ReadableChunk[],
  ): void {
    // A reply that was overtaken by a newer one would bring back what is no longer true.
    if (version < this.#version) return;
    this.revalidate(version);
    this.#askForRoom(extents.length, version);
    const start = Math.min(from, extents[0]?.offset ?? from);
    const last = extents.at(-1);
    const end = Math.max(until, last ? last.offset + last.length : until);
    this.#replace(start, end, extents, chunks);
  }

  /**
   * Takes over what this client itself committed, which made the file's version `version`.
   * @param extents sorted, not overlapping
   */
  commit(version: number, extents: readonly Extent[], chunks: readonly ReadableChunk[]): void {
    if (version !== this.#version + 1) {
      // Somebody else changed the file in between: what is known is of unknown age.
      if (version > this.#version) this.#reset(version);
      return;
    }
    this.#version = version;
    this.#askForRoom(extents.length, version);
    for (const chunk of chunks) this.#locations.set(chunk.chunk, chunk);
    this.#lay(extents);
  }

  /** As `commit`, for a change of the file's size: nothing is at or behind `from`. */
  resize(version: number, from: number): void {
    if (version !== this.#version + 1) {
      if (version > this.#version) this.#reset(version);
      return;
    }
    this.#version = version;
    this.#askForRoom(0, version);
    this.#replace(from, Number.POSITIVE_INFINITY, [], []);
  }

  /** What extents cover of [start, end); undefined where not all of it is known. */
  covered(start: number, end: number): Covered | undefined {
    const known = this.#known[firstAfter(this.#known, start, interval => interval.start) - 1];
    if (!known || known.end < end) return undefined;
    let [bytes, extents] = [0, 0];
    const first = Math.max(0, firstAfter(this.#extents, start, extent => extent.offset) - 1);
    for (let index = first; index < this.#extents.length; index += 1) {
      const extent = this.#extents[index];
      if (!extent || extent.offset >= end) break;
      const overlap = Math.min(extent.offset + extent.length, end) - Math.max(extent.offset, start);
      if (overlap <= 0) continue;
      bytes += overlap;
      extents += 1;
    }
    return { bytes, extents };
  }

  /** The pieces of [offset, end), or the first offset in it of which nothing is known. */
  find(offset: number, end: number): ExtentPiece[] | number {
    const known = this.#known[firstAfter(this.#known, offset, i => i.start) - 1];
    if (!known || known.end <= offset) return offset;
    if (known.end < end) return known.end;
    const pieces: ExtentPiece[] = [];
    let at = offset;
    let index = firstAfter(this.#extents, offset, extent => extent.offset) - 1;
    if (index < 0) index = 0;
    for (; index < this.#extents.length && at < end; index += 1) {
      const extent = this.#extents[index];
      if (!extent || extent.offset >= end) break;
      const extentEnd = extent.offset + extent.length;
      if (extentEnd <= at) continue;
      if (extent.offset > at) {
        pieces.push(hole(at, extent.offset - at));
        at = extent.offset;
      }
      const length = Math.min(extentEnd, end) - at;
      const location = this.#locations.get(extent.chunk);
      if (!location) return at;
      const chunkOffset = extent.chunkOffset + (at - extent.offset);
      pieces.push({ offset: at, length, extentLength: extent.length, location, chunkOffset });
      at += length;
    }
    if (at < end) pieces.push(hole(at, end - at));
    return pieces;
  }

  /** What lies at `offset`, and up to where that is known to go on; undefined when it is not known. */
  runAt(offset: number): { readonly isHole: boolean; readonly end: number } | undefined {
    const known = this.#known[firstAfter(this.#known, offset, i => i.start) - 1];
    if (!known || known.end <= offset) return undefined;
    const next = firstAfter(this.#extents, offset, extent => extent.offset);
    const extent = this.#extents[next - 1];
    const extentEnd = extent ? extent.offset + extent.length : 0;
    if (extentEnd > offset) return { isHole: false, end: extentEnd };
    const nextOffset = this.#extents[next]?.offset ?? Number.POSITIVE_INFINITY;
    return { isHole: true, end: Math.min(nextOffset, known.end) };
  }

  #reset(version: number): void {
    this.#version = version;
    this.#extents = [];
    this.#known = [];
    this.#locations = new Map();
    this.#count();
  }

  #askForRoom(extents: number, version: number): void {
    const bytes = extents * (EXTENT_BYTES + LOCATION_BYTES + INTERVAL_BYTES);
    if (this.#room?.hasRoomFor(bytes, this) === false) this.#reset(version);
  }

  /** Tells the room what this map holds by now. */
  #count(): void {
    const bytes =
      this.#extents.length * EXTENT_BYTES +
      this.#locations.size * LOCATION_BYTES +
      this.#known.length * INTERVAL_BYTES;
    this.#room?.resized(bytes - this.#countedBytes);
    this.#countedBytes = bytes;
  }

  /** [start, end) is now exactly `extents`, cutting those that reach in from the sides. */
  #replace(start: number, end: number, extents: readonly Extent[], chunks: readonly ReadableChunk[]): void {
    for (const chunk of chunks) this.#locations.set(chunk.chunk, chunk);
    let first = firstAfter(this.#extents, start, extent => extent.offset) - 1;
    const before = this.#extents[first];
    if (!before || before.offset + before.length <= start) first += 1;
    let last = first;
    const fresh: Extent[] = [...extents];
    for (; last < this.#extents.length; last += 1) {
      const old = this.#extents[last];
      if (!old || old.offset >= end) break;
      const oldEnd = old.offset + old.length;
      if (old.offset < start) fresh.unshift({ ...old, length: start - old.offset });
      if (oldEnd > end) {
        const cut = end - old.offset;
        fresh.push({ ...old, offset: end, length: oldEnd - end, chunkOffset: old.chunkOffset + cut });
      }
    }
    this.#extents = spliced(this.#extents, first, last, fresh);
    this.#learn([{ start, end }]);
    this.#boundLocations();
    this.#count();
  }

  /** Lays extents over what is known; between them nothing changes. */
  #lay(extents: readonly Extent[]): void {
    const [head, tail] = [extents[0], extents.at(-1)];
    if (!head || !tail) return;
    let first = firstAfter(this.#extents, head.offset, extent => extent.offset) - 1;
    const before = this.#extents[first];
    if (!before || before.offset + before.length <= head.offset) first += 1;
    const last = firstAfter(this.#extents, tail.offset + tail.length - 1, extent => extent.offset);
    const fresh = overlaid(this.#extents.slice(first, last), extents);
    this.#extents = spliced(this.#extents, first, last, fresh);
    this.#learn(extents.map(({ offset, length }) => ({ start: offset, end: offset + length })));
    this.#boundLocations();
    this.#count();
  }

  /** @param intervals sorted */
  #learn(intervals: readonly Interval[]): void {
    const start = intervals[0]?.start ?? 0;
    const end = intervals.at(-1)?.end ?? 0;
    let first = firstAfter(this.#known, start, interval => interval.start) - 1;
    const before = this.#known[first];
    if (!before || before.end < start) first += 1;
    const last = firstAfter(this.#known, end, interval => interval.start);
    this.#known = spliced(this.#known, first, last, united(this.#known.slice(first, last), intervals));
  }

  #boundLocations(): void {
    if (this.#locations.size > 2 * this.#extents.length + MAX_UNUSED_LOCATIONS) this.#dropUnusedLocations();
  }

  #dropUnusedLocations(): void {
    const used = new Set(this.#extents.map(extent => extent.chunk));
    for (const chunk of this.#locations.keys()) if (!used.has(chunk)) this.#locations.delete(chunk);
  }
}

function hole(offset: number, length: number): ExtentPiece {
  return { offset, length, extentLength: length, location: undefined, chunkOffset: 0 };
}
