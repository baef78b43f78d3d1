/** The groups of workloads of `npm run bench`: those of `dfs bench`, and what waits for fsync. */
import { GROUP_NAMES, type GroupName } from '../../src/cli/bench/groups.js';

export const DATABASES = 'databases';
/** In the order in which they run. */
export const BENCH_GROUP_NAMES = [...GROUP_NAMES, DATABASES] as const;
export type BenchGroupName = GroupName | typeof DATABASES;

/** Those that `dfs bench` and fsbench know. */
export function fileGroups(groups: readonly BenchGroupName[]): GroupName[] {
  return groups.filter(group => group !== DATABASES);
}
