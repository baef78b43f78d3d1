/**
 * Listing ahead. Whoever walks a tree waits for the metadata server at each directory; so those that follow in the order
 * of their names are listed while he looks at one (ordered-walks.ts), several at once.
 */
import type { AttributeCache } from '../client/caches/attribute-cache.js';
import type { NameCache } from '../client/caches/name-cache.js';
import { isDirectory } from '../protocol/file-mode.js';
import type { Attributes } from '../protocol/types.js';
import { OrderedWalks } from './ordered-walks.js';

/** Names of files that may lie between two directories that are visited in order. */
const NEAR = 64;
/** Directories that are being listed ahead at once. */
const MAX_LISTINGS = 4;

export interface ListingAheadOptions {
  readonly names: NameCache;
  readonly attributes: AttributeCache;
  /** Lists a directory. Never rejects. */
  readonly list: (directory: number) => Promise<void>;
}

export class ListingAhead {
  readonly #options: ListingAheadOptions;
  readonly #walks: OrderedWalks;
  #listings = 0;
  /** The directory that was visited last. */
  #visited = 0;

  constructor(options: ListingAheadOptions) {
    this.#options = options;
    this.#walks = new OrderedWalks(options.names, NEAR);
  }

  /** The name was seen to lead to the inode. */
  found(directory: number, name: Uint8Array, { inode, mode }: Attributes): void {
    if (isDirectory(mode)) this.#walks.found(directory, name, inode);
  }

  /** Somebody lists the directory, or looks names up in it. */
  visit(directory: number): void {
    if (directory === this.#visited) return;
    this.#visited = directory;
    this.#walks.visit(directory, known => this.#take(known.inode));
  }

  /** The directory that comes after one in the order of their names, if that is known. */
  following(directory: number): number | undefined {
    const { attributes } = this.#options;
    return this.#walks.behind(directory).find(({ inode }) => isDirectory(attributes.get(inode)?.mode ?? 0))
      ?.inode;
  }

  #take(inode: number): boolean {
    if (this.#listings >= MAX_LISTINGS) return false;
    const { attributes, names } = this.#options;
    const known = attributes.get(inode);
    if (known && isDirectory(known.mode) && !names.isKnown(inode)) void this.#list(inode);
    return true;
  }

  async #list(directory: number): Promise<void> {
    this.#listings += 1;
    await this.#options.list(directory);
    this.#listings -= 1;
  }
}
