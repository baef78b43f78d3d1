/**
 * Changes that are acknowledged and not sent yet, in their order, and among them the places of commits that are still to
 * come: a program was told that its file is closed, and no data node has the bytes yet. What was acknowledged after that is
 * not sent before such a place is left. So another client never sees a name, and misses the bytes of a file that was closed
 * before the name was made, even if this client dies that moment (docs/decisions/04).
 */
import { assert, type DfsError } from '../../protocol/errors.js';
import type { RequestOf } from '../../protocol/command.js';
import type { batch } from '../../protocol/session-commands.js';

/** A change that the server has not answered. */
export interface LoggedChange {
  readonly change: RequestOf<typeof batch>['changes'][number];
  /** Inodes whose attributes it changes. */
  readonly inodes: readonly number[];
  /** The server refused it. */
  readonly refused: (reason: DfsError) => void;
  /** The server committed it. */
  readonly committed: () => void;
  /** Data nodes have it as an intent. */
  readonly isKept?: boolean;
  readonly sinceMs: number;
}

/** A place in the order of a client's changes, for the commits of a file that was closed. */
export interface LogPlace {
  /** Its number among everything that was acknowledged. */
  readonly order: number;
  readonly sinceMs: number;
  /** Somebody waits for what is behind it. */
  readonly hurry: () => void;
}

/** A change, and its number among everything that was acknowledged. */
export interface WaitingChange {
  readonly order: number;
  readonly logged: LoggedChange;
}

type Entry = LogPlace | WaitingChange;

const isPlace = (entry: Entry): entry is LogPlace => !('logged' in entry);

export class WaitingChanges {
  /** Sorted by their order. */
  #entries: Entry[] = [];
  /** Even numbers; those between are for what is put into a place. */
  #lastOrder = 0;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Changes and places. */
  get length(): number {
    return this.#entries.length;
  }

  /** The order of what was taken last. */
  get lastOrder(): number {
    return this.#lastOrder;
  }

  /** The order of the first change or place; infinite when there is none. */
  get firstOrder(): number {
    return this.#entries[0]?.order ?? Number.POSITIVE_INFINITY;
  }

  /** The first change, wherever the places are. */
  get firstChange(): LoggedChange | undefined {
    for (const entry of this.#entries) if (!isPlace(entry)) return entry.logged;
    return undefined;
  }

  /** The first place that is not left. */
  get firstPlace(): LogPlace | undefined {
    return this.#entries.find(isPlace);
  }

  has(place: LogPlace): boolean {
    return this.#entries.indexOf(place) >= 0;
  }

  push(logged: LoggedChange): void {
    this.#lastOrder += 2;
    this.#entries.push({ order: this.#lastOrder, logged });
  }

  /** A place behind everything that was taken before. */
  reserve(sinceMs: number, hurry: () => void): LogPlace {
    this.#lastOrder += 2;
    const place = { order: this.#lastOrder, sinceMs, hurry };
    this.#entries.push(place);
    return place;
  }

  /** Takes a change into a place that is not left, behind what was put there before. */
  insert(place: LogPlace, logged: LoggedChange): void {
    const index = this.#entries.indexOf(place);
    assert(index >= 0, 'a change is put into no place that was left');
    this.#entries.splice(index, 0, { order: place.order - 1, logged });
  }

  /** Nothing more comes into the place. Without effect when it was left before. */
  leave(place: LogPlace): void {
    const index = this.#entries.indexOf(place);
    if (index >= 0) this.#entries.splice(index, 1);
  }

  /** Leaves the places that were reserved `untilMs` or earlier; returns how many. */
  passOver(untilMs: number): number {
    const before = this.#entries.length;
    this.#entries = this.#entries.filter(entry => !isPlace(entry) || entry.sinceMs > untilMs);
    return before - this.#entries.length;
  }

  /** How many changes are before the first place, counted up to `most`. */
  ready(most: number): number {
    let count = 0;
    for (const entry of this.#entries) {
      if (count === most || isPlace(entry)) break;
      count += 1;
    }
    return count;
  }

  /** Takes the first changes out, `most` at the most, but none that is behind a place. */
  take(most: number): WaitingChange[] {
    const taken = this.#entries.splice(0, this.ready(most));
    return taken.filter((entry): entry is WaitingChange => !isPlace(entry));
  }

  /** Takes all changes out, and leaves every place. */
  takeAll(): LoggedChange[] {
    return this.#entries.splice(0).flatMap(entry => (isPlace(entry) ? [] : [entry.logged]));
  }

  /** Whether a change of the inode was acknowledged after the place was reserved. */
  isChangedBehind(place: LogPlace, inode: number): boolean {
    const behind = this.#entries.slice(this.#entries.indexOf(place) + 1);
    return behind.some(entry => !isPlace(entry) && entry.logged.inodes.includes(inode));
  }

  /** Somebody waits for what was taken up to `order`. */
  hurry(order: number): void {
    for (const entry of this.#entries) {
      if (entry.order > order) break;
      if (isPlace(entry)) entry.hurry();
    }
  }
}
