/**
 * Lookups and listings, answered from what this client knows of directories under its lease (client/caches/name-cache.ts) where
 * that is possible. A listing is asked for in large pages, whatever the kernel's are, and kept when it is whole; and a
 * directory in which several names are looked up is listed, which costs less than asking for each. A program that asks for no attributes
 * is told names alone (name-listings.ts); attributes follow, a page at a time, when it looks names up after all.
 */
import { LRUCache } from 'lru-cache';
import type { MetadataSession } from '../client/session/metadata-session.js';
import { keyOf, type KnownName, type Listing } from '../client/caches/name-cache.js';
import { firstAfter } from '../client/caches/sorted-search.js';
import { DfsError, hasCode } from '../protocol/errors.js';
import { MAX_DIRECTORY_PAGE, MAX_NAMES_PAGE } from '../protocol/limits.js';
import { lookup, readdir } from '../protocol/namespace-commands.js';
import type { ReplyOf } from '../protocol/command.js';
import type { Attributes } from '../protocol/types.js';
import { newNameRefusal } from '../rules/names.js';
import type { DirectoryPage, NamesPage } from './file-system.js';
import { ListingAhead } from './listing-ahead.js';
import { NameListings, type AskedBy } from './name-listings.js';
import { namesPageOf } from './names-page.js';

/** Names looked up in a directory that is not known before it is listed; twice as many each time it was listed in vain. */
const FIRST_PATIENCE = 2;
/** Larger directories are never known as a whole. */
const MAX_KNOWN_NAMES = 65_536;
/** Directories whose lookups are counted, and those that are being listed. */
const COUNTED_DIRECTORIES = 4096;
const LISTED_DIRECTORIES = 32;
/** Names that are kept of all listings under way, some 200 bytes each. */
const MAX_LISTED_NAMES = 65_536;

const NOTHING: Uint8Array = new Uint8Array();
/** No listing has it. */
const PARENT = Buffer.from('..');

/** Lookups in a directory that is not known. */
interface Misses {
  count: number;
  patience: number;
}

/** A directory that is being listed: its names from the first one on, as far as they were told. */
class Run {
  readonly listing: Listing;
  readonly names: KnownName[] = [];
  parent = 0;
  isWhole = false;
  /** The next page is being asked for. */
  fetching: Promise<void> | undefined;

  constructor(listing: Listing) {
    this.listing = listing;
  }
}

export class Directories {
  readonly #session: MetadataSession;
  readonly #misses = new LRUCache<number, Misses>({ max: COUNTED_DIRECTORIES });
  /** directory → its listing that is under way */
  readonly #runs = new LRUCache<number, Run>({
    max: LISTED_DIRECTORIES,
    dispose: run => this.#session.names.giveUp(run.listing),
  });

  readonly #ahead: ListingAhead;
  readonly #named: NameListings;
  /** The program that listed a directory last asked for names alone. */
  #isByNames = false;

  constructor(session: MetadataSession) {
    this.#session = session;
    const { names, attributes } = session;
    this.#ahead = new ListingAhead({
      names,
      attributes,
      list: async directory => {
        if (this.#isByNames) await this.#named.listAhead(directory);
        else await this.#listWhole(directory);
      },
    });
    this.#named = new NameListings({
      session,
      found: (...found) => this.#ahead.found(...found),
    });
  }

  /** The directory that comes after one in the order of their names, if that is known. */
  following(directory: number): number | undefined {
    return this.#ahead.following(directory);
  }

  /** As FileSystem.lookup, without what is written and not committed. */
  async lookup(parent: number, name: Uint8Array, by: AskedBy): Promise<Attributes> {
    const { names, attributes: cache, lease } = this.#session;
    if (PARENT.equals(name)) return (await this.#session.ask(lookup, { parent, name, ...by })).attributes;
    this.#ahead.visit(parent);
    const turn = this.#session.beginLookup(parent);
    if (turn) await turn;
    let known = names.find(parent, name) ?? this.#findListed(parent, name);
    let kept = known === undefined ? undefined : cache.get(known);
    const isByNames = !kept && known !== 0 && this.#named.wasListed(parent);
    if (
      (known === undefined || (isByNames && this.#findListed(parent, name) === undefined)) &&
      lease.isAlive &&
      (this.#isBeingListed(parent) || this.#isWorthListing(parent))
    ) {
      await this.#listOn(parent);
      known = names.find(parent, name) ?? this.#findListed(parent, name);
      kept = known === undefined ? undefined : cache.get(known);
      // Not in vain: what is behind it in a large directory is to come as soon.
      if (kept && isByNames) this.#misses.delete(parent);
    }
    if (known === 0)
      throw new DfsError('ENOENT', 'this client knows every name in the directory, and no such');
    if (kept) return kept;
    const ticket = cache.ticket();
    const asked = names.lookupTicket();
    let attributes: Attributes;
    try {
      ({ attributes } = await this.#session.ask(lookup, { parent, name, ...by }));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) names.told(asked, parent, name, 0);
      throw error;
    }
    names.told(asked, parent, name, attributes.inode);
    cache.keep(ticket, attributes);
    this.#ahead.found(parent, name, attributes);
    return attributes;
  }

  /** As `lookup`, if it is known at once: attributes, or that there is no such name. Else undefined. */
  lookupNow(parent: number, name: Uint8Array): Attributes | 'absent' | undefined {
    const { names, attributes } = this.#session;
    if (this.#session.mayDelayLookup(parent)) return undefined;
    const known = names.find(parent, name);
    if (known === undefined) return undefined;
    const found = known === 0 ? 'absent' : attributes.get(known);
    if (found) this.#ahead.visit(parent);
    return found;
  }

  /** As FileSystem.readdirPage, without what is written and not committed. */
  async page(inode: number, after: Uint8Array, limit: number, by: AskedBy): Promise<DirectoryPage> {
    // Whether somebody else than root may read it, the server says.
    if (!by.caller && this.#session.lease.isAlive) {
      this.#isByNames = false;
      if (after.length === 0) this.#ahead.visit(inode);
      const known = this.#knownPage(inode, after, limit) ?? (await this.#runPage(inode, after, limit));
      if (known) return known;
    }
    return await this.#ask(inode, after, Math.min(limit, MAX_DIRECTORY_PAGE), by);
  }

  /** As FileSystem.readNames, without what is written and not committed. */
  async names(inode: number, after: Uint8Array, by: AskedBy): Promise<NamesPage> {
    if (this.#named.isPossible) {
      try {
        return await this.#namesAlone(inode, after, by);
      } catch (error) {
        // Another server, of an older version, has taken the place of the one that was asked.
        if (!hasCode(error, 'ENOSYS')) throw error;
      }
    }
    return namesPageOf(await this.page(inode, after, MAX_DIRECTORY_PAGE, by));
  }

  /** As `names`, if they are known at once; else undefined. */
  namesNow(inode: number, after: Uint8Array, by: AskedBy): NamesPage | undefined {
    if (!this.#named.isPossible || by.caller || !this.#session.lease.isAlive) return undefined;
    this.#isByNames = true;
    if (after.length === 0) this.#ahead.visit(inode);
    const known = this.#knownPage(inode, after, MAX_DIRECTORY_PAGE);
    return known ? namesPageOf(known) : this.#named.pageNow(inode, after);
  }

  async #namesAlone(inode: number, after: Uint8Array, by: AskedBy): Promise<NamesPage> {
    if (!by.caller && this.#session.lease.isAlive) {
      const page = this.namesNow(inode, after, by) ?? (await this.#named.page(inode, after));
      if (page) return page;
    }
    return await this.#named.ask(inode, after, MAX_NAMES_PAGE, by);
  }

  /** The inode that a name leads to in a directory whose names a program knows, as far as attributes have followed. */
  #findListed(directory: number, name: Uint8Array): number | undefined {
    const run = this.#runs.peek(directory);
    if (!run || !this.#named.wasListed(directory) || !this.#session.names.isTrue(run.listing))
      return undefined;
    const known = run.names[positionBehind(run.names, name) - 1];
    return known && Buffer.compare(known.name, name) === 0 ? known.inode : undefined;
  }

  /** Whether its first page is under way, or the next one of a directory whose names a program knows. */
  #isBeingListed(directory: number): boolean {
    const run = this.#runs.peek(directory);
    return run?.names.length === 0 || (run?.fetching !== undefined && this.#named.wasListed(directory));
  }

  #isWorthListing(directory: number): boolean {
    const misses = this.#misses.get(directory);
    if (!misses) {
      this.#misses.set(directory, { count: 1, patience: FIRST_PATIENCE });
      return false;
    }
    misses.count += 1;
    if (misses.count <= misses.patience) return false;
    misses.count = 0;
    misses.patience *= 2;
    return true;
  }

  /** Lists the directory if one page is all of it. Never rejects: who cannot list it may still look names up. */
  async #listWhole(directory: number): Promise<void> {
    await this.#listOn(directory, false);
  }

  /** Lists the directory's first page; of one whose names a program knows, the next. Never rejects. */
  async #listOn(directory: number, mayGoOn = this.#named.wasListed(directory)): Promise<void> {
    try {
      const run = this.#runs.get(directory) ?? this.#begin(directory);
      if (run.names.length === 0 || mayGoOn) await this.#fetch(directory, run);
    } catch {
      this.#runs.delete(directory);
    }
  }

  #knownPage(inode: number, after: Uint8Array, limit: number): DirectoryPage | undefined {
    const page = this.#session.names.page(inode, after, limit);
    return page && this.#withAttributes(page.names, page.parent, page.isLast);
  }

  /** A page of a listing that is under way, which goes on for it; undefined when there is none that could. */
  async #runPage(inode: number, after: Uint8Array, limit: number): Promise<DirectoryPage | undefined> {
    if (after.length === 0) this.#runs.delete(inode);
    const run = this.#runs.get(inode) ?? (after.length === 0 ? this.#begin(inode) : undefined);
    if (!run) return undefined;
    let start = positionBehind(run.names, after);
    while (start === run.names.length && !run.isWhole) {
      if (!(await this.#fetch(inode, run))) return undefined;
      start = positionBehind(run.names, after);
    }
    if (!this.#session.names.isTrue(run.listing)) return undefined;
    const names = run.names.slice(start, start + limit);
    return this.#withAttributes(names, run.parent, run.isWhole && start + limit >= run.names.length);
  }

  #begin(directory: number): Run {
    const run = new Run(this.#session.names.beginListing(directory));
    this.#runs.set(directory, run);
    return run;
  }

  /** Asks for the next page of a listing. Returns false when it cannot go on. */
  async #fetch(directory: number, run: Run): Promise<boolean> {
    if (run.fetching) await run.fetching;
    else await (run.fetching = this.#fetchNext(directory, run).finally(() => (run.fetching = undefined)));
    const isGood =
      this.#session.names.isTrue(run.listing) && (run.isWhole || run.names.length <= MAX_KNOWN_NAMES);
    if (!isGood || run.isWhole) this.#runs.delete(directory);
    this.#boundRuns();
    return isGood;
  }

  /** Gives up the listings that went on longest ago, as far as there are too many names; the newest may stay. */
  #boundRuns(): void {
    let names = 0;
    for (const run of this.#runs.values()) names += run.names.length;
    while (names > MAX_LISTED_NAMES && this.#runs.size > 1) names -= this.#runs.pop()?.names.length ?? 0;
  }

  async #fetchNext(directory: number, run: Run): Promise<void> {
    const page = await this.#ask(directory, run.names.at(-1)?.name ?? NOTHING, MAX_DIRECTORY_PAGE, {});
    for (const { name, attributes } of page.entries) {
      run.names.push({ name, inode: attributes.inode });
      this.#ahead.found(directory, name, attributes);
    }
    run.parent = page.parent;
    run.isWhole = page.isLast;
    if (!run.isWhole) return;
    this.#session.names.listed(run.listing, run.names, run.parent);
    this.#named.attributesFollowed(directory);
  }

  /** Undefined when the attributes of one of them are not known any more. */
  #withAttributes(names: readonly KnownName[], parent: number, isLast: boolean): DirectoryPage | undefined {
    const entries: { name: Buffer; attributes: Attributes }[] = [];
    for (const { name, inode } of names) {
      const attributes = this.#session.attributes.get(inode);
      if (!attributes) return undefined;
      entries.push({ name, attributes });
    }
    return { entries, parent, isLast };
  }

  async #ask(inode: number, after: Uint8Array, limit: number, by: AskedBy): Promise<DirectoryPage> {
    const { attributes: cache, xattrs } = this.#session;
    const ticket = cache.ticket();
    const page = await this.#session.ask(readdir, { inode, after, limit, ...by });
    requirePage(page, after);
    const withXattrs = page.withXattrs && new Set(page.withXattrs);
    const entries = page.entries.map(({ name, attributes }) => {
      cache.keep(ticket, attributes);
      if (withXattrs && !withXattrs.has(attributes.inode)) xattrs.none(ticket, attributes.inode);
      return { name: Buffer.from(name), attributes };
    });
    return { entries, parent: page.parent, isLast: page.end };
  }
}

/**
 * EPROTO unless the names of a page are names, in their order and behind `after`: a program that trusts them would leave the directory, or
 * not come to an end.
 */
function requirePage({ entries, end }: ReplyOf<typeof readdir>, after: Uint8Array): void {
  let last = after;
  for (const { name } of entries) {
    if (newNameRefusal(name) || Buffer.compare(name, last) <= 0)
      throw new DfsError('EPROTO', 'the metadata server lists a directory with names that cannot be in one');
    last = name;
  }
  if (entries.length === 0 && !end)
    throw new DfsError('EPROTO', 'the metadata server lists a directory without an end');
}

/** The index of the first of the sorted names that comes behind `after`. */
function positionBehind(names: readonly KnownName[], after: Uint8Array): number {
  return firstAfter(names, keyOf(after), ({ name }) => keyOf(name));
}
