/**
 * Listings without attributes (`readnames`), page by page: while a program reads one page, the next ones are on their way. What was
 * listed stays for a while, as long as this client's lease on the directory says that no name has changed, for the program that
 * reads it next where directories are listed ahead (listing-ahead.ts).
 */
import { LRUCache } from 'lru-cache';
import type { Listing } from '../client/caches/name-cache.js';
import type { MetadataSession } from '../client/session/metadata-session.js';
import { DfsError } from '../protocol/errors.js';
import { S_IFDIR } from '../protocol/file-mode.js';
import { MAX_DIRECTORY_PAGE, MAX_NAMES_PAGE } from '../protocol/limits.js';
import { readnames } from '../protocol/namespace-commands.js';
import { PackedNames, typeOf } from '../protocol/packed-names.js';
import type { Attributes, Caller } from '../protocol/types.js';
import type { NamesPage } from './file-system.js';

/** Directories whose names are kept. */
const MAX_LISTINGS = 512;
/** Memory for the names of all of them. */
const MAX_BYTES = 4 << 20;
/** The first page comes soon; those behind it are large. */
const FIRST_PAGE = MAX_DIRECTORY_PAGE;
/** Pages that are there, or on their way, while one is read: the server works on the next one meanwhile. */
const PAGES_AHEAD = 2;
/** Larger directories are never known as a whole. */
const MAX_KNOWN_NAMES = 65_536;
/** Directories of which it is remembered that they were listed. */
const REMEMBERED = 4096;

const DIRECTORY_TYPE = typeOf(S_IFDIR);
const NOTHING: Uint8Array = new Uint8Array();

/** A directory that is being listed, or was. */
class Run {
  readonly listing: Listing;
  /** One behind the other, without a gap. */
  readonly pages: PackedNames[] = [];
  /** The name behind which the first of them begins; others were dropped. */
  after: Uint8Array = NOTHING;
  parent = 0;
  isWhole = false;
  /** Directories among the names; undefined when there are too many names to be known. */
  directories = 0;
  usedBytes = 0;
  /** It is among the listings that are kept. */
  isKept = true;
  /** The next page is being asked for. */
  fetching: Promise<void> | undefined;

  constructor(listing: Listing) {
    this.listing = listing;
  }

  /** The name behind which the next page begins. */
  get last(): Uint8Array {
    const page = this.pages.at(-1);
    return page && page.count > 0 ? page.nameAt(page.count - 1) : this.after;
  }
}

/** Who asks; left out for root. */
export interface AskedBy {
  readonly caller?: Caller;
}

export interface NameListingsOptions {
  readonly session: MetadataSession;
  /** A directory was found by its name. */
  readonly found: (directory: number, name: Uint8Array, attributes: Attributes) => void;
}

export class NameListings {
  readonly #session: MetadataSession;
  readonly #found: NameListingsOptions['found'];
  /** directory → its listing */
  readonly #runs = new LRUCache<number, Run>({
    max: MAX_LISTINGS,
    dispose: run => {
      this.#session.names.giveUp(run.listing);
      this.#usedBytes -= run.usedBytes;
      run.isKept = false;
    },
  });
  /** The memory that all of them take. */
  #usedBytes = 0;
  /** Directories that were listed. */
  readonly #listed = new LRUCache<number, true>({ max: REMEMBERED });

  constructor({ session, found }: NameListingsOptions) {
    this.#session = session;
    this.#found = found;
  }

  /** Whether the metadata server lists names alone. */
  get isPossible(): boolean {
    return this.#session.serverCan('names');
  }

  /** Whether a program may know the directory's names from here, and attributes were not listed since. */
  wasListed(directory: number): boolean {
    return this.#listed.has(directory);
  }

  /** Attributes of all entries were listed, too. */
  attributesFollowed(directory: number): void {
    this.#listed.delete(directory);
  }

  /** Names behind `after`, if they are there; else undefined. */
  pageNow(directory: number, after: Uint8Array): NamesPage | undefined {
    const run = this.#runs.get(directory);
    if (!run || !this.#isTrue(run) || Buffer.compare(after, run.after) < 0) return undefined;
    const page = this.#pageBehind(run, after);
    if (page) this.#goOn(directory, run, after);
    return page;
  }

  /** Names behind `after`; undefined where that is to be asked for by itself (`ask`). */
  async page(directory: number, after: Uint8Array): Promise<NamesPage | undefined> {
    let run = this.#runs.get(directory);
    if (run && !this.#isTrue(run)) {
      this.#runs.delete(directory);
      run = undefined;
    }
    if (!run) {
      if (after.length > 0) return undefined;
      run = this.#begin(directory);
      // Names that have changed since do no harm: the request was this caller's own.
      if (!(await this.#fetch(directory, run))) return this.#pageBehind(run, after);
    }
    if (Buffer.compare(after, run.after) < 0) return undefined;
    for (;;) {
      const page = this.#pageBehind(run, after);
      if (page) {
        this.#goOn(directory, run, after);
        return page;
      }
      if (!(await this.#fetch(directory, run))) return undefined;
    }
  }

  /** Has the first page there when it is asked for. Never rejects. */
  async listAhead(directory: number): Promise<void> {
    const run = this.#runs.get(directory);
    if (run && this.#isTrue(run)) return;
    this.#runs.delete(directory);
    try {
      await this.#fetch(directory, this.#begin(directory));
    } catch {
      this.#runs.delete(directory);
    }
  }

  /** As FileSystem.readNames; nothing of it is kept but attributes. */
  async ask(directory: number, after: Uint8Array, limit: number, by: AskedBy): Promise<NamesPage> {
    const { attributes } = this.#session;
    const ticket = attributes.ticket();
    const reply = await this.#session.ask(readnames, { inode: directory, after, limit, ...by });
    const names = PackedNames.decode(reply.names, reply.count, after);
    if (names.count === 0 && !reply.end)
      throw new DfsError('EPROTO', 'the metadata server lists a directory without an end');
    this.#listed.set(directory, true);
    for (const each of reply.directories) attributes.keep(ticket, each);
    return { names, attributesOf: this.#attributesOf, parent: reply.parent, isLast: reply.end };
  }

  readonly #attributesOf = (inode: number): Attributes | undefined => this.#session.attributes.get(inode);

  #begin(directory: number): Run {
    const run = new Run(this.#session.names.beginListing(directory));
    this.#runs.set(directory, run);
    return run;
  }

  #isTrue({ listing }: Run): boolean {
    return this.#session.names.isTrue(listing);
  }

  /** Has the next page fetched when few are behind the one that is read. */
  #goOn(directory: number, run: Run, after: Uint8Array): void {
    const behind = run.pages.filter(page => page.firstBehind(after) === 0).length;
    if (!run.isWhole && behind <= PAGES_AHEAD) void this.#fetch(directory, run).catch(() => undefined);
  }

  /** Of the pages that are there. */
  #pageBehind(run: Run, after: Uint8Array): NamesPage | undefined {
    const { pages, parent } = run;
    const attributesOf = this.#attributesOf;
    for (const [index, names] of pages.entries()) {
      const first = names.firstBehind(after);
      if (first === names.count) continue;
      const isNewest = index === pages.length - 1;
      return { names: names.from(first), attributesOf, parent, isLast: isNewest && run.isWhole };
    }
    if (!run.isWhole) return undefined;
    return { names: PackedNames.of([]), attributesOf, parent, isLast: true };
  }

  /** Asks for the next page, unless it is on its way. Returns false when the listing cannot go on. */
  async #fetch(directory: number, run: Run): Promise<boolean> {
    if (!run.fetching) {
      run.fetching = this.#fetchNext(directory, run);
      run.fetching = run.fetching.finally(() => (run.fetching = undefined));
    }
    await run.fetching;
    const isGood = this.#isTrue(run);
    if (!isGood && this.#runs.peek(directory) === run) this.#runs.delete(directory);
    return isGood;
  }

  async #fetchNext(directory: number, run: Run): Promise<void> {
    const limit = run.pages.length === 0 ? FIRST_PAGE : MAX_NAMES_PAGE;
    const { names, parent, isLast } = await this.ask(directory, run.last, limit, {});
    run.pages.push(names);
    this.#account(run, names.usedBytes);
    run.parent = parent;
    run.isWhole = isLast;
    this.#noteDirectories(directory, run, names);
    this.#bound(run);
  }

  /** Where there are directories the walk goes on in them, in the order of their names, for which all names are to be known. */
  #noteDirectories(directory: number, run: Run, names: PackedNames): void {
    for (const [index, type] of names.types.entries()) {
      if (type !== DIRECTORY_TYPE) continue;
      run.directories += 1;
      const attributes = this.#attributesOf(names.inodes[index] ?? 0);
      if (attributes) this.#found(directory, names.nameAt(index), attributes);
    }
    const count = run.pages.reduce((sum, page) => sum + page.count, 0);
    if (!run.isWhole || run.directories === 0 || run.after.length > 0 || count > MAX_KNOWN_NAMES) return;
    const known = run.pages.flatMap(page =>
      [...page.inodes].map((inode, index) => ({ name: page.nameAt(index), inode })),
    );
    this.#session.names.learn(run.listing, known, run.parent);
  }

  #account(run: Run, bytes: number): void {
    run.usedBytes += bytes;
    if (run.isKept) this.#usedBytes += bytes;
  }

  /** Gives up what was listed longest ago, and of this one what comes first, as far as all take too much memory. */
  #bound(newest: Run): void {
    while (this.#usedBytes > MAX_BYTES && this.#runs.size > 1) this.#runs.pop();
    while (newest.usedBytes > MAX_BYTES && newest.pages.length > PAGES_AHEAD + 1) {
      const first = newest.pages.shift();
      if (!first) break;
      this.#account(newest, -first.usedBytes);
      // A copy: the name alone would keep the page.
      newest.after = Buffer.from(first.nameAt(first.count - 1));
    }
  }
}
