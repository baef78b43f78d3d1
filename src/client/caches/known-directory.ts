/** What the name cache (name-cache.ts) knows of one directory. */

/** A directory of which every name is known, apart from some; or single names are. */
export interface KnownDirectory {
  /** False: of a name that is not in `names` nothing is known. */
  readonly isWhole: boolean;
  /** Where `..` leads; undefined when the directory was changed by others, and may have been moved. */
  parent: number | undefined;
  /** Names that others have changed since the directory was listed (as in `names`). */
  unknown: Set<string> | undefined;
  /** name (its bytes as latin1) → inode; 0, where single names are known, for one that is not there */
  readonly names: Map<string, number>;
  /** The names in the order of their bytes; undefined when they have changed since they were sorted. */
  sorted: readonly string[] | undefined;
  /** What the names cost. */
  nameBytes: number;
  /** The same as the cache counts it; never less. */
  countedBytes: number;
  /**
   * Another client has the directory in its turn: nothing of it is answered from here. The position up to which its names are true
   * (`Revocation.left`).
   */
  leftAt: number | undefined;
  /** How often names in it were dropped since a program was answered from it. */
  unusedDrops: number;
}

/** A directory without names: one that was just made, or of which single names are to be known. */
export function emptyDirectory(isWhole: boolean, parent?: number): KnownDirectory {
  return {
    isWhole,
    parent,
    names: new Map(),
    unknown: undefined,
    sorted: undefined,
    nameBytes: 0,
    countedBytes: 0,
    leftAt: undefined,
    unusedDrops: Number.POSITIVE_INFINITY,
  };
}

/** Where a name leads; 0: nowhere; undefined when that is not known. @param key the name as in `names` */
export function leadOf({ names, unknown, isWhole }: KnownDirectory, key: string): number | undefined {
  if (unknown?.has(key) === true) return undefined;
  return names.get(key) ?? (isWhole ? 0 : undefined);
}
