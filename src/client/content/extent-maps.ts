/** The extents of many files, as far as they are known: those used longest ago are forgotten when there is no more room. */
import { LRUCache } from 'lru-cache';
import { assert } from '../../protocol/errors.js';
import { LRU_ENTRY_BYTES } from '../caches/cache-budget.js';
import { ExtentMap, type ExtentRoom } from './extent-map.js';

/** A map in which nothing is known: the object, its lists and its Map. */
const EMPTY_MAP_BYTES = 440;
const MAP_BYTES = LRU_ENTRY_BYTES + EMPTY_MAP_BYTES;

/** A map that an open file has, and how many have it. */
interface HeldMap {
  readonly map: ExtentMap;
  holders: number;
}

export class ExtentMaps {
  readonly #limitBytes: number;
  /** inode → what is known of a file that is not open */
  readonly #maps: LRUCache<number, ExtentMap>;
  /** inode → the same of a file that is open: it may be emptied, but stays the file's map */
  readonly #held = new Map<number, HeldMap>();
  /** Those of the open files in which something may be known; the one asked about longest ago comes first. */
  readonly #filled = new Set<ExtentMap>();
  /** What is known in all maps. */
  #contentBytes = 0;
  readonly #room: ExtentRoom = {
    resized: byBytes => void (this.#contentBytes += byBytes),
    hasRoomFor: (bytes, asking) => this.#makeRoom(bytes, asking),
  };

  /** @param limitBytes memory for all of them */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
    this.#maps = new LRUCache({
      maxSize: limitBytes,
      sizeCalculation: () => MAP_BYTES,
      dispose: (map, _, reason) => {
        // Taken out to be held it stays as it is.
        if (reason === 'evict') map.detach();
      },
    });
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#maps.calculatedSize + this.#held.size * MAP_BYTES + this.#contentBytes;
  }

  /** What is known of the file; it counts as used just now. */
  of(inode: number): ExtentMap {
    const kept = this.known(inode);
    if (kept) return kept;
    const map = this.#empty();
    this.#maps.set(inode, map);
    this.#makeRoom(0, map);
    return map;
  }

  /** The same for a file that is opened; until `letGo` it is the only map of the file. */
  hold(inode: number): ExtentMap {
    const held = this.#held.get(inode);
    if (held) {
      held.holders += 1;
      return held.map;
    }
    const map = this.#maps.get(inode) ?? this.#empty();
    this.#maps.delete(inode);
    this.#held.set(inode, { map, holders: 1 });
    map.isHeld = true;
    this.#makeRoom(0, map);
    return map;
  }

  /** The file was closed, or its map is held once less. */
  letGo(inode: number): void {
    const held = this.#held.get(inode);
    assert(held !== undefined, 'what is let go was held');
    held.holders -= 1;
    if (held.holders > 0) return;
    this.#held.delete(inode);
    this.#filled.delete(held.map);
    held.map.isHeld = false;
    this.#maps.set(inode, held.map);
    this.#makeRoom(0, held.map);
  }

  /** The same of a file of which anything is known. */
  known(inode: number): ExtentMap | undefined {
    return this.#held.get(inode)?.map ?? this.#maps.get(inode);
  }

  /** Forgets a file; an open one's map stays, empty. */
  delete(inode: number): void {
    this.#held.get(inode)?.map.clear();
    this.#maps.peek(inode)?.detach();
    this.#maps.delete(inode);
  }

  forEach(visit: (map: ExtentMap) => void): void {
    for (const { map } of this.#held.values()) visit(map);
    for (const map of this.#maps.values()) visit(map);
  }

  #empty(): ExtentMap {
    return new ExtentMap(this.#room);
  }

  /** Whether so many bytes more fit, after other files' have been forgotten as need be. */
  #makeRoom(bytes: number, asking: ExtentMap): boolean {
    const hasRoom = (): boolean => this.usedBytes + bytes <= this.#limitBytes;
    for (let left = this.#maps.size; left > 0 && !hasRoom(); left -= 1) {
      const oldest = this.#maps.rkeys().next();
      if (oldest.done === true) break;
      // Asked about just now: the newest.
      if (this.#maps.peek(oldest.value) === asking) this.#maps.get(oldest.value);
      else this.delete(oldest.value);
    }
    // An open file's is in the set whenever it asks, and then the newest there.
    this.#filled.delete(asking);
    for (const map of this.#filled) {
      if (hasRoom()) break;
      map.clear();
      this.#filled.delete(map);
    }
    if (asking.isHeld) this.#filled.add(asking);
    return hasRoom();
  }
}
