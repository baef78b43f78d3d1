/**
 * The inodes that the kernel knows, which must be remembered until it forgets them: a table in typed arrays, of 24 bytes a place, of
 * which half to four fifths are taken. (A Map of objects took 500 bytes an inode.)
 *
 * Each inode's place follows from its number; if that is taken, it is in one of the next places (linear probing), and
 * what is removed has those behind it moved up.
 */
import { assert } from '../../protocol/errors.js';

/** Bytes of all columns together. */
const PLACE_BYTES = 24;
const MIN_PLACES = 1024;
/** Of an inode that goes to another process: its number (8), lookups, and mode with what the kernel may have of it (4 each). */
const HANDED_BYTES = 16;
const PAGE_INODES = 65_536;
/** With more of its places taken the table grows, by half. */
const MAX_LOAD = 4 / 5;
/** With fewer it shrinks to half. */
const MIN_LOAD = 1 / 6;
/** Lookups are counted up to this. FORGET brings them all at once, so one that had more is forgotten all the same. */
const MAX_LOOKUPS = 0xffff_ffff;
/** An odd number near 2^32 divided by the golden ratio: numbers that follow each other are spread evenly. */
const SPREAD = 0x9e37_79b1;

/** Above the bits of st_mode. */
const Flag = {
  /** The kernel was told attributes, or an ACL, since they were dropped last. */
  told: 0x1_0000,
  /** It may have pages from after they were dropped last. */
  pages: 0x2_0000,
  /** It may keep the directory's entries, which have not changed since it began to read them. */
  listed: 0x4_0000,
  /** The kernel asked about the inode since `oldest` came by. */
  recent: 0x8_0000,
} as const;
const MODE = 0xffff;
const HANDED_MODE = MODE | Flag.told | Flag.pages;

export class KnownInodes {
  /** Each inode's number; 0 where there is none. */
  #inodes = new Float64Array(MIN_PLACES);
  /** Answers that told it as an entry, minus what the kernel forgot. */
  #lookups = new Uint32Array(MIN_PLACES);
  /** st_mode as it was told last, and flags. */
  #modes = new Uint32Array(MIN_PLACES);
  /** When attributes were told last; ms, the lower 32 bits. */
  #toldMs = new Uint32Array(MIN_PLACES);
  /** When pages may have been read or written last. */
  #pagesMs = new Uint32Array(MIN_PLACES);
  #size = 0;
  /** Where `oldest` goes on, and by how many places: all over the table, so that no part of it becomes denser than the rest. */
  #hand = 0;
  #stride = strideOf(MIN_PLACES);

  get size(): number {
    return this.#size;
  }

  get usedBytes(): number {
    return this.#inodes.length * PLACE_BYTES;
  }

  /** How many inodes the table holds before it takes more than so many bytes. */
  roomWithin(bytes: number): number {
    let places = MIN_PLACES;
    while (nextPlaces(places) * PLACE_BYTES <= bytes) places = nextPlaces(places);
    return Math.floor(places * MAX_LOAD);
  }

  has(inode: number): boolean {
    return this.#find(inode) >= 0;
  }

  *inodes(): Generator<number> {
    for (const inode of this.#inodes) if (inode !== 0) yield inode;
  }

  /**
   * The inodes but one, for a successor of this process, so many in each piece at the most.
   * @param left the one that is left out
   */
  *pages(left: number, most = PAGE_INODES): Generator<Buffer> {
    let page = Buffer.alloc(0);
    let used = 0;
    for (const [place, inode] of this.#inodes.entries()) {
      if (inode === 0 || inode === left) continue;
      if (used === page.length) {
        if (used > 0) yield page;
        page = Buffer.alloc(Math.min(most, this.#size) * HANDED_BYTES);
        used = 0;
      }
      page.writeDoubleLE(inode, used);
      page.writeUInt32LE(this.#lookups[place] ?? 0, used + 8);
      page.writeUInt32LE((this.#modes[place] ?? 0) & HANDED_MODE, used + 12);
      used += HANDED_BYTES;
    }
    if (used > 0) yield page.subarray(0, used);
  }

  /** Takes over the pieces of an earlier process's. */
  addPages(pages: readonly Buffer[], nowMs: number): void {
    const inodes = pages.reduce((sum, { length }) => sum + length / HANDED_BYTES, this.#size);
    let places = this.#inodes.length;
    while (inodes > places * MAX_LOAD) places = nextPlaces(places);
    // At once: they come in the order of their places, and would lie close together in a smaller table.
    this.#resize(places);
    for (const page of pages) this.#addPage(page, nowMs);
  }

  #addPage(page: Buffer, nowMs: number): void {
    for (let at = 0; at + HANDED_BYTES <= page.length; at += HANDED_BYTES) {
      const inode = page.readDoubleLE(at);
      const lookups = page.readUInt32LE(at + 8);
      if (!Number.isSafeInteger(inode) || inode < 1 || lookups === 0) continue;
      const mode = page.readUInt32LE(at + 12) & HANDED_MODE;
      this.addLookup(inode, mode & MODE, nowMs);
      const place = this.#find(inode);
      this.#lookups[place] = lookups;
      this.#modes[place] = mode | Flag.recent;
    }
  }

  /** One more answer tells the inode as an entry. Returns whether it is new. */
  addLookup(inode: number, mode: number, nowMs: number): boolean {
    const found = this.#find(inode);
    if (found >= 0) {
      const lookups = this.#lookups[found] ?? 0;
      if (lookups < MAX_LOOKUPS) this.#lookups[found] = lookups + 1;
      this.#setMode(found, mode);
      return false;
    }
    if (this.#size + 1 > this.#inodes.length * MAX_LOAD) this.#resize(nextPlaces(this.#inodes.length));
    const place = this.#freePlace(inode);
    this.#size += 1;
    this.#inodes[place] = inode;
    this.#lookups[place] = 1;
    // It may be one that was forgotten a moment ago, or not quite yet: the kernel may have pages of it.
    this.#modes[place] = (mode & MODE) | Flag.told | Flag.pages | Flag.recent;
    this.#toldMs[place] = nowMs;
    this.#pagesMs[place] = nowMs;
    return true;
  }

  /** The kernel takes back so many lookups; with the last one the inode is removed. */
  takeLookups(inode: number, lookups: number): void {
    const place = this.#find(inode);
    if (place < 0) return;
    const left = (this.#lookups[place] ?? 0) - lookups;
    if (left > 0) this.#lookups[place] = left;
    else this.#removeAt(place);
  }

  remove(inode: number): void {
    const place = this.#find(inode);
    if (place >= 0) this.#removeAt(place);
  }

  /** Attributes are told. */
  tell(inode: number, mode: number): void {
    const place = this.#find(inode);
    if (place < 0) return;
    this.#setMode(place, mode);
  }

  /** What is told may be kept. */
  keepTold(inode: number, nowMs: number): void {
    const place = this.#find(inode);
    if (place < 0) return;
    this.#toldMs[place] = nowMs;
    this.#set(place, Flag.told, true);
  }

  /** Whether the kernel was told anything to be kept since it was made to drop that. */
  isTold(inode: number): boolean {
    return this.#has(inode, Flag.told);
  }

  /** Whether that was within `ms`. */
  wasToldWithin(inode: number, nowMs: number, ms: number): boolean {
    const place = this.#find(inode);
    return place >= 0 && isWithin(this.#toldMs[place] ?? 0, nowMs, ms);
  }

  /** What was told before is dropped. */
  dropTold(inode: number, beforeMs: number): void {
    const place = this.#find(inode);
    if (place >= 0 && isBefore(this.#toldMs[place] ?? 0, beforeMs)) this.#set(place, Flag.told, false);
  }

  /** A READ or WRITE came, which leaves pages. */
  notePages(inode: number, nowMs: number): void {
    const place = this.#find(inode);
    if (place < 0) return;
    this.#pagesMs[place] = nowMs;
    this.#set(place, Flag.pages, true);
  }

  mayHavePages(inode: number): boolean {
    return this.#has(inode, Flag.pages);
  }

  /** Whether a READ or WRITE that leaves pages came within `ms`. */
  hadPagesWithin(inode: number, nowMs: number, ms: number): boolean {
    const place = this.#find(inode);
    return place >= 0 && isWithin(this.#pagesMs[place] ?? 0, nowMs, ms);
  }

  /** Pages from before are dropped. */
  dropPages(inode: number, beforeMs: number): void {
    const place = this.#find(inode);
    if (place >= 0 && isBefore(this.#pagesMs[place] ?? 0, beforeMs)) this.#set(place, Flag.pages, false);
  }

  isListed(directory: number): boolean {
    return this.#has(directory, Flag.listed);
  }

  setListed(directory: number, isListed: boolean): void {
    const place = this.#find(directory);
    if (place >= 0) this.#set(place, Flag.listed, isListed);
  }

  noneListed(): void {
    for (let place = 0; place < this.#modes.length; place += 1) this.#set(place, Flag.listed, false);
  }

  /** st_mode as it was told last; 0 when the kernel does not know the inode. */
  modeOf(inode: number): number {
    const place = this.#find(inode);
    return place < 0 ? 0 : (this.#modes[place] ?? 0) & MODE;
  }

  /** At most `count` inodes of which the kernel was not told since they were come by last (the clock algorithm). */
  oldest(count: number): number[] {
    const found: number[] = [];
    const places = this.#inodes.length;
    for (let looked = 0; looked < 2 * places && found.length < count; looked += 1) {
      const place = this.#hand;
      this.#hand = (place + this.#stride) % places;
      const inode = this.#inodes[place] ?? 0;
      if (inode === 0) continue;
      if (((this.#modes[place] ?? 0) & Flag.recent) === 0) found.push(inode);
      this.#set(place, Flag.recent, false);
    }
    return found;
  }

  #has(inode: number, flag: number): boolean {
    const place = this.#find(inode);
    return place >= 0 && ((this.#modes[place] ?? 0) & flag) !== 0;
  }

  #set(place: number, flag: number, isSet: boolean): void {
    const mode = this.#modes[place] ?? 0;
    this.#modes[place] = isSet ? mode | flag : mode & ~flag;
  }

  #setMode(place: number, mode: number): void {
    this.#modes[place] = ((this.#modes[place] ?? 0) & ~MODE) | (mode & MODE) | Flag.recent;
  }

  #homeOf(inode: number): number {
    const low = inode >>> 0;
    const high = Math.floor(inode / 2 ** 32) | 0;
    const hash = Math.imul(low ^ Math.imul(high, SPREAD), SPREAD) >>> 0;
    return Math.floor((hash / 2 ** 32) * this.#inodes.length);
  }

  /** The inode's place, or -1. */
  #find(inode: number): number {
    for (let place = this.#homeOf(inode); ; place = this.#next(place)) {
      const there = this.#inodes[place];
      if (there === inode) return place;
      if (there === 0) return -1;
    }
  }

  #freePlace(inode: number): number {
    let place = this.#homeOf(inode);
    while (this.#inodes[place] !== 0) place = this.#next(place);
    return place;
  }

  #next(place: number): number {
    return place + 1 === this.#inodes.length ? 0 : place + 1;
  }

  #removeAt(place: number): void {
    this.#size -= 1;
    let free = place;
    for (let at = this.#next(free); ; at = this.#next(at)) {
      const inode = this.#inodes[at] ?? 0;
      if (inode === 0) break;
      // It stays if its home lies behind the free place, up to where it is.
      const home = this.#homeOf(inode);
      const stays = free < at ? home > free && home <= at : home > free || home <= at;
      if (stays) continue;
      this.#move(at, free);
      free = at;
    }
    this.#inodes[free] = 0;
    const places = this.#inodes.length;
    if (places > MIN_PLACES && this.#size < places * MIN_LOAD) this.#resize(Math.ceil(places / 2));
  }

  #move(from: number, to: number): void {
    this.#inodes[to] = this.#inodes[from] ?? 0;
    this.#lookups[to] = this.#lookups[from] ?? 0;
    this.#modes[to] = this.#modes[from] ?? 0;
    this.#toldMs[to] = this.#toldMs[from] ?? 0;
    this.#pagesMs[to] = this.#pagesMs[from] ?? 0;
  }

  #resize(places: number): void {
    const [inodes, lookups] = [this.#inodes, this.#lookups];
    const [modes, toldMs, pagesMs] = [this.#modes, this.#toldMs, this.#pagesMs];
    this.#inodes = new Float64Array(places);
    this.#lookups = new Uint32Array(places);
    this.#modes = new Uint32Array(places);
    this.#toldMs = new Uint32Array(places);
    this.#pagesMs = new Uint32Array(places);
    this.#hand = 0;
    this.#stride = strideOf(places);
    let moved = 0;
    for (const [from, inode] of inodes.entries()) {
      if (inode === 0) continue;
      const to = this.#freePlace(inode);
      this.#inodes[to] = inode;
      this.#lookups[to] = lookups[from] ?? 0;
      this.#modes[to] = modes[from] ?? 0;
      this.#toldMs[to] = toldMs[from] ?? 0;
      this.#pagesMs[to] = pagesMs[from] ?? 0;
      moved += 1;
    }
    assert(moved === this.#size, 'every inode has a place in the new table');
  }
}

function nextPlaces(places: number): number {
  return Math.ceil(places * 1.5);
}

/** By such steps every place is come by once: it has no divisor in common with the number of places. */
function strideOf(places: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  let stride = Math.floor(places * 0.618);
  while (divisor(places, stride) !== 1) stride += 1;
  return stride;
}

/** Whether `thenMs`, of which only the lower 32 bits are known, was before `nowMs`. */
function isBefore(thenMs: number, nowMs: number): boolean {
  return ((Math.floor(nowMs) - thenMs) | 0) > 0;
}

function isWithin(thenMs: number, nowMs: number, ms: number): boolean {
  const age = (Math.floor(nowMs) - thenMs) | 0;
  return age >= 0 && age <= ms;
}
