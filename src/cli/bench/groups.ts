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

function isGroupName(name: string): name is GroupName {
  return GROUP_NAMES.some(known => known === name);
}

/** `small,git` as a list, in the order in which groups run; a sentence for the user when one is not known. */
export function parseGroups(text: string): readonly GroupName[] | string {
  const names = text.split(',');
  const unknown = names.find(name => !isGroupName(name));
  if (unknown !== undefined) return `there is no group '${unknown}'; give some of ${GROUP_NAMES.join(',')}`;
  return GROUP_NAMES.filter(name => names.includes(name));
}
