/**
 * One opened directory as the kernel reads it: a position is the number of entries before it, `.` and `..` included.
 * Pages are fetched as they are wanted; going back to any position that was reached before is possible (seekdir(3)).
 */
import { ROOT_INODE } from '../../protocol/file-mode.js';
import type { OpenDirectoryState } from '../../protocol/take-over.js';
import type { DirectoryEntry, FileSystem } from '../../vfs/file-system.js';

/** An entry, and the position behind it. */
export interface PlacedEntry {
  readonly name: Buffer;
  readonly inode: number;
  readonly mode: number;
  readonly next: number;
  /** Undefined for `.` and `..`. */
  readonly entry: DirectoryEntry | undefined;
}

interface PageStart {
  readonly position: number;
  readonly after: Uint8Array;
}

export type StreamState = Pick<OpenDirectoryState, 'parent' | 'starts'>;

const DIRECTORY_MODE = 0o040000;
const DOTS = 2;

export class DirectoryStream {
  readonly #fileSystem: Pick<FileSystem, 'readdirPage'>;
  readonly #inode: number;
  #parent = ROOT_INODE;
  /** Where each page reached so far begins. */
  #starts: PageStart[] = [];
  #entries: readonly DirectoryEntry[] = [];
  #position = DOTS;
  #isLast = false;

  /** @param begun where an earlier process has come (`state`) */
  constructor(fileSystem: Pick<FileSystem, 'readdirPage'>, inode: number, begun?: StreamState) {
    this.#fileSystem = fileSystem;
    this.#inode = inode;
    if (!begun) return;
    this.#parent = begun.parent;
    this.#starts = begun.starts.map(({ position, after }) => ({ position, after: Buffer.from(after) }));
    // No page is there: whatever is asked for is behind it.
    this.#position = Number.POSITIVE_INFINITY;
  }

  /** What another process needs to go on from every position that was told last. */
  state(): StreamState {
    const within = this.#entries.map(({ name }, index) => ({
      position: this.#position + index + 1,
      after: name,
    }));
    const first = this.#position;
    return {
      parent: this.#parent,
      starts: [...this.#starts.filter(({ position }) => position <= first), ...within],
    };
  }

  /** The entries from `position` on, as far as one page goes; none at the end. Position 0 reads the directory anew. */
  async from(position: number): Promise<PlacedEntry[]> {
    if (position === 0 || this.#starts.length === 0)
      await this.#load({ position: DOTS, after: Buffer.alloc(0) });
    await this.#goTo(Math.max(position, DOTS));
    return this.#placed(position);
  }

  /** What the current page has from `position` on. */
  #placed(position: number): PlacedEntry[] {
    const placed: PlacedEntry[] = [];
    if (position < 1) placed.push(this.#dot('.', this.#inode, 1));
    if (position < DOTS) placed.push(this.#dot('..', this.#parent, DOTS));
    const start = Math.max(position, DOTS);
    for (let index = start - this.#position; index < this.#entries.length; index += 1) {
      const entry = this.#entries[index];
      if (!entry) break;
      const { inode, mode } = entry.attributes;
      placed.push({ name: entry.name, inode, mode, next: this.#position + index + 1, entry });
    }
    return placed;
  }

  /**
   * The same with entries that are asked for now, at most `limit` of them, rather than left from an earlier page: what
   * the kernel is to keep must not be older than its request.
   */
  async freshFrom(position: number, limit: number): Promise<PlacedEntry[]> {
    const before = position > DOTS ? this.#entries[position - this.#position - 1] : undefined;
    const start = this.#starts.find(each => each.position === position);
    if (before) await this.#load({ position, after: before.name }, limit);
    else if (start && position > DOTS) await this.#load(start, limit);
    else if (position <= DOTS) await this.#load({ position: DOTS, after: Buffer.alloc(0) }, limit);
    // Someone sought to where no page begins: walk there, then ask again.
    else {
      await this.from(position - 1);
      const found = this.#entries[position - this.#position - 1];
      if (!found) return [];
      await this.#load({ position, after: found.name }, limit);
    }
    return this.#placed(position);
  }

  #dot(name: string, inode: number, next: number): PlacedEntry {
    return { name: Buffer.from(name), inode, mode: DIRECTORY_MODE, next, entry: undefined };
  }

  /** Makes the current page the one with `position`, or the last one if the directory ends before. */
  async #goTo(position: number): Promise<void> {
    if (position < this.#position) {
      const start = this.#starts.findLast(each => each.position <= position);
      if (start) await this.#load(start);
    }
    while (position >= this.#position + this.#entries.length && !this.#isLast) {
      const last = this.#entries.at(-1);
      if (!last) return;
      await this.#load({ position: this.#position + this.#entries.length, after: last.name });
    }
  }

  async #load(start: PageStart, limit?: number): Promise<void> {
    const page = await this.#fileSystem.readdirPage(this.#inode, start.after, limit);
    if (start.position === DOTS) this.#starts = [];
    if ((this.#starts.at(-1)?.position ?? -1) < start.position) this.#starts.push(start);
    this.#entries = page.entries;
    this.#position = start.position;
    this.#parent = page.parent;
    this.#isLast = page.isLast;
  }
}
