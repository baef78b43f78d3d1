/**
 * Which programs look at the attributes of what they list. The kernel asks for the first entries of every directory with attributes
 * (fuse_use_readdirplus), so it does not say. `find`, globs and completion need none; `ls -l` and `du` look each name up.
 *
 *     names alone ──a name that was listed is looked up──► with attributes
 *     with attributes ──two listings, and none of their names is looked up──► names alone
 *
 * An entry that is told with attributes is not looked up any more: so the first file of each listing is told without. Each name that
 * is looked up is a request. So a program that is not known yet is told the first few names of a directory by themselves.
 */
import { LRUCache } from 'lru-cache';

/** Threads of programs that are remembered, by their numbers. */
const PROGRAMS = 256;
/** Directories that each has listed last: it may go back to the files of one after those below it. */
const MAX_LISTED = 64;
/** Listings in vain before attributes are left out. */
const PATIENCE = 2;

interface Program {
  /** Directories of which it was told names alone. */
  readonly listed: Set<number>;
  /** The latest of them. */
  latest: number;
  wantsAttributes: boolean;
  /** Listings since it looked up a name. */
  unasked: number;
}

export class StatPrediction {
  readonly #programs = new LRUCache<number, Program>({ max: PROGRAMS });

  /** Whether it is not known what the program with this number does with names. */
  isUnknown(pid: number): boolean {
    const program = this.#programs.get(pid);
    return !program || (!program.wantsAttributes && program.unasked < PATIENCE);
  }

  /** Whether the program with this number is to be told attributes with the entries that it lists. */
  wantsAttributes(pid: number): boolean {
    return this.#programs.get(pid)?.wantsAttributes === true;
  }

  /** It was told entries of the directory, one at least without attributes that are not a directory's. */
  listed(pid: number, directory: number): void {
    let program = this.#programs.get(pid);
    if (!program) {
      program = { listed: new Set(), latest: 0, wantsAttributes: false, unasked: 0 };
      this.#programs.set(pid, program);
    }
    // The kernel reads a large directory piece by piece.
    if (program.latest === directory) return;
    program.latest = directory;
    if (program.unasked >= PATIENCE) program.wantsAttributes = false;
    program.unasked += 1;
    if (program.listed.size >= MAX_LISTED) program.listed.clear();
    program.listed.add(directory);
  }

  /** It looks up a name in the directory. */
  lookedUp(pid: number, directory: number): void {
    const program = this.#programs.get(pid);
    if (program?.listed.has(directory) !== true) return;
    program.wantsAttributes = true;
    program.unasked = 0;
  }
}
