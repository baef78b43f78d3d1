/**
 * Which of up to 65,535 owners has which inode, in a few bytes each: inodes that are made one after the other have numbers
 * that follow each other, and mostly one owner. So 64 inodes share a page of 128 bytes, and all pages lie in one array.
 */

/** Inodes of a page; a power of two. */
const PAGE = 64;
/** What a page costs: its places in the array, its entry in the Map, and its count. */
const PAGE_BYTES = PAGE * 2 + 56;
const FIRST_PAGES = 64;

export class InodeOwners {
  /** inode / PAGE → where its page lies in `#places`, in pages */
  readonly #pages = new Map<number, number>();
  /** The owner of each inode of each page; 0: nobody. */
  #places = new Uint16Array(FIRST_PAGES * PAGE);
  /** Inodes of each page that have an owner. */
  #counts = new Uint8Array(FIRST_PAGES);
  readonly #freePages: number[] = [];
  #usedPages = 0;
  /** owner → inodes that it has */
  readonly #sizes = new Map<number, number>();

  /** What all of it costs, in bytes. */
  get usedBytes(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  /** Inodes that `owner` has. */
  sizeOf(owner: number): number {
    return this.#sizes.get(owner) ?? 0;
  }

  /** Whose the inode is; 0: nobody's. */
  get(inode: number): number {
    const page = this.#pages.get(Math.floor(inode / PAGE));
    return page === undefined ? 0 : (this.#places[page * PAGE + (inode % PAGE)] ?? 0);
  }

  /** @param owner 1 … 65,535; 0: nobody */
  set(inode: number, owner: number): void {
    const number = Math.floor(inode / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      if (owner === 0) return;
      page = this.#takePage(number);
    }
    const at = page * PAGE + (inode % PAGE);
    const before = this.#places[at] ?? 0;
    if (before === owner) return;
    this.#places[at] = owner;
    this.#add(before, -1);
    this.#add(owner, 1);
    const count = (this.#counts[page] ?? 0) + (before === 0 ? 1 : 0) - (owner === 0 ? 1 : 0);
    this.#counts[page] = count;
    if (count > 0) return;
    this.#pages.delete(number);
    this.#freePages.push(page);
  }

  /** Takes everything from an owner but what `isKept` says; returns what it took. */
  clear(owner: number, isKept: (inode: number) => boolean = () => false): number[] {
    const taken: number[] = [];
    if (this.sizeOf(owner) === 0) return taken;
    // A Map bears that an entry is deleted while it is read.
    for (const [number, page] of this.#pages) {
      for (let index = 0; index < PAGE; index += 1) {
        const inode = number * PAGE + index;
        if (this.#places[page * PAGE + index] !== owner || isKept(inode)) continue;
        this.set(inode, 0);
        taken.push(inode);
      }
    }
    return taken;
  }

  #add(owner: number, change: number): void {
    if (owner === 0) return;
    const size = this.sizeOf(owner) + change;
    if (size > 0) this.#sizes.set(owner, size);
    else this.#sizes.delete(owner);
  }

  #takePage(number: number): number {
    const page = this.#freePages.pop() ?? this.#usedPages;
    if (page === this.#usedPages) {
      this.#usedPages += 1;
      if (this.#usedPages > this.#counts.length) this.#grow();
    }
    this.#pages.set(number, page);
    return page;
  }

  #grow(): void {
    const places = new Uint16Array(this.#places.length * 2);
    places.set(this.#places);
    this.#places = places;
    const counts = new Uint8Array(this.#counts.length * 2);
    counts.set(this.#counts);
    this.#counts = counts;
  }
}
