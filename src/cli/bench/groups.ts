/** The groups of workloads, in the order in which they run. */
import type { Bench } from './bench.js';
import { appending, parallelFiles, random, sequential } from './large-files.js';
import { directoriesAlone, smallFiles } from './small-files.js';
import { repositories, trees } from './trees.js';

export const GROUP_NAMES = ['seq', 'rand', 'par', 'small', 'dirs', 'tree', 'git', 'append'] as const;
export type GroupName = (typeof GROUP_NAMES)[number];

export const GROUPS: Readonly<Record<GroupName, (bench: Bench) => Promise<void>>> = {
  seq: sequential,
  rand: random,
  par: parallelFiles,
  small: smallFiles,
  dirs: directoriesAlone,
  tree: trees,
  git: repositories,
  append: appending,
};

/** `small,git` as a list, in the order in which groups run; a sentence for the user when one is not `known`. */
export function parseGroups<Name extends string>(
  text: string,
  known: readonly Name[],
): readonly Name[] | string {
  const names = text.split(',');
  const unknown = names.find(name => !known.some(each => each === name));
  if (unknown !== undefined) return `there is no group '${unknown}'; give some of ${known.join(',')}`;
  return known.filter(name => names.includes(name));
}
