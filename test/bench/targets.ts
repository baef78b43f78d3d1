/** The targets of DFS, as ratios to its references. */
import type { SubjectName } from './subject.js';

/** Two subjects whose measurements are set in relation. */
export interface Comparison {
  readonly subject: SubjectName;
  readonly reference: SubjectName;
}

export interface Target {
  readonly kind: 'at least' | 'at most';
  readonly ratio: number;
}

export const COMPARISONS: readonly Comparison[] = [
  { subject: 'dfs1', reference: 'moosefs1' },
  { subject: 'dfs2', reference: 'moosefs2' },
  { subject: 'dfs2', reference: 'glusterfs' },
  { subject: 'dfs1', reference: 'null' },
];

/** workload → how many times as fast as MooseFS with the same goal */
const AGAINST_MOOSEFS: ReadonlyMap<string, number> = new Map([
  ['create-1p', 2],
  ['create-4p', 2],
  ['stat-cold', 2],
  ['stat-warm', 10],
  ['ls-lR-cold', 3],
  ['ls-lR-warm', 8],
  ['find-cold', 1],
  ['read-small-cold', 2],
  ['read-small-warm', 2],
  ['read-small-cold-4p', 1.5],
  ['rename', 2],
  ['chmod', 2],
  ['unlink-1p', 2],
  ['mkdir', 1.5],
  ['rmdir', 1],
  ['untar', 2],
  ['cp-r', 2],
  ['rm-rf', 1.2],
  ['git-clone', 2],
  ['git-status-cold', 1.5],
  ['git-status-warm', 5],
  ['git-commit-1-file', 2],
  ['seq-write', 1],
  ['seq-read-cold', 1.5],
  ['par-write-4p', 1],
  ['par-read-cold-4p', 1.5],
  ['rand-read-4k-j1', 1.5],
  ['rand-read-4k-j4', 1.5],
  ['rand-write-4k', 2],
  ['append-100B', 10],
  ['open-append-close', 2],
]);
/** Where the target is another one with two replicas. */
const AGAINST_MOOSEFS_WITH_GOAL_2: ReadonlyMap<string, number> = new Map([['seq-write', 1.5]]);
/** Of what MooseFS takes. */
const MEMORY_AGAINST_MOOSEFS = 0.6;
const MEMORY: ReadonlySet<string> = new Set(['memory-rss', 'memory-peak']);

/**
 * workload → how many times as fast as GlusterFS with two replicas. MooseFS is no measure where everything waits for
 * fsync: its fsync returns when the bytes are in its servers' memory.
 */
const AGAINST_GLUSTERFS: ReadonlyMap<string, number> = new Map([
  ['fsync-append-1p', 1],
  ['fsync-append-6p', 1],
  ['fsync-overwrite-1p', 1],
  ['fsync-overwrite-6p', 1],
]);

/** What servers and network may leave of the kernel driver's own speed. */
const METADATA_AGAINST_NULL = 0.6;
const THROUGHPUT_AGAINST_NULL = 0.5;
const METADATA: ReadonlySet<string> = new Set([
  'create-1p',
  'create-4p',
  'stat-cold',
  'stat-warm',
  'ls-lR-cold',
  'ls-lR-warm',
  'find-cold',
  'rename',
  'chmod',
  'unlink-1p',
  'unlink-4p',
  'mkdir',
  'rmdir',
  'rm-rf',
]);
const THROUGHPUT: ReadonlySet<string> = new Set([
  'seq-write',
  'seq-read-cold',
  'seq-read-warm',
  'par-write-4p',
  'par-read-cold-4p',
]);

/** Workload of `mounts/together.py` → how many times as fast as MooseFS, with 2 mounts or more. */
const TOGETHER: ReadonlyMap<string, number> = new Map([
  ['create', 2],
  ['stat', 3],
  ['read', 2.5],
  ['rewrite', 1.5],
  ['rename', 2],
  ['unlink', 2],
  ['seq-write', 1],
  ['shared-create', 1.2],
  ['shared-append', 2],
  ['handoff-p50', 1.3],
]);
/** `mounts/server_time.py`: of the processor time that MooseFS's master takes. */
const SERVER_TIME_AGAINST_MOOSEFS = 1;
const SERVER_TIME = /^cpu-/;
/** What several mounts create in a second, as a part of what one mount alone does. */
export const TOGETHER_AGAINST_ALONE = 0.9;

/** What is to be reached by a workload in a comparison; undefined where nothing is promised. */
export function targetOf(workload: string, { subject, reference }: Comparison): Target | undefined {
  if (reference === 'null') return atLeast(targetAgainstNull(workload));
  if (reference === 'glusterfs') return atLeast(AGAINST_GLUSTERFS.get(workload));
  const [name = '', mounts] = workload.split('@');
  if (mounts !== undefined) return targetOfMounts(name, Number(mounts));
  if (MEMORY.has(workload)) return { kind: 'at most', ratio: MEMORY_AGAINST_MOOSEFS };
  const special = subject === 'dfs2' ? AGAINST_MOOSEFS_WITH_GOAL_2.get(workload) : undefined;
  return atLeast(special ?? AGAINST_MOOSEFS.get(workload));
}

function targetOfMounts(name: string, mounts: number): Target | undefined {
  if (mounts < 2) return undefined;
  if (SERVER_TIME.test(name)) return { kind: 'at most', ratio: SERVER_TIME_AGAINST_MOOSEFS };
  return atLeast(TOGETHER.get(name));
}

function targetAgainstNull(workload: string): number | undefined {
  if (METADATA.has(workload)) return METADATA_AGAINST_NULL;
  return THROUGHPUT.has(workload) ? THROUGHPUT_AGAINST_NULL : undefined;
}

function atLeast(ratio: number | undefined): Target | undefined {
  return ratio === undefined ? undefined : { kind: 'at least', ratio };
}

export function isMet({ kind, ratio }: Target, reached: number): boolean {
  return kind === 'at least' ? reached >= ratio : reached <= ratio;
}
