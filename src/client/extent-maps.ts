/** The extents of many files, as far as they are known: those used longest ago are forgotten when there is no more room. */
import { LRUCache } from 'lru-cache';
import { ExtentMap } from './extent-map.js';

/** A map costs as much as so many extents, however few it has. */
const MAP_COST = 4;

export class ExtentMaps {
  readonly #limit: number;
  readonly #maps: LRUCache<number, ExtentMap>;
  #used = 0;

  /** @param limit extents of all files together */
  constructor(limit: number) {
    this.#limit = limit;
    this.#maps = new LRUCache({ max: Math.ceil(limit / MAP_COST), dispose: map => map.clear() });
  }

  /** How many are known. */
  get used(): number {
    return this.#used;
  }

  /** What is known of the file; it counts as used just now. */
  of(inode: number): ExtentMap {
    let map = this.#maps.get(inode);
    if (!map) {
      map = new ExtentMap({
        resized: by => void (this.#used += by),
        hasRoomFor: (count, asking) => this.#makeRoom(count, asking),
      });
      this.#maps.set(inode, map);
    }
    return map;
  }

  /** The same of a file of which anything is known. */
  known(inode: number): ExtentMap | undefined {
    return this.#maps.get(inode);
  }

  delete(inode: number): void {
    this.#maps.delete(inode);
  }

  forEach(visit: (map: ExtentMap) => void): void {
    this.#maps.forEach(visit);
  }

  /** Whether `count` more fit, after other files' have been forgotten as need be. */
  #makeRoom(count: number, asking: ExtentMap): boolean {
    if (this.#used + count <= this.#limit) return true;
    for (const map of this.#maps.rvalues()) {
      if (map !== asking) map?.clear();
      if (this.#used + count <= this.#limit) return true;
    }
    return false;
  }
}
