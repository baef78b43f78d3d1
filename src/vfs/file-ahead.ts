/**
 * Read-ahead over files. Whoever reads the small files of a directory one after the other, in the order of their names, as
 * programs that walk a tree do, waits for two servers at each of them; so those that follow are fetched while he reads,
 * several at once. The window grows like that of read-ahead within a file:
 *
 *     files read in order:  a  b  c ──► d … k are fetched  ──► d … g read ──► l … 16 more …
 *
 * Several readers may share a directory, each taking every fourth file, say: what counts is that each file that is read lies
 * a little behind the last one.
 */
import { LRUCache } from 'lru-cache';
import type { AttributeCache } from '../client/attribute-cache.js';
import type { NameCache } from '../client/name-cache.js';
import { isRegularFile } from '../protocol/file-mode.js';
import type { Attributes } from '../protocol/types.js';

/** Larger files are worth their own read-ahead. */
const SMALL_FILE_BYTES = 64 << 10;
/** So many files in order make a walk. */
const FIRST_RUN = 2;
/** Names that may lie between two files that are read in order. */
const NEAR = 8;
const FIRST_WINDOW = 8;
const MAX_WINDOW = 64;
/** What is being fetched at once, of all directories. */
const MAX_BYTES = 2 << 20;
const PLACES = 8192;
const WALKS = 64;

interface Place {
  readonly directory: number;
  readonly name: Uint8Array;
}

interface Walk {
  /** The file that was read last, as far as the order goes. */
  name: Uint8Array;
  run: number;
  window: number;
  /** Names behind it that were fetched ahead. */
  ahead: number;
}

export interface FileAheadOptions {
  readonly names: NameCache;
  readonly attributes: AttributeCache;
  /** Fetches the content of a file. Never rejects. */
  readonly fetch: (attributes: Attributes) => Promise<void>;
}

export class FileAhead {
  readonly #options: FileAheadOptions;
  /** inode → the name by which it was found last */
  readonly #places = new LRUCache<number, Place>({ max: PLACES });
  readonly #walks = new LRUCache<number, Walk>({ max: WALKS });
  #bytes = 0;

  constructor(options: FileAheadOptions) {
    this.#options = options;
  }

  /** Somebody was told that the name leads to the inode. */
  found(directory: number, name: Uint8Array, { inode, mode, size }: Attributes): void {
    if (size <= SMALL_FILE_BYTES && isRegularFile(mode)) this.#places.set(inode, { directory, name });
  }

  /** The beginning of the file is read, and the kernel did not have it. */
  read(inode: number): void {
    const place = this.#places.get(inode);
    if (!place) return;
    const { directory, name } = place;
    const walk = this.#walks.get(directory);
    if (!walk) {
      this.#walks.set(directory, { name, run: 0, window: FIRST_WINDOW, ahead: 0 });
      return;
    }
    const order = Buffer.compare(name, walk.name);
    // Another of several readers, or the same file once more.
    if (order <= 0 && this.#steps(directory, name, walk.name) !== undefined) return;
    const steps = order <= 0 ? undefined : this.#steps(directory, walk.name, name);
    if (steps === undefined) {
      Object.assign(walk, { name, run: 0, window: FIRST_WINDOW, ahead: 0 });
      return;
    }
    walk.name = name;
    walk.run += 1;
    walk.ahead = Math.max(0, walk.ahead - steps);
    if (walk.run >= FIRST_RUN) this.#goOn(directory, walk);
  }

  /** How many names `name` lies behind `from`; undefined when that is far, or not known. */
  #steps(directory: number, from: Uint8Array, name: Uint8Array): number | undefined {
    if (Buffer.compare(from, name) === 0) return 0;
    const page = this.#options.names.page(directory, from, NEAR);
    const index = page?.names.findIndex(known => known.name.equals(name)) ?? -1;
    return index < 0 ? undefined : index + 1;
  }

  /** Fetches what lies ahead, if less than half of the window is there. */
  #goOn(directory: number, walk: Walk): void {
    if (walk.ahead > walk.window / 2 || this.#bytes >= MAX_BYTES) return;
    const page = this.#options.names.page(directory, walk.name, walk.window);
    if (!page) return;
    for (const { inode } of page.names.slice(walk.ahead)) {
      if (this.#bytes >= MAX_BYTES) break;
      walk.ahead += 1;
      const attributes = this.#options.attributes.get(inode);
      if (!attributes || !isRegularFile(attributes.mode)) continue;
      if (attributes.size > 0 && attributes.size <= SMALL_FILE_BYTES) void this.#fetch(attributes);
    }
    walk.window = Math.min(MAX_WINDOW, walk.window * 2);
  }

  async #fetch(attributes: Attributes): Promise<void> {
    this.#bytes += attributes.size;
    await this.#options.fetch(attributes);
    this.#bytes -= attributes.size;
  }
}
