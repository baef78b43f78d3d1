/**
 * Which names of a directory have changed of late. A session that writes to a directory in turns with others (write-turns.ts) leaves it
 * for theirs; when it has it again it learns which of the names that it knew are to be asked for anew, and the rest
 * is as it was. So a large directory is not listed again for each turn.
 */
import { LRUCache } from 'lru-cache';
import type { ChangedEntry } from './change-trace.js';

/** Names that are remembered, of all directories and of one: some 100 bytes each. */
const MAX_NAMES = 65_536;
export const MAX_NAMES_OF_ONE = 4096;
/**
 * The positions of a process begin at so many for each ms of the time at which it began, so that they come after those of the
 * process before it.
 */
const POSITIONS_IN_MS = 1000;

export interface ChangedName {
  readonly at: number;
  readonly name: Uint8Array;
}

interface Recorded {
  /** Every change of a name since this position is in `names`. */
  since: number;
  readonly names: ChangedName[];
}

export class ChangedNames {
  readonly #directories = new LRUCache<number, Recorded>({
    maxSize: MAX_NAMES,
    sizeCalculation: ({ names }) => names.length + 1,
  });
  #now: number;

  /** @param startedMs when this process began, in ms since the epoch */
  constructor(startedMs: number) {
    this.#now = startedMs * POSITIONS_IN_MS;
  }

  /** The position up to which names of the directory were told; those that change from now on are remembered. */
  mark(directory: number): number {
    if (!this.#directories.has(directory)) this.#directories.set(directory, { since: this.#now, names: [] });
    return this.#now;
  }

  /** Names in the directory have changed, if anybody left it. */
  note(directory: number, names: readonly ChangedEntry[]): void {
    const recorded = this.#directories.get(directory);
    if (!recorded || names.length === 0) return;
    for (const { name } of names) recorded.names.push({ at: (this.#now += 1), name });
    const tooMany = recorded.names.length - MAX_NAMES_OF_ONE;
    if (tooMany > 0) {
      // Half of them, so that it is not done for each name.
      const dropped = recorded.names.splice(0, tooMany + MAX_NAMES_OF_ONE / 2);
      recorded.since = dropped.at(-1)?.at ?? recorded.since;
    }
    // The cache counts only what is new to it.
    this.#directories.delete(directory);
    this.#directories.set(directory, recorded);
  }

  /** The names that have changed since a position; undefined when not all of them are remembered. */
  since(directory: number, position: number): ChangedName[] | undefined {
    const recorded = this.#directories.get(directory);
    if (!recorded || position < recorded.since || position > this.#now) return undefined;
    return recorded.names.filter(({ at }) => at > position);
  }
}
