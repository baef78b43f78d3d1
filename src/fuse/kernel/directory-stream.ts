/**
 * One opened directory as the kernel reads it: a position is the number of entries before it, `.` and `..` included.
 * Pages are fetched as they are wanted; going back to any position that was reached before is possible (seekdir(3)).
 */
import { ROOT_INODE } from '../../protocol/file-mode.js';
import { PackedNames } from '../../protocol/packed-names.js';
import type { OpenDirectoryState } from '../../protocol/take-over.js';
import type { NamesPage } from '../../vfs/file-system.js';

/** Where pages come from. */
export interface PageSource {
  /** Names behind `after`, without attributes. */
  readonly names: (after: Uint8Array) => Promise<NamesPage>;
  /** The same with attributes; at most `limit`. */
  readonly entries: (after: Uint8Array, limit: number | undefined) => Promise<NamesPage>;
  /** As `names`, if they are known at once; else undefined. */
  readonly namesNow: (after: Uint8Array) => NamesPage | undefined;
}

interface PageStart {
  readonly position: number;
  readonly after: Uint8Array;
}

export type StreamState = Pick<OpenDirectoryState, 'parent' | 'starts'>;

/** Entries before the first name: `.` and `..`. */
export const DOTS = 2;
const BEGINNING: PageStart = { position: DOTS, after: Buffer.alloc(0) };
const NO_PAGE: NamesPage = {
  names: PackedNames.of([]),
  attributesOf: () => undefined,
  parent: ROOT_INODE,
  isLast: false,
};

export class DirectoryStream {
  readonly #source: PageSource;
  /** Where each page reached so far begins. */
  #starts: PageStart[] = [];
  #page = NO_PAGE;
  #position = DOTS;

  /** @param begun where an earlier process has come (`state`) */
  constructor(source: PageSource, begun?: StreamState) {
    this.#source = source;
    if (!begun) return;
    this.#page = { ...NO_PAGE, parent: begun.parent };
    this.#starts = begun.starts.map(({ position, after }) => ({ position, after: Buffer.from(after) }));
    // No page is there: whatever is asked for is behind it.
    this.#position = Number.POSITIVE_INFINITY;
  }

  /** The current page. */
  get page(): NamesPage {
    return this.#page;
  }

  /** That of its first entry. */
  get position(): number {
    return this.#position;
  }

  /** What another process needs to go on from every position that was told last. */
  state(): StreamState {
    const { names, parent } = this.#page;
    const within = Array.from({ length: names.count }, (_, index) => ({
      position: this.#position + index + 1,
      after: names.nameAt(index),
    }));
    const first = this.#position;
    return { parent, starts: [...this.#starts.filter(({ position }) => position <= first), ...within] };
  }

  /**
   * Makes the current page the one with `position`, or the last one if the directory ends before. Position 0 reads the directory anew.
   * @param withAttributes of pages that are fetched
   */
  async goTo(position: number, withAttributes: boolean): Promise<void> {
    if (position === 0 || this.#starts.length === 0) await this.#load(BEGINNING, withAttributes);
    await this.#goTo(Math.max(position, DOTS), withAttributes);
  }

  /** As `goTo` for a position behind the beginning, if that needs no other page: whether it is done. */
  goToNow(position: number): boolean {
    const { names, isLast } = this.#page;
    if (position < DOTS || position < this.#position || this.#starts.length === 0) return false;
    return isLast || position < this.#position + names.count;
  }

  /**
   * The same with a page that begins at `position` and was asked for since the kernel's request came: what the kernel keeps must not be
   * older than its request.
   * @param limit the most entries, with attributes
   */
  async goToFresh(position: number, withAttributes: boolean, limit: number): Promise<void> {
    const before = position > DOTS ? this.#nameBefore(position) : undefined;
    const start = this.#starts.find(each => each.position === position);
    if (before) await this.#load({ position, after: before }, withAttributes, limit);
    else if (start && position > DOTS) await this.#load(start, withAttributes, limit);
    else if (position <= DOTS) await this.#load(BEGINNING, withAttributes, limit);
    // Someone sought to where no page begins: walk there, then ask again.
    else {
      await this.goTo(position - 1, withAttributes);
      const found = this.#nameBefore(position);
      if (found) await this.#load({ position, after: found }, withAttributes, limit);
    }
  }

  /** As `goToFresh` without attributes, if the names are known at once: whether it is done. */
  goToFreshNow(position: number): boolean {
    const after = position > DOTS ? this.#nameBefore(position) : BEGINNING.after;
    const page = after && this.#source.namesNow(after);
    if (page) this.#turnTo({ position: Math.max(position, DOTS), after }, page);
    return page !== undefined;
  }

  /** The name of the entry before a position, if that is in the current page. */
  #nameBefore(position: number): Buffer | undefined {
    const index = position - this.#position - 1;
    return index >= 0 && index < this.#page.names.count ? this.#page.names.nameAt(index) : undefined;
  }

  async #goTo(position: number, withAttributes: boolean): Promise<void> {
    if (position < this.#position) {
      const start = this.#starts.findLast(each => each.position <= position);
      if (start) await this.#load(start, withAttributes);
    }
    while (position >= this.#position + this.#page.names.count && !this.#page.isLast) {
      const { count } = this.#page.names;
      if (count === 0) return;
      const after = this.#page.names.nameAt(count - 1);
      await this.#load({ position: this.#position + count, after }, withAttributes);
    }
  }

  async #load(start: PageStart, withAttributes: boolean, limit?: number): Promise<void> {
    const { after } = start;
    const page = withAttributes ? await this.#source.entries(after, limit) : await this.#source.names(after);
    this.#turnTo(start, page);
  }

  #turnTo({ position, after }: PageStart, page: NamesPage): void {
    if (position === DOTS) this.#starts = [];
    // A copy: the name alone would keep its page.
    if ((this.#starts.at(-1)?.position ?? -1) < position)
      this.#starts.push({ position, after: Buffer.from(after) });
    this.#page = page;
    this.#position = position;
  }
}
