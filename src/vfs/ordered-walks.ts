/**
 * Walks through directories in the order of their names, as programs take them that go through a tree: what was visited,
 * and what is to be fetched before it is asked for. The window grows like that of read-ahead within a file:
 *
 *     visited in order:  a  b  c ──► d … k are fetched  ──► d … g visited ──► l … 16 more …
 *
 * Several programs may share a directory, each taking every fourth name, say: what counts is that each name visited lies a
 * little behind the last one. Who came to the end of a directory and goes on at the beginning of another one is still on
 * his walk.
 */
import { LRUCache } from 'lru-cache';
import { keyOf, type KnownName, type KnownPage, type NameCache } from '../client/caches/name-cache.js';

/** So many names in order make a walk. */
const FIRST_RUN = 2;
const FIRST_WINDOW = 8;
const MAX_WINDOW = 128;
const WALKS = 64;
const PLACES = 8192;
const NOTHING = '';

/** Names are strings of latin1 here, which compare as their bytes do: a Buffer would cost more, and keep others in memory. */
interface Place {
  readonly directory: number;
  readonly name: string;
}

interface Walk {
  readonly directory: number;
  /** What was visited last, as far as the order goes. */
  name: string;
  run: number;
  window: number;
  /** Names behind it that were taken. */
  ahead: number;
  /** All were, and the walk goes on in the directory that follows. */
  isHandedOn: boolean;
}

export class OrderedWalks {
  readonly #names: NameCache;
  readonly #near: number;
  readonly #following: (directory: number) => number | undefined;
  /** inode → the name by which it was found last */
  readonly #places = new LRUCache<number, Place>({ max: PLACES });
  readonly #walks = new LRUCache<number, Walk>({ max: WALKS });
  /** The one that went on last. */
  #latest: Walk | undefined;

  /**
   * @param near names that may lie between two that are visited in order
   * @param following the directory that comes after one in their order, as far as that is known
   */
  constructor(
    names: NameCache,
    near: number,
    following: (directory: number) => number | undefined = () => undefined,
  ) {
    this.#names = names;
    this.#near = near;
    this.#following = following;
  }

  /** The name leads to the inode, which may be visited. */
  found(directory: number, name: Uint8Array, inode: number): void {
    this.#places.set(inode, { directory, name: keyOf(name) });
  }

  /** Names that lie behind the one by which the inode was found, as far as that is known. */
  behind(inode: number): readonly KnownName[] {
    const place = this.#places.get(inode);
    return (place && this.#page(place.directory, place.name, this.#near)?.names) ?? [];
  }

  /**
   * Somebody visits the inode, by the name by which it was found.
   * @param take called with each name that lies ahead and was not taken yet, in their order; false: no more now
   */
  visit(inode: number, take: (name: KnownName) => boolean): void {
    const place = this.#places.get(inode);
    if (!place) return;
    const { directory, name } = place;
    const walk = this.#walks.get(directory) ?? this.#begin(directory, name);
    if (walk.name !== name) {
      const isBefore = name < walk.name;
      // Another of several programs.
      if (isBefore && this.#steps(directory, name, walk.name) !== undefined) return;
      const steps = isBefore ? undefined : this.#steps(directory, walk.name, name);
      if (steps === undefined) {
        Object.assign(walk, { name, run: 0, window: FIRST_WINDOW, ahead: 0, isHandedOn: false });
        return;
      }
      walk.name = name;
      walk.run += 1;
      walk.ahead = Math.max(0, walk.ahead - steps);
    }
    this.#latest = walk;
    if (walk.run >= FIRST_RUN) this.#goOn(walk, walk.window, take);
  }

  #begin(directory: number, name: string): Walk {
    const before = this.#latest;
    const goesOn =
      before && before.run >= FIRST_RUN && this.#isAtEnd(before) && this.#isAtStart(directory, name);
    const [run, window] = goesOn ? [before.run, before.window] : [0, FIRST_WINDOW];
    const walk = { directory, name, run, window, ahead: 0, isHandedOn: false };
    this.#walks.set(directory, walk);
    return walk;
  }

  #isAtEnd({ directory, name }: Walk): boolean {
    return this.#page(directory, name, this.#near)?.isLast === true;
  }

  #isAtStart(directory: number, name: string): boolean {
    return this.#steps(directory, NOTHING, name) !== undefined;
  }

  /** How many names `name` lies behind `from`; undefined when that is far, or not known. */
  #steps(directory: number, from: string, name: string): number | undefined {
    const page = this.#page(directory, from, this.#near);
    const bytes = Buffer.from(name, 'latin1');
    const index = page?.names.findIndex(known => known.name.equals(bytes)) ?? -1;
    return index < 0 ? undefined : index + 1;
  }

  /**
   * Has what lies ahead taken, if less than half of the window was.
   * @param most names to look ahead
   */
  #goOn(walk: Walk, most: number, take: (name: KnownName) => boolean): void {
    if (walk.isHandedOn || walk.ahead > walk.window / 2) return;
    const page = this.#page(walk.directory, walk.name, most);
    if (!page) return;
    for (const name of page.names.slice(walk.ahead)) {
      if (!take(name)) return;
      walk.ahead += 1;
    }
    walk.window = Math.min(MAX_WINDOW, walk.window * 2);
    const left = most - page.names.length;
    if (page.isLast && left > 0) this.#goOnBehind(walk, left, take);
  }

  #page(directory: number, after: string, limit: number): KnownPage | undefined {
    return this.#names.page(directory, Buffer.from(after, 'latin1'), limit);
  }

  #goOnBehind(walk: Walk, most: number, take: (name: KnownName) => boolean): void {
    const directory = this.#following(walk.directory);
    if (directory === undefined || !this.#names.isKnown(directory)) return;
    walk.isHandedOn = true;
    if (this.#walks.has(directory)) return;
    const { run, window } = walk;
    const next = { directory, name: NOTHING, run, window, ahead: 0, isHandedOn: false };
    this.#walks.set(directory, next);
    this.#goOn(next, most, take);
  }
}
