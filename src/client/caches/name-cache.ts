/**
 * Directories of which this client knows every name, because it made them or has listed them, under its lease
 * (client/leases/cache-lease.ts). A name that is not among them does not exist, and no request is needed to say so. A program that unpacks
 * a tree looks up each name before it creates it; one that walks a tree looks up every name.
 *
 * Of others, which may be too large for that, it knows single names: those of which it was told that they are not there, and
 * what it made of them.
 */
import { LRUCache } from 'lru-cache';
import { MAX_NAME_BYTES } from '../../protocol/limits.js';
import { DIRECTORY_BYTES, LRU_ENTRY_BYTES, nameCost } from './cache-budget.js';
import type { CacheKeeper, CacheLease, Revocation } from '../leases/cache-lease.js';
import type { Holding } from '../../protocol/session-commands.js';
import { RecentChanges } from '../leases/recent-changes.js';
import { emptyDirectory, leadOf, type KnownDirectory } from './known-directory.js';
import { firstAfter } from './sorted-search.js';

/**
 * Names that this client makes are counted in steps of this part of what the directory's names cost, but at least so much: to
 * have the cache count anew costs as much as a name.
 */
const STEP_PART = 16;
const MIN_STEP_BYTES = 256;
/** Directories of which it is known exactly when this client last changed a name in them: some 50 KiB. */
const CHANGED_DIRECTORIES = 512;
/** A directory is looked at while names in it were dropped no more often than this since a program was answered from it. */
const USED_DROPS = 4;
/** With more names than this that others have changed, a directory is not worth keeping. */
const MAX_UNKNOWN = 4096;

/** Taken before a lookup. Its answer does not show what this client or another one has changed since. */
export interface LookupTicket {
  readonly lease: number;
  readonly own: number;
}

/** A directory that is being listed: what this client changes meanwhile may be in the pages, or not. */
export interface Listing {
  readonly directory: number;
  /** The lease's, from before the first page was asked for. */
  readonly ticket: number;
  /** This client changed a name in it since. */
  isSpoiled: boolean;
}

/** One name of a known directory. */
export interface KnownName {
  readonly name: Buffer;
  readonly inode: number;
}

export interface KnownPage {
  readonly names: readonly KnownName[];
  readonly parent: number;
  readonly isLast: boolean;
}

export class NameCache implements CacheKeeper {
  readonly #lease: CacheLease;
  readonly #directories: LRUCache<number, KnownDirectory>;
  /** directory → names that this client is changing → by how many requests */
  readonly #inFlight = new Map<number, Map<string, number>>();
  /** Grows with each change of this client. */
  #ownNow = 0;
  /** When this client last changed a name in a directory. */
  readonly #ownChanges = new RecentChanges(CHANGED_DIRECTORIES);
  /** directory → its listings that are under way */
  readonly #listings = new Map<number, Set<Listing>>();

  /** @param maxBytes memory for all directories together */
  constructor(lease: CacheLease, maxBytes: number) {
    this.#lease = lease;
    this.#directories = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ countedBytes }) => LRU_ENTRY_BYTES + DIRECTORY_BYTES + countedBytes,
    });
  }

  /** What is kept costs so much memory. */
  get usedBytes(): number {
    return this.#directories.calculatedSize;
  }

  /** Taken before the server is asked to change a name; shown when its answer is there. */
  ticket(): number {
    return this.#lease.ticket();
  }

  /** Taken before the server is asked where a name leads; shown when its answer is there. */
  lookupTicket(): LookupTicket {
    return { lease: this.#lease.ticket(), own: this.#ownNow };
  }

  /** The inode that the name leads to; 0 when there is none; undefined when that is not known here. */
  find(directory: number, name: Uint8Array): number | undefined {
    // A name that no directory can have is for the server to refuse.
    if (!this.#lease.isAlive || name.length > MAX_NAME_BYTES || isDots(name)) return undefined;
    if (this.#inFlight.get(directory)?.has(keyOf(name)) === true) return undefined;
    const known = this.#get(directory);
    const inode = known && leadOf(known, keyOf(name));
    if (known && inode !== undefined) known.unusedDrops = 0;
    return inode;
  }

  /** Whether every name in the directory is known. */
  isKnown(directory: number): boolean {
    return this.#get(directory)?.isWhole === true;
  }

  /** The same as of before what this client is just changing. */
  knows(directory: number, name: Uint8Array): number | undefined {
    const known = this.#get(directory);
    return known && leadOf(known, keyOf(name));
  }

  /** At most `limit` names behind `after`, in the order of their bytes; undefined when the directory is not known. */
  page(directory: number, after: Uint8Array, limit: number): KnownPage | undefined {
    const known = this.#get(directory);
    if (known?.isWhole !== true || (known.unknown?.size ?? 0) > 0 || known.parent === undefined)
      return undefined;
    if (this.#inFlight.has(directory)) return undefined;
    known.unusedDrops = 0;
    // Latin1 strings compare as their bytes do.
    known.sorted ??= [...known.names.keys()].sort();
    const { sorted, parent = directory } = known;
    const start = firstAfter(sorted, keyOf(after), key => key);
    const names = sorted.slice(start, start + limit).map(key => ({
      name: Buffer.from(key, 'latin1'),
      inode: known.names.get(key) ?? 0,
    }));
    return { names, parent, isLast: start + limit >= sorted.length };
  }

  /**
   * At most `limit` inodes to which names in the directory lead, if it is known as a whole: also while this client changes one of
   * them.
   */
  inodesIn(directory: number, limit: number): number[] {
    const known = this.#get(directory);
    if (known?.isWhole !== true) return [];
    const inodes: number[] = [];
    for (const inode of known.names.values()) {
      if (inodes.length === limit) break;
      if (inode !== 0) inodes.push(inode);
    }
    return inodes;
  }

  /**
   * This client created the directory; it is empty.
   * @param ticket the lease's, from before the request
   */
  created(ticket: number, directory: number, parent: number): void {
    if (!this.#lease.mayKeep(ticket, directory)) return;
    this.#directories.set(directory, emptyDirectory(true, parent));
  }

  /** A listing from the first name on begins; it ends with `listed` or `giveUp`. */
  beginListing(directory: number): Listing {
    const listing = { directory, ticket: this.#lease.ticket(), isSpoiled: false };
    const others = this.#listings.get(directory);
    if (others) others.add(listing);
    else this.#listings.set(directory, new Set([listing]));
    return listing;
  }

  /** Whether nothing has changed since the listing began. */
  isTrue({ isSpoiled, ticket, directory }: Listing): boolean {
    return !isSpoiled && this.#lease.mayKeep(ticket, directory);
  }

  /** Every name was told, in the order of their bytes. */
  listed(listing: Listing, names: readonly KnownName[], parent: number): void {
    this.giveUp(listing);
    this.learn(listing, names, parent);
  }

  /** The same of a listing that goes on, so that it is noticed when it is true no more. */
  learn(listing: Listing, names: readonly KnownName[], parent: number): void {
    const { directory } = listing;
    if (!this.isTrue(listing)) return;
    const sorted = names.map(({ name }) => keyOf(name));
    const known = new Map(names.map(({ inode }, index) => [sorted[index] ?? '', inode]));
    const nameBytes = sorted.reduce((sum, name) => sum + nameCost(name.length), 0);
    const counted = { nameBytes, countedBytes: nameBytes };
    this.#directories.set(directory, { ...emptyDirectory(true, parent), names: known, sorted, ...counted });
  }

  /** The listing was not finished. May be called twice. */
  giveUp(listing: Listing): void {
    const others = this.#listings.get(listing.directory);
    others?.delete(listing);
    if (others?.size === 0) this.#listings.delete(listing.directory);
  }

  /**
   * This client asks the server to change the name. Until `changed` nobody is told of it from here: the server may have
   * done it, and others may have seen it.
   */
  changing(directory: number, name: Uint8Array): void {
    let names = this.#inFlight.get(directory);
    if (!names) this.#inFlight.set(directory, (names = new Map()));
    const key = keyOf(name);
    names.set(key, (names.get(key) ?? 0) + 1);
    this.#noteOwnChange(directory);
  }

  /** It was answered, and what came of it told here. */
  changed(directory: number, name: Uint8Array): void {
    this.#noteOwnChange(directory);
    const names = this.#inFlight.get(directory);
    if (!names) return;
    const key = keyOf(name);
    const requests = (names.get(key) ?? 1) - 1;
    if (requests > 0) names.set(key, requests);
    else names.delete(key);
    if (names.size === 0) this.#inFlight.delete(directory);
  }

  /** The server told where a name leads of which that was not known; 0: nowhere. */
  told({ lease, own }: LookupTicket, directory: number, name: Uint8Array, inode: number): void {
    const known = this.#directories.peek(directory);
    const key = keyOf(name);
    if (known?.leftAt !== undefined || this.#inFlight.get(directory)?.has(key) === true) return;
    // The answer may be from before a change of this client, which is known better, or not known any more.
    if (own < this.#ownChanges.latest(directory) || !this.#lease.mayKeep(lease, directory)) return;
    if (known?.isWhole !== true) {
      // What is not there is often made next; what is there the kernel keeps.
      if (known || inode === 0) this.#learn(directory, known ?? this.#beginSingle(directory), name, inode);
      return;
    }
    if (known.unknown?.has(key) === true) this.#learn(directory, known, name, inode);
  }

  /**
   * This client made the name lead to the inode.
   * @param ticket from before the server was asked for that: others may have changed it since
   */
  linked(directory: number, name: Uint8Array, inode: number, ticket?: number): void {
    const known = this.#changing(directory);
    if (!known) return;
    if (this.#isOvertaken(directory, ticket)) {
      (known.unknown ??= new Set()).add(keyOf(name));
      return;
    }
    known.sorted = undefined;
    this.#noteSingle(directory, known, name, inode);
  }

  /** This client removed the name. @param ticket as for `linked` */
  unlinked(directory: number, name: Uint8Array, ticket?: number): void {
    const known = this.#changing(directory);
    if (known && this.#isOvertaken(directory, ticket)) {
      (known.unknown ??= new Set()).add(keyOf(name));
      return;
    }
    if (known?.isWhole === false) {
      this.#noteSingle(directory, known, name, 0);
      return;
    }
    known?.unknown?.delete(keyOf(name));
    if (known?.names.delete(keyOf(name)) !== true) return;
    known.sorted = undefined;
    known.nameBytes -= nameCost(name.length);
    if (2 * known.nameBytes + 2 * MIN_STEP_BYTES < known.countedBytes) this.#recount(directory, known);
  }

  /** This client moved the directory. */
  moved(directory: number, parent: number): void {
    const known = this.#changing(directory);
    if (known) known.parent = parent;
  }

  /** Directories changed places, and who is whose parent is not known. */
  forgetAll(): void {
    for (const directory of this.#listings.keys()) this.#changing(directory);
    this.#directories.clear();
  }

  /** A change by this client failed, or the directory is gone: nothing is known of its names. */
  forget(directory: number): void {
    this.#changing(directory);
    this.#directories.delete(directory);
  }

  /**
   * This client has the directory to itself again.
   * @param changed the names that have changed of late; undefined when that is not known
   */
  resume(directory: number, changed: Holding['changed']): void {
    const known = this.#directories.peek(directory);
    if (known?.leftAt === undefined) return;
    const at = known.leftAt;
    if (!changed || changed.since > at) {
      this.#directories.delete(directory);
      return;
    }
    known.leftAt = undefined;
    const names = changed.names.filter(name => name.at > at).map(({ name }) => name);
    this.#changedElsewhere(directory, known, names);
  }

  /** Which of the directories in which names are about to be dropped were of use of late. */
  dropsUsed({ names }: Revocation): number[] {
    return [...new Set(names.map(({ parent }) => parent))].filter(directory => {
      const known = this.#directories.peek(directory);
      if (!known) return false;
      known.unusedDrops += 1;
      return known.unusedDrops <= USED_DROPS;
    });
  }

  async drop({ inodes, names, directories, left = [], news }: Revocation): Promise<void> {
    for (const { inode } of inodes) {
      const known = this.#directories.peek(inode);
      if (known) known.parent = undefined;
    }
    for (const { parent, name } of names) {
      const known = this.#directories.peek(parent);
      if (known) this.#changedElsewhere(parent, known, [name]);
    }
    for (const { directory, at } of left) {
      const known = this.#directories.peek(directory);
      // Left before, and not listed since: of what changed in between it was not told.
      if (known) known.leftAt ??= at;
    }
    for (const directory of directories) this.#directories.delete(directory);
    for (const { parent, name, inode } of news?.names ?? []) {
      const known = this.#get(parent);
      if (known) this.#learn(parent, known, name, inode);
    }
  }

  async dropAll(): Promise<void> {
    this.#directories.clear();
  }

  /** The server told where the name leads; 0: nowhere. */
  #learn(directory: number, known: KnownDirectory, name: Uint8Array, inode: number): void {
    if (!known.isWhole) this.#noteSingle(directory, known, name, inode);
    else if (inode === 0) this.unlinked(directory, name);
    else this.linked(directory, name, inode);
  }

  #beginSingle(directory: number): KnownDirectory {
    const known = emptyDirectory(false);
    this.#directories.set(directory, known);
    return known;
  }

  #noteSingle(directory: number, known: KnownDirectory, name: Uint8Array, inode: number): void {
    known.unknown?.delete(keyOf(name));
    const { size } = known.names;
    known.names.set(keyOf(name), inode);
    if (known.names.size === size) return;
    known.nameBytes += nameCost(name.length);
    if (known.nameBytes > known.countedBytes) this.#recount(directory, known);
  }

  #get(directory: number): KnownDirectory | undefined {
    const known = this.#lease.isAlive ? this.#directories.get(directory) : undefined;
    return known?.leftAt === undefined ? known : undefined;
  }

  #changedElsewhere(directory: number, known: KnownDirectory, names: readonly Uint8Array[]): void {
    if (names.length === 0) return;
    const unknown = (known.unknown ??= new Set());
    for (const name of names) unknown.add(keyOf(name));
    if (unknown.size > MAX_UNKNOWN) this.#directories.delete(directory);
  }

  /** Has the cache count the directory anew, with room for some more names. It counts what is new to it alone. */
  #recount(directory: number, known: KnownDirectory): void {
    const step = Math.max(MIN_STEP_BYTES, Math.ceil(known.nameBytes / STEP_PART));
    this.#directories.delete(directory);
    known.countedBytes = known.nameBytes + step;
    this.#directories.set(directory, known);
  }

  #noteOwnChange(directory: number): void {
    this.#ownNow += 1;
    this.#ownChanges.note(directory, this.#ownNow);
  }

  #isOvertaken(directory: number, ticket: number | undefined): boolean {
    return ticket !== undefined && !this.#lease.mayKeep(ticket, directory);
  }

  #changing(directory: number): KnownDirectory | undefined {
    this.#noteOwnChange(directory);
    for (const listing of this.#listings.get(directory) ?? []) listing.isSpoiled = true;
    return this.#directories.get(directory);
  }
}

const DOT = 0x2e;

/** `.` and `..`, which stand in no directory. */
function isDots(name: Uint8Array): boolean {
  return name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT));
}

/** The name as a string, which compares as its bytes do. */
export function keyOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1');
}
