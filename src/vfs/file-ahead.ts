/**
 * Read-ahead over files. Whoever reads the small files of a directory one after the other, in the order of their names, as
 * programs that walk a tree do, waits for two servers at each of them; so those that follow are fetched while he reads,
 * several at once (ordered-walks.ts). So is what others put into a directory at which a program looks again and again.
 */
import type { AttributeCache } from '../client/caches/attribute-cache.js';
import type { NameCache } from '../client/caches/name-cache.js';
import type { ContentReader } from '../client/content/content-reader.js';
import type { ExtentMaps } from '../client/content/extent-maps.js';
import { isRegularFile } from '../protocol/file-mode.js';
import type { Attributes } from '../protocol/types.js';
import { OrderedWalks } from './ordered-walks.js';

/** Larger files are worth their own read-ahead. */
const SMALL_FILE_BYTES = 64 << 10;
/** Names that may lie between two files that are read in order. */
const NEAR = 8;
/** What is being fetched at once, of all directories. */
const MAX_BYTES = 2 << 20;
/** Files that are fetched together: many, but so few that the first ones do not wait long for the last. */
const TOGETHER = 64;

export interface FileAheadOptions {
  readonly names: NameCache;
  readonly attributes: AttributeCache;
  /** The directory that comes after one in the order of their names. */
  readonly following: (directory: number) => number | undefined;
  /** Fetches the content of files. Never rejects. */
  readonly fetch: (files: readonly Attributes[]) => Promise<void>;
}

export class FileAhead {
  readonly #options: FileAheadOptions;
  readonly #walks: OrderedWalks;
  #bytes = 0;

  constructor(options: FileAheadOptions) {
    this.#options = options;
    this.#walks = new OrderedWalks(options.names, NEAR, options.following);
  }

  /** Somebody was told that the name leads to the inode. */
  found(directory: number, name: Uint8Array, { inode, mode, size }: Attributes): void {
    if (size <= SMALL_FILE_BYTES && isRegularFile(mode)) this.#walks.found(directory, name, inode);
  }

  /** The beginning of the file is read, and the kernel did not have it. */
  read(inode: number): void {
    const taken: Attributes[] = [];
    this.#walks.visit(inode, known => this.#take(known.inode, taken));
    for (let at = 0; at < taken.length; at += TOGETHER) void this.#fetch(taken.slice(at, at + TOGETHER));
  }

  /** They were put by others where programs of this mount look: these wait for them, and read them next. */
  appeared(files: readonly Attributes[]): void {
    const taken: Attributes[] = [];
    for (const { inode } of files) this.#take(inode, taken);
    if (taken.length > 0) void this.#fetch(taken);
  }

  #take(inode: number, taken: Attributes[]): boolean {
    if (this.#bytes >= MAX_BYTES) return false;
    const attributes = this.#options.attributes.get(inode);
    if (!attributes || !isRegularFile(attributes.mode)) return true;
    if (attributes.size === 0 || attributes.size > SMALL_FILE_BYTES) return true;
    this.#bytes += attributes.size;
    taken.push(attributes);
    return true;
  }

  async #fetch(files: readonly Attributes[]): Promise<void> {
    await this.#options.fetch(files);
    for (const { size } of files) this.#bytes -= size;
  }
}

/**
 * Reads small files into the client's cache, as far as nobody has them open. Never rejects.
 * @param isOpen whether this client has the inode open
 */
export function prefetcher(
  content: Pick<ContentReader, 'prefetchFiles'>,
  attributes: Pick<AttributeCache, 'ticket' | 'keep'>,
  maps: ExtentMaps,
  isOpen: (inode: number) => boolean,
): FileAheadOptions['fetch'] {
  return async files => {
    const ticket = attributes.ticket();
    const onAttributes = (told: Attributes): void => attributes.keep(ticket, told);
    const closed = files.filter(({ inode }) => !isOpen(inode));
    const ranges = closed.map(({ inode, version, size }) => {
      const extents = maps.of(inode);
      extents.overtake(version);
      return { inode, extents, offset: 0, length: size, isSequential: true, onAttributes };
    });
    await content.prefetchFiles(ranges);
  };
}
